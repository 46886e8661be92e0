"""A word to systemd: ready, reloading, stopping, alive. Outside systemd nothing is said."""

import os
import socket
from collections.abc import Mapping

from facility.clock import Clock


class ServiceManager:
    """Sends notifications to NOTIFY_SOCKET; `watchdog_s` is how often it wants to hear from us, 0 for never."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the null byte of Linux' abstract socket names.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        # systemd advises half of what it allows.
        self.watchdog_s = int(usec) / 2_000_000 if usec.isdigit() and mine else 0.0

    def notify(self, state: str) -> bool:
        """Send e.g. `READY=1`; False when there is nobody to tell."""
        if not self._address:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(state.encode(), self._address)
            except OSError:
                # A manager that went away or is busy must not take the agent with it.
                return False
        return True

    async def pet(self, clock: Clock) -> None:
        """Say that we live, as often as the watchdog wants to hear it; returns where there is none."""
        while self.watchdog_s:
            self.notify("WATCHDOG=1")
            await clock.sleep(self.watchdog_s)
