"""Saying the same thing seldom. Pure: the time is an argument, in monotonic seconds."""

# The same notice goes to the journal again after this.
AGAIN_S = 600.0
MOST_WORDS = 100


class Throttle:
    """Remembers when each word was last said, bounded: with too many of them each may be said once more."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], float] = {}

    def may_say(self, word: tuple[str, str], now: float) -> bool:
        """Whether it may be said now; then it counts as said."""
        if now - self._said.get(word, -AGAIN_S) < AGAIN_S:
            return False
        if len(self._said) >= MOST_WORDS:
            self._said.clear()
        self._said[word] = now
        return True
