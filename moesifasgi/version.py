"""The version, in the one place that setup.py, the wire and the User-Agent read it from."""

from itertools import takewhile

VERSION = "2.0.0.dev0"


def is_older(version: str, other: str = VERSION) -> bool:
    """Whether a release is older than another, by its numbers alone: ``2.0.0.dev0`` is as old as 2.0.0."""
    return _numbers(version) < _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in takewhile(str.isdecimal, version.split(".")))
