"""What the rules knew before the program ended, taken up again; what cannot be is said with its reason."""

import logging
from collections.abc import Callable
from pathlib import Path

from agent.journal import OpenReport, glimpse
from agent.journal.offload import Offload
from facility.alarms import AlarmEvent
from facility.ids import made_at
from facility.items import may_be_past
from rules.engine import Engine
from rules.records import SnapshotError

log = logging.getLogger(__name__)

Say = Callable[[str, dict[str, str]], None]


async def known_before(report: OpenReport, journal: Path, offload: Offload) -> OpenReport:
    """The report of an opening; of a journal that the disk refused to open, with what can still be read of it."""
    if not report.cause or report.quarantined is not None:
        return report
    return await offload.run(glimpse, journal, report.cause)


def take_up(engine: Engine, report: OpenReport, *, now_ms: int, say: Say) -> list[AlarmEvent]:
    """Give the engine what was saved; the ends of what nobody judges any more.

    Says `rule_state_lost` when what stood is not known and is judged anew, and `rule_state_kept` when it is known as it
    was at `saved_at`: what was raised or ended after that, while the disk took nothing, is judged anew.
    """
    lost = report.forgotten
    if report.rule_state is not None:
        try:
            events = engine.restore(report.rule_state, now_ms=now_ms)
        except SnapshotError as exc:
            lost = str(exc)
        else:
            if report.saved_at is not None:
                log.warning("the rules go on from what was last saved", extra={"cause": report.cause})
                say("rule_state_kept", {"cause": report.cause, "saved_at": str(report.saved_at)})
            return events
    if lost:
        log.error("the saved rule state cannot be taken up", extra={"cause": lost})
        say("rule_state_lost", {"cause": lost})
    return []


def seen_ms(engine: Engine, report: OpenReport, *, now_ms: int) -> int:
    """The newest time that was past before the start; 0 for none. One that the disk changed is none."""
    told = (report.newest or 0, report.saved_at or 0, engine.watched_ms)
    return max((at for at in told if may_be_past(at, now_ms)), default=0)


def youngest_ms(engine: Engine) -> int:
    """The time that the youngest id bears which the engine knows of; 0 for none."""
    return made_at(engine.youngest) if engine.youngest else 0
