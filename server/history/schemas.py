"""What the API shows of history."""

from datetime import datetime

from pydantic import BaseModel

from facility.reading import Quality, QualityReason


class RawOut(BaseModel):
    """A reading as it was taken; a state metric's value is its word."""

    taken_at: datetime
    value: float | str | None
    quality: Quality
    reason: QualityReason | None = None
    raw: str | None = None


class StepOut(BaseModel):
    """One step. Of a state metric only `n` and `last` have a meaning; the others are null."""

    at: datetime
    min: float | None
    avg: float | None
    max: float | None
    n: int
    last: float | str | None


class RawPage(BaseModel):
    """`next` is the `from` of the following page, null at the end."""

    items: list[RawOut]
    next: datetime | None = None


class StepPage(BaseModel):
    """`step` in seconds, as asked or as chosen; gaps are left out. Never paged: `next` is always null."""

    items: list[StepOut]
    step: int
    next: None = None


class LatestOut(BaseModel):
    """The newest reading of a point, under the names of `/points`."""

    point: str
    site: str
    device: str
    device_id: str
    metric: str
    subject: str
    unit: str
    taken_at: datetime
    value: float | str | None
    quality: Quality
    reason: QualityReason | None = None
