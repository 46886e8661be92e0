"""Configuration and data files that answer back: YAML into pydantic, every error at once, each with its line.

An error names the file, the line, the dotted path, what was expected and the nearest allowed word. Used for agent and
server configuration, device profiles and rules, so people learn one manner.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

Path_ = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)
# A configuration is written by hand; larger than this is a wrong file, and YAML parsing is slow enough to hang on it.
MAX_BYTES = 2 * 1024 * 1024
# How deep anchors and nesting may go before a file is a bomb rather than a configuration.
MAX_DEPTH = 40
# None where PyYAML was built without libyaml.
_Fast = getattr(yaml, "CSafeLoader", None)
# What PyYAML raises for a word that is not what it looks like or is tagged as: !!bool maybe, !!int "", !!timestamp x.
_UNFIT = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in a file. line counts from 1 (0: the file as a whole); path is dotted, "" for the whole."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path + ': ' if self.path else ''}{self.message}"


class ConfigErrors(Exception):
    """Everything wrong with a file, one line each."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed YAML with the line of each path, so later checks can point at a place too."""

    file: str
    data: Any
    lines: dict[Path_, int]

    def problem(self, path: Path_, message: str) -> ConfigProblem:
        """A problem at a path; a path that is not in the file points at its nearest ancestor's line."""
        at = path
        while at and at not in self.lines:
            at = at[:-1]
        return ConfigProblem(self.file, self.lines.get(at, 1), dotted(path), message)


def dotted(path: Path_) -> str:
    """`devices[2].target.port` for ("devices", 2, "target", "port")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_yaml(path: Path, *, shown: str | None = None) -> Document:
    """The YAML of a file with lines. ConfigErrors when it cannot be read, is no YAML, or repeats a key."""
    name = shown or str(path)
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ConfigErrors([ConfigProblem(name, 0, "", f"cannot be read: {exc.strerror}")]) from exc
    if len(raw) > MAX_BYTES:
        raise ConfigErrors([ConfigProblem(name, 0, "", f"{len(raw)} bytes; at most {MAX_BYTES} are read")])
    try:
        return parse_yaml(raw.decode("utf-8"), name)
    except UnicodeDecodeError as exc:
        raise ConfigErrors([ConfigProblem(name, 0, "", f"is not UTF-8: {exc.reason} at byte {exc.start}")]) from exc


def parse_yaml(text: str, name: str) -> Document:
    """As `read_yaml`, of text already at hand; `name` is what messages call it."""
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 0
        raise ConfigErrors([ConfigProblem(name, line, "", f"is not YAML: {exc.problem}")]) from exc
    except yaml.YAMLError as exc:
        raise ConfigErrors([ConfigProblem(name, 0, "", f"is not YAML: {exc}")]) from exc
    except RecursionError as exc:
        raise ConfigErrors([ConfigProblem(name, 0, "", f"nested deeper than {MAX_DEPTH}")]) from exc
    lines: dict[Path_, int] = {}
    problems: list[ConfigProblem] = []
    data = _construct(node, (), lines, problems, name) if node is not None else None
    if problems:
        raise ConfigErrors(problems)
    return Document(name, data, lines)


def _compose(text: str) -> yaml.Node | None:
    """The document's nodes by libyaml, eight times faster than in Python, where that is there and safe.

    Its composer recurses without a bound, so depth is measured on the flat row of events first; whatever it does not
    take is given to the Python parser, for the sake of one wording of errors.
    """
    if _Fast is not None:
        try:
            if _shallow(yaml.parse(text, Loader=_Fast)):
                return yaml.compose(text, Loader=_Fast)
        except yaml.YAMLError:
            pass
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _shallow(events: Iterator[yaml.Event]) -> bool:
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            return False
    return True


def _construct(node: yaml.Node, path: Path_, lines: dict[Path_, int], problems: list[ConfigProblem], name: str) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > MAX_DEPTH:
        problems.append(ConfigProblem(name, line, dotted(path[:3]), f"nested deeper than {MAX_DEPTH}"))
        return None
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                problems.append(ConfigProblem(name, key_node.start_mark.line + 1, dotted(path), "a key is one word"))
                continue
            key = _value(key_node, path, problems, name)
            at = (*path, key if isinstance(key, str | int) else str(key))
            if key in mapping:
                problems.append(ConfigProblem(name, key_node.start_mark.line + 1, dotted(at), "stands here twice"))
            lines[at] = key_node.start_mark.line + 1
            mapping[key] = _construct(value_node, at, lines, problems, name)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, i), lines, problems, name) for i, item in enumerate(node.value)]
    return _value(node, path, problems, name)


def _value(node: yaml.Node, path: Path_, problems: list[ConfigProblem], name: str) -> Any:
    """A word as what it looks like; None, and a problem, where it only looks so: 2024-02-30 is no date."""
    try:
        return yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    except _UNFIT:
        line, kind = node.start_mark.line + 1, node.tag.rpartition(":")[2]
        problems.append(ConfigProblem(name, line, dotted(path), f"{node.value!r} is no {kind}"))
        return None


def validate(document: Document, model: type[M]) -> M:
    """A parsed document as the model. ConfigErrors with every problem at once, in the file's order."""
    if not isinstance(document.data, dict):
        raise ConfigErrors([document.problem((), f"expected a mapping of settings, found {_found(document.data)}")])
    try:
        return model.model_validate(document.data)
    except ValidationError as exc:
        problems = [_problem(document, model, error) for error in exc.errors(include_url=False)]
        problems = list(dict.fromkeys(problems))
        raise ConfigErrors(sorted(problems, key=lambda problem: (problem.line, problem.path))) from exc


