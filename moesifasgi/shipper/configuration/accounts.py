"""Users and groups of this system, by name or number. ValueError where there is no such name."""

import grp
import pwd
from typing import Any

_MOST = 2**32 - 2
"""The kernel's largest; the one above it means nobody."""


def user_id(given: Any) -> int:
    return _number(given, lambda name: pwd.getpwnam(name).pw_uid)


def group_id(given: Any) -> int:
    return _number(given, lambda name: grp.getgrnam(name).gr_gid)


def _number(given: Any, named: Any) -> int:
    if type(given) is int or (isinstance(given, str) and given.isdecimal()):
        if 0 <= int(given) <= _MOST:
            return int(given)
    elif isinstance(given, str):
        try:
            return int(named(given))
        except (KeyError, ValueError):
            raise ValueError("no such name") from None
    raise ValueError("neither name nor number")
