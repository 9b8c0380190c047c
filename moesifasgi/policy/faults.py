"""What was left out of a policy, and why: bounded, and with nothing of a pattern or of a user's id in it."""

from typing import Final

MAX_LINES: Final = 50
MAX_CHARACTERS: Final = 200
"""For a line; the shipper's status shows them all."""


class Faults:
    """Lines for a person, in the order in which they were found."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._unsaid = 0

    def add(self, line: str) -> None:
        if len(self._lines) < MAX_LINES - 1:
            self._lines.append(_printable(line))
        else:
            self._unsaid += 1

    def add_once(self, line: str) -> None:
        """For what is wrong with more than one rule."""
        if _printable(line) not in self._lines:
            self.add(line)

    def lines(self) -> tuple[str, ...]:
        rest = (f"and {self._unsaid} more",) if self._unsaid else ()
        return (*self._lines, *rest)


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in line[:MAX_CHARACTERS])
