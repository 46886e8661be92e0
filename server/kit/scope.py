"""What a caller may see. Every repository call takes a `Scope`; a row outside it does not exist for the caller."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from server.db.types import ID_LENGTH
from server.kit.principal import SYSTEM, Permission, Principal

# As a model's `scope_site`: the row is of the customer as a whole, and callers limited to some sites see it too.
ANY_SITE = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """A principal with the customers and sites visible to it; None means all of them."""

    principal: Principal
    customers: frozenset[str] | None = None
    sites: frozenset[str] | None = None

    @classmethod
    def of(cls, principal: Principal) -> "Scope":
        return cls(principal, principal.customers, principal.sites)

    @classmethod
    def system(cls) -> "Scope":
        """For jobs and ingest: sees everything, acts as `system`."""
        return cls(SYSTEM)

    @property
    def unlimited(self) -> bool:
        return self.customers is None and self.sites is None

    def sees(self, *, customer_id: str | None, site_id: str | None) -> bool:
        """The same decision as `scoped`, for a row already at hand."""
        return (self.customers is None or customer_id in self.customers) and (
            self.sites is None or site_id in self.sites
        )

    def may(self, permission: Permission) -> bool:
        return self.principal.may(permission)


class CustomerScoped:
    """Mixin: a row of one customer. A caller limited to sites does not see customer-wide rows."""

    scope_customer: ClassVar[str | None] = "customer_id"
    scope_site: ClassVar[str | None] = None

    customer_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("customers.id"), index=True)


class SiteScoped:
    """Mixin: a row of one site of one customer."""

    scope_customer: ClassVar[str | None] = "customer_id"
    scope_site: ClassVar[str | None] = "site_id"

    customer_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("customers.id"), index=True)
    site_id: Mapped[str] = mapped_column(sa.String(ID_LENGTH), sa.ForeignKey("sites.id"), index=True)


Q = TypeVar("Q", bound=sa.Select[Any])


def _column(model: type[Any], name: str) -> InstrumentedAttribute[str]:
    column: InstrumentedAttribute[str] = getattr(model, name)
    return column


def scoped(query: Q, model: type[Any], scope: Scope) -> Q:
    """`query` narrowed to the rows of `model` (a mapped class with `scope_customer`, `scope_site`) visible in `scope`.

    A model without a site column is invisible to a caller limited to sites, unless it says ANY_SITE.
    """
    for allowed, name in ((scope.customers, model.scope_customer), (scope.sites, model.scope_site)):
        if allowed is None or name == ANY_SITE:
            continue
        query = query.where(_column(model, name).in_(sorted(allowed)) if name is not None else sa.false())
    return query
