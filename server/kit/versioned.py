"""Optimistic locking: an entity's `version` is its ETag; a change names the version it was made from."""

from typing import Annotated, Any

from fastapi import Depends, Header, Response
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from server.kit.problems import PreconditionFailed, PreconditionRequired


class Versioned:
    """Mixin: `version` counts changes; the ORM refuses to save over a newer row (answered as 412)."""

    version: Mapped[int] = mapped_column()

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - a declared_attr is a class method
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]


def etag(version: int) -> str:
    return f'"{version}"'


def _if_match(if_match: Annotated[str | None, Header(description="ETag of the version that was read")] = None) -> str:
    if if_match is None:
        raise PreconditionRequired(
            'send the ETag you read as If-Match, such as If-Match: "3"', code="if_match_required"
        )
    return if_match


# Declared by every PATCH, PUT and DELETE of an editable entity.
IfMatch = Annotated[str, Depends(_if_match)]


def check_version(entity: Versioned, if_match: str) -> None:
    """Raises PreconditionFailed unless `if_match` names the entity's present version (or is `*`)."""
    if if_match.strip() != "*" and if_match.strip().removeprefix("W/") != etag(entity.version):
        raise PreconditionFailed(
            f"it is at version {entity.version} by now: read it again and repeat the change", code="stale"
        )


def set_etag(response: Response, entity: Versioned) -> None:
    response.headers["ETag"] = etag(entity.version)
