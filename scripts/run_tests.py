#!/usr/bin/env python3
"""The tests: with arguments, one pytest with those; without, all of them in two runs side by side.

On one core alone they take half an hour. What the second run said is shown at the end, however that comes.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

# The centre's tests take about as long as all others if these are among the others.
WITH_OTHERS = ("tests/server/maintenance", "tests/server/notify")
CENTRE = "tests/server"
# Two runs that wrote one cache would spoil it.
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")


def halves() -> tuple[list[str], list[str]]:
    """What pytest is told in either run."""
    others = [str(path) for path in sorted(Path("tests").iterdir()) if path.is_dir() and str(path) != CENTRE]
    files = [str(path) for path in sorted(Path("tests").glob("test_*.py"))]
    return [*WITH_OTHERS, *others, *files], [CENTRE, *(f"--ignore={name}" for name in WITH_OTHERS)]


def both() -> int:
    """0 where both went well, else the code of one that did not."""
    first, second = halves()
    with tempfile.TemporaryFile() as said:
        running = [
            subprocess.Popen([*PYTEST, *second], stdout=said, stderr=subprocess.STDOUT),
            subprocess.Popen([*PYTEST, *first]),
        ]

        def end(number: int, frame: FrameType | None) -> None:
            for each in running:
                each.send_signal(signal.SIGINT)  # at which pytest takes down what it started

        signal.signal(signal.SIGTERM, end)
        try:
            return max(abs(each.wait()) for each in running)
        except KeyboardInterrupt:
            return 130  # they have heard it, too
        finally:
            for each in running:
                each.wait()
            said.seek(0)
            shutil.copyfileobj(said, sys.stdout.buffer)
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, "-m", "pytest", *sys.argv[1:]]) if sys.argv[1:] else both())
