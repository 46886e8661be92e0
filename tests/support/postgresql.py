"""A PostgreSQL cluster of the test run: made by initdb in a temporary folder, thrown away at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.support.peers import free_port, require
from tests.support.programs import Program

# PostgreSQL refuses to run as root; the first of these accounts that exists is used instead.
UNPRIVILEGED = ("postgres", "nobody")
SUPERUSER = "coldaisle"
# The run's data dies with the run: no fsync, so that a test spends its time on the code and not on the disk.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


class Postgresql(Program):
    """A cluster at `host`:`port`, user `coldaisle`, no password, reachable from this machine only."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        postgres = require("postgres")
        self.port = free_port()
        self._bin = Path(postgres).resolve().parent
        self._made = 0
        user = _account()
        # Not pytest's own folder: that is closed to other accounts, and the server's account must reach its data.
        folder = Path(tempfile.mkdtemp(prefix="coldaisle-pg-"))
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        super().__init__(
            "postgresql",
            [postgres, "-D", str(data), "-p", str(self.port), "-c", f"listen_addresses={self.host}"]
            + ["-c", f"unix_socket_directories={folder}"]
            + [word for setting in SETTINGS for word in ("-c", setting)],
            folder=folder,
            user=user,
            ready=self._accepts,
            # "Fast" shutdown: open connections are ended, not waited for.
            stop_signal=signal.SIGINT,
        )
        initdb = [str(self._bin / "initdb"), "-D", str(data), "-U", SUPERUSER, "--auth=trust", "--no-sync"]
        subprocess.run(
            [*initdb, "--encoding=UTF8", "--locale=C"], cwd=folder, user=user, check=True, capture_output=True
        )

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the maintenance database."""
        return self._url("postgres")

    def new_database(self, template: str | None = None) -> str:
        """Make an empty database, or a copy of `template` (the address of one nobody is connected to).

        Returns SQLAlchemy's address. A copy of a migrated database costs a tenth of migrating again.
        """
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        self._run("createdb", "--template", "template0" if template is None else _name(template), name)
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, ending whoever is still connected to it."""
        self._run("dropdb", "--force", "--if-exists", _name(url))

    def sql(self, statement: str, url: str | None = None) -> str:
        """What psql says to one statement: rows as lines, columns parted by `|`."""
        return self._run("psql", "-XAtq", "-d", _name(url or self.url), "-v", "ON_ERROR_STOP=1", "-c", statement)

    def dispose(self) -> None:
        """Stop and remove everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"postgresql+asyncpg://{SUPERUSER}@{self.host}:{self.port}/{name}"

    def _accepts(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", self.host, "-p", str(self.port), "-U", SUPERUSER]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *words: str) -> str:
        command = [str(self._bin / program), "-h", self.host, "-p", str(self.port), "-U", SUPERUSER, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program} failed: {done.stderr.strip()}"
        return done.stdout.strip()


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _account() -> str | None:
    """The account the server runs as; None where we are not root and run it ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in UNPRIVILEGED if name in known)
