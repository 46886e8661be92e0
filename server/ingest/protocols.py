"""What ingest hands on to others; `server/app.py` says who they are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from facility.items import AlarmItem
from facility.wire import RejectedItem
from server.db.session import WriteSession
from server.fleet.refs import AgentRef, SiteRef


class AlarmSink(Protocol):
    """Takes alarm events and snapshots, in the transaction that enters their block into the ledger."""

    async def apply(
        self, session: WriteSession, *, site: SiteRef, agent: AgentRef, items: Sequence[AlarmItem], now: datetime
    ) -> list[RejectedItem]:
        """Fold the items into alarm state, whatever order blocks arrive in. A path `[k]` names `items[k]`.

        Raises only for what may be tried again as a whole; an item that can never be taken is returned.
        """
