"""The language of expressions over signals: small, closed, and it knows what it does not know.

    avg(aisle)                          sum(running) - needed          supply > 25 and running < 2
    back - supply                       dew_point(t, rh)               t if mode > 0 else setpoint

Numbers, names of signals, `+ - * /`, comparisons, `and or not`, `a if c else b`, and the functions below. A bare name
is the average of its points. A comparison is 1 or 0. Whatever needs an unknown value is unknown (None), except where
the other side decides alone: `false and unknown` is false. Nothing else is read: no attributes, no calls of anything
not listed, no strings, and a bound on length and size, so a rule file cannot run code or eat the agent.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite, log

# Generous for anything a person would write in one line of a rule.
MAX_LENGTH = 500
MAX_NODES = 120

# signal name -> the values of its points, None for one that is not known; None for a signal some points of which are
# still awaited
Values = Mapping[str, Sequence[float | None] | None]
_Step = Callable[[Values], float | None]
_Group = Callable[[Sequence[float | None]], float | None]


def _known(over: Callable[[Sequence[float]], float]) -> _Group:
    def group(values: Sequence[float | None]) -> float | None:
        given = [value for value in values if value is not None]
        return _finite(over(given)) if given and len(given) == len(values) else None

    return group


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def dew_point(temperature: float, humidity: float) -> float | None:
    """Degrees Celsius from degrees Celsius and percent; None outside 0 < humidity <= 100.

    Magnus formula over water with the constants of the WMO Guide to Instruments, annex 4.B: 17.62 and 243.12 degrees.
    """
    if not 0 < humidity <= 100 or temperature <= -243.12:
        return None
    part = log(humidity / 100) + 17.62 * temperature / (243.12 + temperature)
    return 243.12 * part / (17.62 - part)


GROUPS: Mapping[str, _Group] = {
    "avg": _known(_mean),
    "min": _known(min),
    "max": _known(max),
    "sum": _known(sum),
    "count": lambda values: float(sum(value is not None for value in values)),
}
FUNCTIONS: Mapping[str, tuple[int, Callable[..., float | None]]] = {"abs": (1, abs), "dew_point": (2, dew_point)}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


class Program:
    """A parsed expression; pure, and cheap to evaluate again and again."""

    def __init__(self, text: str, step: _Step) -> None:
        self.text = text
        self._step = step

    def evaluate(self, values: Values) -> float | None:
        """The number, or None when it is not known."""
        return self._step(values)


def parse(text: str, names: frozenset[str]) -> Program:
    """The program of a text over these signals. ValueError says what is not understood, and where."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression is at most {MAX_LENGTH} characters, this has {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, RecursionError, MemoryError) as exc:
        column = exc.offset if isinstance(exc, SyntaxError) and exc.offset else 1
        raise ValueError(f"{text!r} is not understood at character {column}") from exc
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise ValueError(f"the expression is too large: at most {MAX_NODES} parts")
    step = _Reader(text, names).step(tree.body)
    unused = names - {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if unused:
        raise ValueError(f"the expression uses no signal {', '.join(sorted(unused))}")
    return Program(text, step)


class _Reader:
    def __init__(self, text: str, names: frozenset[str]) -> None:
        self._text = text
        self._names = names

    def step(self, node: ast.expr) -> _Step:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return self._number(value)
            case ast.Name(id=name):
                return self._grouped("avg", self._signal(name, node))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _strict(operator.neg, self.step(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _strict(lambda value: float(not value), self.step(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _strict(_ARITHMETIC[type(op)], self.step(left), self.step(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                compare = _COMPARISONS[type(op)]
                return _strict(lambda a, b: float(compare(a, b)), self.step(left), self.step(right))
            case ast.BoolOp(op=op, values=values):
                return _junction([self.step(value) for value in values], decides=isinstance(op, ast.Or))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return _choice(self.step(test), self.step(body), self.step(orelse))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args, node)
        raise ValueError(f"{self._say(node)} is not understood; see the words of the language")

    def _number(self, value: float) -> _Step:
        try:
            number = float(value)
        except OverflowError:
            number = inf
        if not isfinite(number):
            raise ValueError("a number of the expression is too large")
        return lambda _: number

    def _call(self, name: str, args: Sequence[ast.expr], node: ast.expr) -> _Step:
        if name in GROUPS:
            match args:
                case [ast.Name(id=signal)]:
                    return self._grouped(name, self._signal(signal, node))
            raise ValueError(f"{name}(...) takes the name of one signal, not {self._say(node)}")
        if name in FUNCTIONS:
            count, function = FUNCTIONS[name]
            if len(args) != count:
                raise ValueError(f"{name}(...) takes {count} values, {self._say(node)} gives {len(args)}")
            return _strict(function, *(self.step(arg) for arg in args))
        known = ", ".join((*GROUPS, *FUNCTIONS))
        raise ValueError(f"there is no function {name!r}; there are {known}")

    def _signal(self, name: str, node: ast.expr) -> str:
        if name not in self._names:
            raise ValueError(f"{self._say(node)}: no signal {name!r}; there are {', '.join(sorted(self._names))}")
        return name

    def _grouped(self, group: str, signal: str) -> _Step:
        over = GROUPS[group]

        def step(values: Values) -> float | None:
            given = values[signal]
            return None if given is None else over(given)

        return step

    def _say(self, node: ast.expr) -> str:
        return repr(ast.get_source_segment(self._text.strip(), node) or self._text)


def _strict(function: Callable[..., float | None], *parts: _Step) -> _Step:
    """Unknown as soon as one part is; so is a division by zero, and what is not finite.

    Decided for each part alone: `a / 0 > 2 or b` is still true when b is.
    """

    def step(values: Values) -> float | None:
        given = [part(values) for part in parts]
        if any(value is None for value in given):
            return None
        try:
            return _finite(function(*given))
        except (ZeroDivisionError, OverflowError):
            return None

    return step


def _junction(parts: Sequence[_Step], *, decides: bool) -> _Step:
    """`or` is decided by one true part, `and` by one false one, whatever the others are."""

    def step(values: Values) -> float | None:
        unknown = False
        for part in parts:
            value = part(values)
            if value is None:
                unknown = True
            elif bool(value) is decides:
                return float(decides)
        return None if unknown else float(not decides)

    return step


def _choice(test: _Step, yes: _Step, no: _Step) -> _Step:
    def step(values: Values) -> float | None:
        chosen = test(values)
        return None if chosen is None else yes(values) if chosen else no(values)

    return step