def _problem(document: Document, model: type[BaseModel], error: Any) -> ConfigProblem:
    location: Path_ = tuple(error["loc"])
    path = _real_path(document, location)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = _fields_at(model, path[:-1])
        return document.problem(path, f"unknown setting{did_you_mean(str(path[-1]), allowed)}")
    if kind == "missing":
        return document.problem(path, "is required but missing")
    if kind in ("enum", "literal_error"):
        allowed = [word.strip().strip("'") for word in str(context.get("expected", "")).replace(" or ", ",").split(",")]
        return document.problem(path, f"{error['input']!r} is not one of {', '.join(allowed)}"
                                + did_you_mean(str(error["input"]), allowed))  # fmt: skip
    message = str(error["msg"])
    if kind in ("value_error", "assertion_error"):
        message = message.split(", ", 1)[-1]
    elif error["input"] is None or isinstance(error["input"], str | int | float | bool):
        message = f"{message[0].lower()}{message[1:]}, found {error['input']!r}"
    return document.problem(path, message)


def _real_path(document: Document, location: Path_) -> Path_:
    """The location without the steps pydantic adds for unions and tagged models, which are not in the file."""
    path: Path_ = ()
    for i, step in enumerate(location):
        if (*path, step) in document.lines or i == len(location) - 1:
            path = (*path, step)
    return path


def _fields_at(model: type[BaseModel], path: Path_) -> list[str]:
    """Names allowed at a path of the model, for "did you mean"; every candidate of a union."""
    models = [model]
    for step in path:
        found: list[type[BaseModel]] = []
        for current in models:
            if isinstance(step, str) and (info := _field(current, step)) is not None:
                found.extend(_models_in(info))
        # An index into a list, or a free key of a mapping: the models found so far are those of its items.
        models = found or models
    return [field.alias or name for current in models for name, field in current.model_fields.items()]


def _field(model: type[BaseModel], name: str) -> Any:
    for key, info in model.model_fields.items():
        if name in (key, info.alias):
            return info.annotation
    return None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, list, tuple, dict) or hasattr(annotation, "__metadata__"):
        return [model for arg in get_args(annotation) for model in _models_in(arg)]
    return []


def did_you_mean(word: str, allowed: list[str]) -> str:
    """`; did you mean 'community'?`, or the allowed words when none is near and they are few."""
    near = difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; allowed: {', '.join(sorted(allowed))}" if 0 < len(allowed) <= 12 else ""


def _found(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
