"""What the API takes and shows of assets."""

from datetime import date, datetime
from typing import Annotated, ClassVar

from pydantic import Field

from server.assets.models import Asset, AssetCategory
from server.assets.warranty import MAX_MONTHS, WarrantyStatus, days_left, warranty_status
from server.kit.schemas import Body, Name, Shown, Slug

# A day before this is a typing error: nothing of 1970 is still in service.
Day = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2200, 1, 1))]
Short = Annotated[str, Field(max_length=200)]
Notes = Annotated[str, Field(max_length=2000)]
Months = Annotated[int, Field(ge=0, le=MAX_MONTHS, description="0: no warranty")]


class AssetIn(Body):
    """`replaces` retires another asset of the site, whose place this one takes."""

    site: str = Field(description="id of the site")
    room: str | None = Field(default=None, description="id of the room")
    device: Slug | None = Field(default=None, description="id under which the site's agent polls it")
    category: AssetCategory
    name_en: Name
    name_zh: Name
    vendor: Short = ""
    model: Short = ""
    serial: Short = ""
    supplier: Short = ""
    notes: Notes = ""
    installed_on: Day | None = None
    accepted_on: Day | None = Field(default=None, description="day of acceptance: the first day of the warranty")
    warranty_months: Months = 12
    replaces: str | None = Field(default=None, description="id of the asset that leaves")


class AssetChange(Body):
    """Null empties `room`, `device`, `installed_on` and `accepted_on`; a mistaken acceptance must be revocable."""

    emptied: ClassVar[frozenset[str]] = frozenset({"room", "device", "installed_on", "accepted_on"})

    room: str | None = None
    device: Slug | None = None
    category: AssetCategory | None = None
    name_en: Name | None = None
    name_zh: Name | None = None
    vendor: Short | None = None
    model: Short | None = None
    serial: Short | None = None
    supplier: Short | None = None
    notes: Notes | None = None
    installed_on: Day | None = None
    accepted_on: Day | None = None
    warranty_months: Months | None = None
    active: bool | None = None

    def changes(self) -> dict[str, object]:
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None or name in self.emptied}


class AssetOut(Shown):
    """`warranty_end` is the last day, inclusive; `days_left` is 0 on it and negative after it, by the site's day."""

    id: str
    customer_id: str
    site_id: str
    site: str
    room_id: str | None
    room: str | None
    device: str | None
    category: AssetCategory
    name_en: str
    name_zh: str
    vendor: str
    model: str
    serial: str
    supplier: str
    notes: str
    installed_on: date | None
    accepted_on: date | None
    warranty_months: int
    warranty_end: date | None
    days_left: int | None
    status: WarrantyStatus
    active: bool
    replaced_by_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Asset, *, today: date) -> "AssetOut":
        """`today` is the site's; `row.site` and `row.room` are loaded."""
        computed = {"site", "room", "days_left", "status"}
        return cls(
            **{name: getattr(row, name) for name in cls.model_fields if name not in computed},
            site=row.site.code,
            room=None if row.room is None else row.room.code,
            days_left=days_left(row.warranty_end, today),
            status=warranty_status(row.warranty_end, today),
        )
