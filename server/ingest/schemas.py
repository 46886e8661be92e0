"""What the API shows of ingest."""

from datetime import datetime

from server.kit.schemas import Shown


class QuarantineOut(Shown):
    """`path` is "" for a whole block, else the item's place in it; `size` bytes came, `kept` are in the payload."""

    id: str
    at: datetime
    site: str
    agent: str
    kind: str
    stream: str
    seq: int
    path: str
    reason: str
    detail: str
    size: int
    kept: int


class StrangerOut(Shown):
    site: str
    agent: str
    reason: str
    first_at: datetime
    last_at: datetime
    blocks: int
