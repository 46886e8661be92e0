"""What the API takes and shows of notifications."""

from datetime import datetime

from facility.severity import Severity
from server.kit.schemas import Body, Shown
from server.notify.models import Notification
from server.notify.notices import NoticeKind
from server.notify.recipients import NotificationState, Wanted


class NotificationOut(Shown):
    id: str
    site: str
    site_id: str
    user_id: str
    user: str
    kind: NoticeKind
    severity: Severity
    ticket_id: str | None
    alarm_id: str | None
    title: str
    body: str
    state: NotificationState
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    last_error: str | None
    rolled_into: str | None

    @classmethod
    def of(cls, row: Notification) -> "NotificationOut":
        fields = {name: getattr(row, name) for name in cls.model_fields if name not in ("site", "user")}
        return cls(**fields, site=row.site.code, user=row.user.name)


class SettingIn(Body):
    wanted: Wanted


class SettingOut(Shown):
    """`set` is null where the person set nothing and `wanted` follows from the roles."""

    wanted: Wanted
    set: Wanted | None
    channel: bool
