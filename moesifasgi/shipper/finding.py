"""One line of what ``moesif-shipper check`` found."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """``FAILED``: events would not arrive, or the shipper would not start."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


class Finding(NamedTuple):
    """One line."""

    verdict: Verdict
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<8} {self.subject}: {self.text}"
