"""Reading the agent's configuration: every problem at once, with its line, and the secrets it refers to.

What pydantic cannot see (a device naming credentials that are not there, a secret that is not set) is looked up in the
raw document, so one bad field elsewhere hides none of it.
"""

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from agent.config import AgentConfig
from agent.values import SecretMissing, SecretRef, readable_by_all, resolve, secret_path
from facility.config import ConfigErrors, ConfigProblem, Document, Path_, did_you_mean, read_yaml, validate

SECRET_FIELDS = ("community", "auth_password", "priv_password")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that is whole. secrets: by path in the file, `credentials.rack.community`; never printed.

    Relative paths in it are meant from `folder`, where the file stands. digest: of what is written, 32 hex digits.
    """

    config: AgentConfig
    folder: Path
    digest: str
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    warnings: tuple[ConfigProblem, ...] = ()

    def secret(self, path: str) -> str | None:
        found = self.secrets.get(path)
        return None if found is None else found.get_secret_value()


def load_config(
    path: Path,
    *,
    profiles: Iterable[str] | None = None,
    environ: Mapping[str, str] | None = None,
    shown: str | None = None,
    only: Container[str] | None = None,
) -> Loaded:
    """The configuration of a file. ConfigErrors with every problem at once, in the file's order.

    profiles: ids a device may name; None leaves them unchecked (the caller has not loaded any yet). only: no other
    secrets than those of these credentials are needed, so that one may be tried without having them all.
    """
    document = read_yaml(path, shown=shown)
    folder = path.resolve().parent
    secrets: dict[str, SecretStr] = {}
    warnings: list[ConfigProblem] = []
    problems = [
        *_secrets(document, folder, os.environ if environ is None else environ, secrets, warnings, only),
        *_references(document, None if profiles is None else sorted(profiles)),
    ]
    try:
        config = validate(document, AgentConfig)
    except ConfigErrors as exc:
        # A path that both complain about is said once, by the model, which knows the shape.
        said = {(problem.line, problem.path) for problem in exc.problems}
        problems = exc.problems + [problem for problem in problems if (problem.line, problem.path) not in said]
        raise ConfigErrors(sorted(problems, key=lambda problem: (problem.line, problem.path))) from exc
    if problems:
        raise ConfigErrors(sorted(problems, key=lambda problem: (problem.line, problem.path)))
    digest = hashlib.blake2b(config.model_dump_json().encode(), digest_size=16).hexdigest()
    return Loaded(config, folder, digest, secrets, tuple(warnings))


def extra_folders(path: Path, *, shown: str | None = None) -> list[Path]:
    """The profile folders a configuration names, read leniently: they are needed before it can be checked."""
    data = read_yaml(path, shown=shown).data
    section = data.get("profiles") if isinstance(data, dict) else None
    folders = section.get("folders") if isinstance(section, dict) else None
    texts = [text for text in folders if isinstance(text, str)] if isinstance(folders, list) else []
    return [path.resolve().parent / text for text in texts]


def named_profiles(path: Path, *, shown: str | None = None) -> set[str]:
    """The profiles that the devices of a configuration name, read as leniently."""
    devices = _list(_mapping(read_yaml(path, shown=shown).data).get("devices"))
    names = (_mapping(device).get("profile") for device in devices)
    return {name for name in names if isinstance(name, str)}


def _secret_paths(document: Document) -> Iterator[tuple[Path_, Any]]:
    data = document.data if isinstance(document.data, dict) else {}
    for name, entry in _mapping(data.get("credentials")).items():
        for key in SECRET_FIELDS:
            if key in _mapping(entry):
                yield ("credentials", name, key), entry[key]
    uplink = _mapping(data.get("uplink"))
    if "password" in uplink:
        yield ("uplink", "password"), uplink["password"]
    for i, channel in enumerate(_list(_mapping(data.get("notify")).get("channels"))):
        if "url" in _mapping(channel):
            yield ("notify", "channels", i, "url"), channel["url"]


def _secrets(
    document: Document,
    folder: Path,
    environ: Mapping[str, str],
    found: dict[str, SecretStr],
    warnings: list[ConfigProblem],
    only: Container[str] | None,
) -> Iterator[ConfigProblem]:
    for path, value in _secret_paths(document):
        if only is not None and (path[0] != "credentials" or path[1] not in only):
            continue
        try:
            ref = SecretRef.model_validate(value)
        except ValidationError:
            continue  # the model says what is wrong with its shape
        name = ".".join(str(part) for part in path)
        try:
            found[name] = resolve(ref, folder=folder, environ=environ)
        except SecretMissing as exc:
            yield document.problem(path, str(exc))
            continue
        if ref.file is not None and readable_by_all(secret_path(ref, folder)):
            warnings.append(
                document.problem(path, f"the secret file {ref.file} may be read by every user; chmod 600 it")
            )


def _references(document: Document, profiles: list[str] | None) -> Iterator[ConfigProblem]:
    data = document.data if isinstance(document.data, dict) else {}
    credentials = [str(name) for name in _mapping(data.get("credentials"))]
    rooms = [_mapping(room).get("id") for room in _list(data.get("rooms"))]
    yield from _twice(document, ("rooms",), "id", _list(data.get("rooms")))
    devices = [_mapping(device) for device in _list(data.get("devices"))]
    yield from _twice(document, ("devices",), "id", devices)
    for i, device in enumerate(devices):
        yield from _named(document, ("devices", i, "credentials"), device, credentials, "credentials")
        yield from _named(document, ("devices", i, "room"), device, [str(room) for room in rooms], "room")
        if profiles is not None:
            yield from _named(document, ("devices", i, "profile"), device, profiles, "profile")
    yield from _twice(document, ("notify", "channels"), "name", _list(_mapping(data.get("notify")).get("channels")))
    believed = _list(_mapping(data.get("traps")).get("credentials"))
    for i, name in enumerate(believed):
        if isinstance(name, str) and name not in credentials:
            yield document.problem(
                ("traps", "credentials", i), f"there is no credentials {name!r}{did_you_mean(name, credentials)}"
            )


def _named(
    document: Document, path: Path_, device: Mapping[str, Any], allowed: list[str], what: str
) -> Iterator[ConfigProblem]:
    value = device.get(str(path[-1]))
    if isinstance(value, str) and value not in allowed:
        yield document.problem(path, f"there is no {what} {value!r}{did_you_mean(value, allowed)}")


def _twice(document: Document, section: Path_, key: str, entries: list[Any]) -> Iterator[ConfigProblem]:
    first: dict[str, int] = {}
    for i, entry in enumerate(entries):
        each = _mapping(entry).get(key)
        if not isinstance(each, str):
            continue
        if each in first:
            line = document.lines.get((*section, first[each], key), 0)
            yield document.problem(
                (*section, i, key), f"{each!r} stands here for the second time, first on line {line}"
            )
        first.setdefault(each, i)


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
