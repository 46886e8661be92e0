"""The cycle collector waits while short lists are made, and goes on after it whatever came."""

import gc

import pytest

from facility.memory import uncollected


def test_the_cycle_collector_goes_on_after_a_fault() -> None:
    with pytest.raises(ZeroDivisionError), uncollected():
        raise ZeroDivisionError
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled(), "who had put it off keeps it off"
    finally:
        gc.enable()
