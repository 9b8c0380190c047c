"""A shortcut through a JSON body, for what nearly all of them are.

It takes a fifth off the reading of a body of 100 bytes, and nearly half off that of one of 100 kB.
``event.body`` says what a body is, down to NaN, half a surrogate pair and integers of any length. orjson
refuses most of what is special there; what it would change without a word is found before. The worker goes
without, so that an application which has no orjson of its own does not load it.
"""

from typing import Any

import orjson

from moesifasgi.event.body import check_depth

_DIGITS_AS_ZEROS = bytes(0x30 if chr(byte).isdecimal() else 0xFF for byte in range(128)) + b"\xff" * 128
_LONG_NUMBER = b"0" * 19
"""As many digits as the largest integers of 64 bits have. orjson makes floats of larger ones."""


def quick_json(raw: bytes) -> Any:
    """The value that ``event.body`` finds in the same bytes, or ValueError: it may be another, or none."""
    if _LONG_NUMBER in raw.translate(_DIGITS_AS_ZEROS):
        raise ValueError("an integer may have more than 64 bits")
    value = orjson.loads(raw)
    check_depth(raw.count(b"[") + raw.count(b"{"), value)
    return value
