"""The fold and the table of states, without any database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facility.alarms import AlarmEventKind, EndReason
from facility.severity import Severity
from server.alarms.lifecycle import (
    STAND_IN,
    Ack,
    AlarmState,
    Marks,
    Revision,
    Transition,
    began_at,
    fold,
    may_acknowledge,
)

BEGAN = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
MAJOR, MINOR, CRITICAL = Severity.MAJOR, Severity.MINOR, Severity.CRITICAL


def revision(number: int, kind: AlarmEventKind, severity: Severity, reason: str = "limit_exceeded") -> Revision:
    return Revision(
        revision=number,
        kind=kind,
        level="hi",
        severity=severity,
        at=BEGAN + timedelta(minutes=number),
        value=20.0 + number,
        limit=28.0,
        reason=reason,
        rule_revision="r1",
    )


def life(*severities: Severity, over: bool = False) -> list[Revision]:
    """Raised, updated to each further severity, and ended when `over`."""
    kinds = [AlarmEventKind.RAISED] + [AlarmEventKind.UPDATED] * (len(severities) - 1)
    made = [revision(i + 1, kind, severities[i]) for i, kind in enumerate(kinds)]
    if over:
        made.append(revision(len(made) + 1, AlarmEventKind.ENDED, severities[-1], EndReason.RECOVERED))
    return made


lives = st.builds(
    lambda severities, over: life(*severities, over=over),
    st.lists(st.sampled_from(list(Severity)), min_size=1, max_size=6),
    st.booleans(),
)
times = st.none() | st.integers(0, 20).map(lambda minute: BEGAN + timedelta(minutes=minute))


@given(data=st.data(), whole=lives, marks=st.builds(Marks, times, times, times))
def test_any_order_and_any_repetition_folds_to_the_same_alarm(
    data: st.DataObject, whole: list[Revision], marks: Marks
) -> None:
    acks = data.draw(st.lists(st.sampled_from([Ack(r.revision, r.severity) for r in whole]), max_size=2))
    repeated = whole + data.draw(st.lists(st.sampled_from(whole), max_size=6))
    shuffled = data.draw(st.permutations(repeated))
    assert fold(shuffled, acks=acks, marks=marks) == fold(whole, acks=acks, marks=marks)


@given(data=st.data(), whole=lives, born=st.integers(-20, 20))
def test_a_stand_in_tells_when_it_began_until_the_raise_is_here(
    data: st.DataObject, whole: list[Revision], born: int
) -> None:
    at = BEGAN + timedelta(minutes=born)
    stand_in = replace(revision(STAND_IN, AlarmEventKind.RAISED, MAJOR), at=at)
    known = data.draw(st.lists(st.sampled_from(whole), min_size=1, unique_by=lambda r: r.revision))
    folded = fold(data.draw(st.permutations([stand_in, *known])))
    oldest = min(known, key=lambda r: r.revision)
    assert folded.raised_at == (oldest.at if oldest.revision == 1 else min(at, oldest.at))
    assert folded.raised_at == began_at(data.draw(st.permutations([stand_in, *known])))
    assert replace(folded, raised_at=at) == replace(fold(known), raised_at=at), "and nothing else"


@given(whole=lives)
def test_the_fold_says_what_the_life_was(whole: list[Revision]) -> None:
    folded = fold(whole)
    over = whole[-1].kind is AlarmEventKind.ENDED
    assert folded.active is not over
    assert folded.worst.rank == min(r.severity.rank for r in whole)
    assert folded.raised_at == whole[0].at
    assert folded.ended_at == (whole[-1].at if over else None)
    assert folded.state is (AlarmState.RETURNED_UNACKED if over else AlarmState.UNACKED)


@given(whole=lives, data=st.data())
def test_a_missing_middle_changes_nothing_once_it_has_come(whole: list[Revision], data: st.DataObject) -> None:
    early = data.draw(st.lists(st.sampled_from(whole), min_size=1, unique_by=lambda r: r.revision))
    first = fold(early)
    assert first.active is all(r.kind is not AlarmEventKind.ENDED for r in early)
    assert fold([*early, *whole]) == fold(whole)


@pytest.mark.parametrize(
    ("severities", "over", "acks", "state", "why"),
    [
        ([MAJOR], False, [], AlarmState.UNACKED, Transition.CAME),
        ([MAJOR, MINOR], False, [], AlarmState.UNACKED, Transition.STILL_THERE),
        ([MAJOR], False, [Ack(1, MAJOR)], AlarmState.ACKED, Transition.SEEN),
        ([MAJOR, MINOR], False, [Ack(1, MAJOR)], AlarmState.ACKED, Transition.STILL_THERE),
        ([MAJOR, CRITICAL], False, [Ack(1, MAJOR)], AlarmState.UNACKED, Transition.ACK_ENDED_WORSE),
        ([MAJOR, MINOR, MAJOR], False, [Ack(1, MAJOR)], AlarmState.ACKED, Transition.STILL_THERE),
        ([MAJOR, CRITICAL], False, [Ack(1, MAJOR), Ack(2, CRITICAL)], AlarmState.ACKED, Transition.SEEN),
        ([MAJOR], True, [], AlarmState.RETURNED_UNACKED, Transition.WENT_UNSEEN),
        ([MAJOR], True, [Ack(1, MAJOR)], AlarmState.NORMAL, Transition.WENT_SEEN),
        ([MAJOR], True, [Ack(2, MAJOR)], AlarmState.NORMAL, Transition.SEEN_AFTER),
        ([MAJOR, CRITICAL], True, [Ack(1, MAJOR)], AlarmState.RETURNED_UNACKED, Transition.WENT_UNSEEN),
    ],
)
def test_the_table_of_states(
    severities: list[Severity], over: bool, acks: list[Ack], state: AlarmState, why: Transition
) -> None:
    folded = fold(life(*severities, over=over), acks=acks)
    assert (folded.state, folded.why) == (state, why)


def test_only_what_nobody_has_seen_can_be_acknowledged() -> None:
    assert [state for state in AlarmState if may_acknowledge(state)] == [
        AlarmState.UNACKED,
        AlarmState.RETURNED_UNACKED,
    ]


def test_what_no_longer_is_in_a_snapshot_is_superseded_until_one_holds_it_again() -> None:
    at = BEGAN + timedelta(minutes=30)
    gone = fold(life(MAJOR), marks=Marks(orphaned_at=at))
    assert (gone.active, gone.end_reason, gone.ended_at) == (False, EndReason.SUPERSEDED, at)
    back = fold(life(MAJOR), marks=Marks(orphaned_at=at, seen_at=at + timedelta(minutes=10)))
    assert back.active


def test_its_own_end_is_believed_before_any_supersession() -> None:
    folded = fold(life(MAJOR, over=True), marks=Marks(succeeded_at=BEGAN, orphaned_at=BEGAN))
    assert folded.end_reason is EndReason.RECOVERED


def test_nothing_follows_an_end() -> None:
    whole = [*life(MAJOR, over=True), revision(3, AlarmEventKind.UPDATED, CRITICAL)]
    folded = fold(whole)
    assert (folded.active, folded.worst, folded.revision) == (False, MAJOR, 2)
