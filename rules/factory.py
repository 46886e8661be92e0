"""Which judge a rule gets on a point."""

from facility.ids import NewId
from rules.absent import AbsentJudge
from rules.facts import DeviceFacts
from rules.forecast import ForecastJudge
from rules.judges import Judge
from rules.levels import LevelJudge
from rules.model import Rule
from rules.rate import RateJudge
from rules.states import StateJudge


def make_judge(rule: Rule, facts: DeviceFacts, subject: str, *, origin: str, new_id: NewId, started_ms: int) -> Judge:
    """The judge of the rule's one condition, with nothing remembered. started_ms: from when absence counts."""
    gap_ms, device = facts.gap_ms(rule), facts.id
    if rule.state is not None:
        return StateJudge(
            rule, words=rule.state, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id
        )
    if rule.absent is not None:
        return AbsentJudge(
            rule, after_ms=facts.absent_ms(rule.absent), severity=rule.absent.severity, started_ms=started_ms,
            origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id,
        )  # fmt: skip
    if rule.rate is not None:
        return RateJudge(rule, rule.rate, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
    if rule.forecast is not None:
        return ForecastJudge(
            rule, rule.forecast, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id
        )
    return LevelJudge(rule, origin=origin, device=device, subject=subject, gap_ms=gap_ms, new_id=new_id)
