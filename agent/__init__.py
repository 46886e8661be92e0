"""The edge program: polls the devices of a site, judges alarms, journals both and carries them to the centre."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("coldaisle")
except PackageNotFoundError:
    # Run from a checkout that was never installed.
    VERSION = "0+source"
