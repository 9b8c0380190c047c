"""Where a tool finds dead letters: a running shipper, asked over its socket, or a spool at rest."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Protocol

from moesifasgi.shipper.letters import Facts, facts_of
from moesifasgi.shipper.spool import LetterKey, dead_letters, schema
from moesifasgi.shipper.spool.fsck import existing
from moesifasgi.shipper.spool.link import translated
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.shipper.tool import NoShipper, ask
from moesifasgi.wire.messages import (
    DecideLetters,
    LetterPart,
    Letters,
    LettersDecided,
    ListLetters,
    ReadLetter,
)

PAGE_LETTERS = 100
UNBOUNDED_BYTES = 2**50
"""What is retried was in this spool before; its shipper's own bounds hold again once it runs."""
DECIDES_IN_S = 60.0
"""A retry stores all of its letters durably before it answers."""


class LetterBox(Protocol):
    """Methods raise NoShipper, SpoolError."""

    def letters(self) -> Iterator[Facts]:
        """All that are kept, oldest first."""

    def payload(self, letter: Facts) -> bytes | None:
        """What is in it, as the worker packed it; None if it is gone."""

    def decide(self, keys: Sequence[LetterKey], *, retry: bool) -> int:
        """Retry these, or discard them; returns how many there were. At most ``MAX_LETTER_KEYS``."""


class RunningShipper:
    """Asked over its socket, as root or as its own user."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def letters(self) -> Iterator[Facts]:
        after = 0
        while page := ask(self._socket, ListLetters(after), Letters).letters:
            try:
                facts = [Facts.from_wire(wire) for wire in page]
            except TypeError as error:
                raise NoShipper(f"{self._socket}: a shipper of another version: {error}") from error
            yield from facts
            after = facts[-1].number

    def payload(self, letter: Facts) -> bytes | None:
        whole = b""
        while True:
            answer = ask(self._socket, ReadLetter(*letter.key, len(whole)), LetterPart)
            whole += answer.part
            if not answer.part or len(whole) >= answer.size:
                return whole if answer.size else None

    def decide(self, keys: Sequence[LetterKey], *, retry: bool) -> int:
        question = DecideLetters(retry, [list(key) for key in keys])
        return ask(self._socket, question, LettersDecided, DECIDES_IN_S).decided


class SpoolAtRest:
    """Read without a change, also while a shipper uses it; decided on only while none does (SpoolInUse)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def letters(self) -> Iterator[Facts]:
        after = 0
        while page := self._page(after):
            yield from page
            after = page[-1].number

    def _page(self, after: int) -> list[Facts]:
        with self._reading() as connection:
            return [facts_of(kept) for kept in dead_letters.select(connection, PAGE_LETTERS, after)]

    def payload(self, letter: Facts) -> bytes | None:
        with self._reading() as connection:
            found = dead_letters.find(connection, [letter.key])
        return found[0].letter.payload if found else None

    def decide(self, keys: Sequence[LetterKey], *, retry: bool) -> int:
        existing(self._directory)
        with closing(
            open_spool(self._directory, max_bytes=UNBOUNDED_BYTES, min_free_bytes=0, durability="full")
        ) as spool:
            return spool.retry_dead_letters(keys) if retry else spool.discard_dead_letters(keys)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        path = existing(self._directory)
        with translated(at_start=True):
            schema.check_version(path)
            with closing(schema.connect_to_read(path)) as connection:
                yield connection
