"""What an agent's lives say of its alarms: what was on the disk when one ended, and what the next may not know."""

from collections.abc import Sequence

from facility.alarms import AlarmEvent
from tests.simulation.machines import Edge, Life


def standing(lives: Sequence[Life]) -> list[AlarmEvent]:
    """The newest word on the disk of each alarm that stood when the last of these lives ended."""
    newest: dict[str, AlarmEvent] = {}
    for life in lives:
        for event in life.said:
            if life.killed is None or (event.occurrence, event.revision) in life.durable_events:
                newest[event.occurrence] = event
    return [event for event in newest.values() if event.kind != "ended"]


def unsaved(edge: Edge) -> set[str]:
    """Alarms of which something was said that was only in memory when a disk that refused was cut off: the centre may
    know more than the agent.
    """
    return {
        event.occurrence
        for life in edge.lives
        if life.unsaved_since is not None
        for event in life.said
        if (event.occurrence, event.revision) not in life.durable_events
    }


def forgotten(edge: Edge) -> set[str]:
    """Alarms that stood when the agent began again and could not read what it knew: it judges anew."""
    found: set[str] = set()
    for number, life in enumerate(edge.lives):
        if life.forgot:
            found |= {event.occurrence for event in standing(edge.lives[:number])}
    return found


def forgettable(edge: Edge) -> set[str]:
    """Alarms that may be over without a word of the agent's."""
    return unsaved(edge) | forgotten(edge)
