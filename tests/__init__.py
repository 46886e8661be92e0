"""The tests; a package so that `tests.support` is found before any other distribution's folder of that name."""
