"""A subject's end of the pipe without an event loop: a count a line in, JSON out."""

import json
import sys
from collections.abc import Callable
from typing import Any


def answer_lines(turn: Callable[[int], dict[str, Any]]) -> None:
    """Answer each count with what ``turn`` says, until the input ends."""
    for line in sys.stdin:
        print(json.dumps(turn(int(line))), flush=True)
