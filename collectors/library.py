"""The profile library: every shipped profile and those of the site's own folders, validated as a whole."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Self

from facility.config import ConfigErrors, ConfigProblem, Document, read_yaml, validate
from facility.profile import ID_PATTERN, Profile, extended

_SUFFIX = ".yaml"
_ID = re.compile(ID_PATTERN)
_MISPLACED = "lies at no VENDOR/MODEL.yaml below the folder (a-z, 0-9 and - in names; dots in models)"


class ProfileErrors(ConfigErrors):
    """Everything wrong with the profiles looked at, one line each: file, line, path, what was expected."""


class UnknownProfileError(LookupError):
    """No profile of that id; says which are near."""

    def __init__(self, wanted: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown profile {wanted!r}; {hint}")


class Library:
    """Profiles by id. A site's profile of the same id replaces the shipped one."""

    def __init__(self, profiles: Iterable[Profile], unread: Iterable[str] = ()) -> None:
        """unread: ids of profiles that are there and were not asked for."""
        self._profiles = {profile.id: profile for profile in profiles}
        self.ids = sorted({*self._profiles, *unread})

    @classmethod
    def load(cls, extra_folders: Iterable[Path] = (), *, only: Collection[str] | None = None) -> Self:
        """The shipped profiles and those below the folders. ProfileErrors with every problem of every file.

        only: of the shipped ones just these, and what they and the folders' extend: all of them take a second to read
        and as much memory as the rest of an agent's configuration.
        """
        with as_file(files("collectors") / "profiles") as shipped:
            return cls(
                read_folders([shipped, *extra_folders], only=only), (_id_of(path, shipped) for path in _files(shipped))
            )

    def get(self, profile_id: str) -> Profile:
        """The profile of an id; UnknownProfileError names the nearest."""
        found = self._profiles.get(profile_id)
        if found is None:
            raise UnknownProfileError(profile_id, self.ids)
        return found

    def all(self) -> tuple[Profile, ...]:
        """Every profile that was read, by id."""
        return tuple(self._profiles[key] for key in sorted(self._profiles))


def read_folders(folders: Sequence[Path], *, only: Collection[str] | None = None) -> tuple[Profile, ...]:
    """All profiles below the folders, inheritance resolved. ProfileErrors with every problem of every file.

    only: of the first folder just these, and what is extended.
    """
    problems: list[ConfigProblem] = []
    read: dict[str, tuple[Profile, Document]] = {}
    left: dict[str, Path] = {}

    def take(profile_id: str, path: Path, folder: Path) -> None:
        try:
            read[profile_id] = _read(path, folder)
        except ConfigErrors as errors:
            problems.extend(errors.problems)

    for folder in folders:
        if not folder.is_dir():
            problems.append(ConfigProblem(str(folder), 0, "", "is no folder of profiles"))
            continue
        for path in _files(folder):
            profile_id = _id_of(path, folder)
            if only is not None and folder is folders[0] and profile_id not in only:
                left[profile_id] = path
            else:
                take(profile_id, path, folder)
    while parents := {profile.extends for profile, _ in read.values() if profile.extends in left.keys() - read.keys()}:
        for parent in sorted(parents):
            take(parent, left.pop(parent), folders[0])
    profiles: list[Profile] = []
    known = {key: found for key, (found, _) in read.items()}
    for profile, document in read.values():
        try:
            profiles.append(_resolved(profile, document, known, {*known, *left}))
        except ConfigErrors as errors:
            problems.extend(errors.problems)
    if problems:
        raise ProfileErrors(problems)
    return tuple(profiles)


def file_schema() -> dict[str, Any]:
    """The JSON Schema of a profile file, for editors: the model without `id`, which is the file's path."""
    schema = Profile.model_json_schema(by_alias=True)
    del schema["properties"]["id"]
    schema["required"].remove("id")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_file(path: Path, library: Library) -> Profile:
    """One file that need not lie in a library folder; what it extends is taken from `library`."""
    folder = path.parent.parent
    profile, document = _read(path, folder)
    return _resolved(profile, document, {known.id: known for known in library.all()}, library.ids)


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob(f"*{_SUFFIX}") if path.is_file())


def _id_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(_SUFFIX)


def _read(path: Path, folder: Path) -> tuple[Profile, Document]:
    profile_id = _id_of(path, folder)
    try:
        document = read_yaml(path)
        if not _ID.fullmatch(profile_id):
            raise ProfileErrors([ConfigProblem(str(path), 0, "", _MISPLACED)])
        if isinstance(document.data, dict):
            if "id" in document.data:
                raise ProfileErrors([document.problem(("id",), "the id is the file's path; leave it out")])
            document = Document(document.file, {"id": profile_id, **document.data}, document.lines)
        return validate(document, Profile), document
    except ConfigErrors as errors:
        raise ProfileErrors(errors.problems) from errors


def _resolved(profile: Profile, document: Document, known: Mapping[str, Profile], ids: Iterable[str]) -> Profile:
    """With what it extends, of the known; ids: all there are, read or not, for who asks for one that is not there."""
    if profile.extends is None:
        return profile
    parent = known.get(profile.extends)
    if parent is None:
        message = str(UnknownProfileError(profile.extends, ids))
        raise ProfileErrors([document.problem(("extends",), message)])
    try:
        return extended(profile, parent)
    except ValueError as error:
        raise ProfileErrors([document.problem(("extends",), str(error))]) from error
