"""The real mosquitto, alone on a free loopback port."""

import getpass
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.peers import answers_tcp, free_port, require
from tests.support.programs import Program

Launch = Callable[["Mosquitto"], "Mosquitto"]


class Mosquitto(Program):
    """A broker at `host`:`port`, open to everybody unless `users` are given.

    config: further lines of mosquitto.conf, for the one listener (`max_inflight_messages 20`).
    acl: the text of an acl file. users: name -> password; with users nobody is let in anonymously.
    persistence: keep sessions and retained messages over `stop` and `start` (and lose what a `kill` loses).
    """

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        config: Sequence[str] = (),
        acl: str | None = None,
        users: Mapping[str, str] | None = None,
        persistence: bool = False,
        port: int | None = None,
    ) -> None:
        program = require("mosquitto")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        lines = [
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if users else 'true'}",
            # As root, mosquitto would change to its own user, who may not read this folder.
            f"user {getpass.getuser()}",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_dest stderr",
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {folder}/",
        ]
        if users:
            lines.append(f"password_file {password_file(folder / 'passwords', users)}")
        if acl is not None:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            lines.append(f"acl_file {folder / 'acl'}")
        (folder / "mosquitto.conf").write_text("\n".join([*lines, *config]) + "\n")
        super().__init__(
            "mosquitto",
            [program, "-c", str(folder / "mosquitto.conf")],
            folder=folder,
            ready=lambda: answers_tcp(self.port),
        )
        self._launch: Launch | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def launched_by(self, launch: Launch) -> "Mosquitto":
        """Let this broker start others that end with the same test."""
        self._launch = launch
        return self

    def __call__(
        self,
        *,
        config: Sequence[str] = (),
        acl: str | None = None,
        users: Mapping[str, str] | None = None,
        persistence: bool = False,
    ) -> "Mosquitto":
        """Another broker beside this one, with its own settings; it ends with the test."""
        assert self._launch is not None, "only the fixture's broker starts others; make a Mosquitto yourself"
        folder = self.folder / f"beside-{free_port()}"
        return self._launch(Mosquitto(folder, config=config, acl=acl, users=users, persistence=persistence))


def password_file(path: Path, users: Mapping[str, str]) -> Path:
    """Write mosquitto's password file with hashed passwords."""
    path.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
    path.chmod(0o600)
    subprocess.run([require("mosquitto_passwd"), "-U", str(path)], check=True, capture_output=True)
    return path
