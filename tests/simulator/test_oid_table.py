"""The table behind the SNMP agents: order, absence, liveness."""

import pytest

from simulator.oid_table import Bound, Missing, OidTable, Syntax, parse_oid


def table() -> tuple[OidTable, dict[str, bool]]:
    made, there = OidTable(), {"row": False}
    made.add("1.3.6.1.9.2.0", Syntax.TEXT, "second")
    made.add("1.3.6.1.9.10.0", Syntax.INTEGER, 10)
    made.add("1.3.6.1.9.3.1.1", Syntax.INTEGER, lambda: 7 if there["row"] else None)
    return made, there


def walk(made: OidTable) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    at: tuple[int, ...] = (1,)
    while (step := made.next(at)) is not None:
        at = step[0]
        found.append(at)
    return found


def test_next_goes_in_numeric_order_and_past_absent_rows() -> None:
    made, there = table()
    assert [oid[5:] for oid in walk(made)] == [(2, 0), (10, 0)]
    there["row"] = True
    assert [oid[5:] for oid in walk(made)] == [(2, 0), (3, 1, 1), (10, 0)]


def test_get_tells_a_missing_instance_from_a_missing_object() -> None:
    made, there = table()
    row = parse_oid("1.3.6.1.9.3.1.1")
    assert made.get(row) is Missing.NO_SUCH_INSTANCE
    assert made.get(parse_oid("1.3.6.1.9.2.1")) is Missing.NO_SUCH_INSTANCE
    assert made.get(parse_oid("1.3.6.1.9.4.0")) is Missing.NO_SUCH_OBJECT
    there["row"] = True
    assert made.get(row) == Bound(Syntax.INTEGER, 7)


def test_an_object_is_added_once() -> None:
    made, _ = table()
    with pytest.raises(ValueError, match=r"1\.3\.6\.1\.9\.2\.0 is there already"):
        made.add(".1.3.6.1.9.2.0", Syntax.INTEGER, 1)
    made.add("1.3.6.1.9.1.0", Syntax.INTEGER, 1)
    assert walk(made)[0][5:] == (1, 0)
