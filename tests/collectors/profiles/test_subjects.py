"""Subjects made of a name and of sub-identifiers beside it."""

from collectors.subjects import Names


def test_a_name_need_not_be_unique_where_the_subject_already_tells_rows_apart() -> None:
    said = {"1.2": "Temperature.Value", "2.2": "Temperature.Value", "2.9": "Temperature.Value"}
    assert Names(within=(1,)).unique(said) == {
        "1.2": "Temperature.Value",
        "2.2": "Temperature.Value",
        "2.9": "Temperature.Value-2",
    }
    assert Names().unique(said)["2.2"] == "Temperature.Value-2"


def test_a_device_that_leaves_renames_nobody() -> None:
    names = Names(within=(1,))
    names.unique({"1.2": "Access.Value", "2.2": "Access.Value", "3.2": "Access.Value"})
    fresh = Names(within=(1,)).unique({"2.2": "Access.Value", "3.2": "Access.Value"})
    assert names.unique({"2.2": "Access.Value", "3.2": "Access.Value"}) == fresh
    assert fresh == {"2.2": "Access.Value", "3.2": "Access.Value"}
