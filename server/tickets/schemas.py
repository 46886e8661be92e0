"""What the API takes and shows of tickets."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from facility.severity import Severity
from server.kit.attachments import Attachment
from server.kit.schemas import Body, Shown
from server.tickets.models import Ticket, TicketEvent
from server.tickets.states import Action, TicketKind, TicketState, allowed

Note = Annotated[str, Field(max_length=4000)]


class TicketIn(Body):
    """A ticket a person opens. Give the title in one language or both; an empty one takes the other."""

    site: str = Field(description="id of the site")
    kind: TicketKind = TicketKind.REQUEST
    severity: Severity = Severity.MINOR
    title: str = Field(min_length=1, max_length=500)
    title_zh: str = Field(default="", max_length=500)
    description: str = Field(default="", max_length=20_000)
    device: str = Field(default="", max_length=63)
    due_at: AwareDatetime | None = None


class NoteIn(Body):
    note: Note = ""


class AssignIn(Body):
    owner: str = Field(description="id of the user who is to do it")


class TicketOut(Shown):
    """`site` is the site's code; `title` is English, `title_zh` Chinese; `actions` is what its state allows."""

    id: str
    number: str
    kind: TicketKind
    severity: Severity
    state: TicketState
    title: str
    title_zh: str
    description: str
    site: str
    site_id: str
    customer_id: str
    device: str
    rule: str
    subject: str
    opened_at: datetime
    due_at: datetime | None
    acknowledged_at: datetime | None
    started_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    auto_resolve_at: datetime | None
    resolution: str | None
    owner: str | None
    owner_name: str | None
    previous: str | None
    reopened: int
    version: int
    actions: list[Action]

    @classmethod
    def of(cls, row: Ticket) -> "TicketOut":
        return cls(**ticket_fields(row))


def ticket_fields(row: Ticket) -> dict[str, Any]:
    """Needs `row.site` and `row.owner` loaded."""
    derived = {"title", "site", "owner", "owner_name", "previous", "actions"}
    fields = {name: getattr(row, name) for name in TicketOut.model_fields.keys() - derived}
    return {
        **fields,
        "title": row.title_en,
        "site": row.site.code,
        "owner": row.owner_id,
        "owner_name": None if row.owner is None else row.owner.name,
        "previous": row.previous_id,
        "actions": allowed(row.state),
    }


class AttachmentOut(Shown):
    """Download it from /attachments/{id}."""

    id: str
    filename: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime
    created_by: str


class TicketDetail(TicketOut):
    """The ticket with the occurrences it is about (their ids, oldest first) and its files."""

    alarms: list[str]
    attachments: list[AttachmentOut]

    @classmethod
    def with_parts(cls, row: Ticket, alarms: list[str], attachments: list[Attachment]) -> "TicketDetail":
        shown = [AttachmentOut.model_validate(one) for one in attachments]
        return cls(**ticket_fields(row), alarms=alarms, attachments=shown)


class TicketEventOut(Shown):
    id: str
    seq: int
    at: datetime
    recorded_at: datetime
    actor: str
    actor_name: str
    source: str
    kind: str
    payload: dict[str, Any] | None

    @classmethod
    def of(cls, row: TicketEvent) -> "TicketEventOut":
        return cls.model_validate(row)
