"""Typed values of the configuration: durations, sizes, secrets by reference."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"(\d+)\s*(KiB|MiB|GiB)")
_SIZE_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# A password or a community is a line, not a document: a longer file is the wrong file.
MAX_SECRET = 4096


def parse_duration(text: Any) -> int:
    """Milliseconds of `"10s"`; ValueError for a bare number, because 10 of what is anybody's guess."""
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{text!r} is no duration; write a number with ms, s, m, h or d, like "10s"')
    return round(float(found[1]) * _DURATION_MS[found[2]])


def parse_size(text: Any) -> int:
    """Bytes of `"512MiB"`; ValueError for anything else."""
    found = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{text!r} is no size; write a whole number with KiB, MiB or GiB, like "512MiB"')
    return int(found[1]) * _SIZE_BYTES[found[2]]


def _between(low: int, high: int, shown: str) -> Any:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"must be {shown}")
        return value

    return check


def duration(low: str, high: str) -> Any:
    """A duration type of the model, in milliseconds, within bounds that the message names."""
    check = _between(parse_duration(low), parse_duration(high), f"from {low} to {high}")
    return BeforeValidator(lambda text: check(parse_duration(text)))


def size(low: str, high: str) -> Any:
    """A size type of the model, in bytes, within bounds that the message names."""
    check = _between(parse_size(low), parse_size(high), f"from {low} to {high}")
    return BeforeValidator(lambda text: check(parse_size(text)))


Interval = Annotated[int, duration("1s", "1d")]


class SecretRef(BaseModel):
    """Where a secret stands: `{env: NAME}` or `{file: PATH}`. Never the secret itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_plain_secret(cls, value: Any) -> Any:
        # The value itself must not come back in a message: it may be the secret.
        if not isinstance(value, Mapping):
            # pydantic takes a ValueError for a finding and a TypeError for a fault of the program.
            raise ValueError("a secret is not written here: refer to it with {env: NAME} or {file: PATH}")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretRef":
        if (self.env is None) == (self.file is None):
            raise ValueError("give exactly one of env and file")
        return self

    def __str__(self) -> str:
        return f"env {self.env}" if self.env is not None else f"file {self.file}"


class SecretMissing(Exception):
    """A reference that leads nowhere; the message names the reference, never a value."""


def resolve(ref: SecretRef, *, folder: Path, environ: Mapping[str, str]) -> SecretStr:
    """The secret a reference names; a relative file is looked for beside the configuration."""
    if ref.env is not None:
        value = environ.get(ref.env, "")
        if not value:
            raise SecretMissing(f"the environment variable {ref.env} is not set, or empty")
        return SecretStr(value)
    path = secret_path(ref, folder)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET + 1)
        value = raw.decode().rstrip("\r\n")
    except OSError as exc:
        raise SecretMissing(f"the secret file {ref.file} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SecretMissing(f"the secret file {ref.file} is not UTF-8 text") from exc
    if not value or len(raw) > MAX_SECRET:
        raise SecretMissing(f"the secret file {ref.file} is empty, or over {MAX_SECRET} bytes")
    return SecretStr(value)


def secret_path(ref: SecretRef, folder: Path) -> Path:
    return folder / (ref.file or Path())


def readable_by_all(path: Path) -> bool:
    """True when every user of the machine may read the file; False also where it cannot be looked at."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
