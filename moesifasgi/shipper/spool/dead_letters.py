"""Dead letters: what the collector refused for good, kept for a person to look at, within a bound."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from moesifasgi.shipper.compression import compress, decompress
from moesifasgi.shipper.spool import DeadLetter, KeptDeadLetter, Lane, LetterKey
from moesifasgi.shipper.spool.ledger import DEAD_LETTER_BYTES, DEAD_LETTERS, Change, Ledger
from moesifasgi.shipper.spool.rows import seal
from moesifasgi.shipper.spool.seals import DEAD_LETTERS as DEAD_LETTER_SEALS
from moesifasgi.wire.frame import MAX_FRAME_BYTES

MAX_DEAD_LETTERS = 10_000
_COLUMNS = "number, session, sequence, application_id, stream, kind, code, reason, refused_at, seal, payload"


@dataclass(frozen=True, slots=True)
class Bound:
    """How many dead letters are kept, and how many bytes of them as stored; the oldest go first."""

    letters: int
    bytes: int


def keep(
    connection: sqlite3.Connection, lane: Lane, letters: Iterable[DeadLetter], now: float, change: Change
) -> None:
    """Store dead letters; one that is kept already stays as it is."""
    for letter in letters:
        # A reason may quote what could not be encoded, such as a lone surrogate.
        reason = letter.reason.encode("utf-8", "replace").decode()
        payload, text = compress(letter.payload), (*lane, letter.kind, letter.code, reason)
        sealed = seal(payload, letter.session, letter.sequence, *text)
        cursor = connection.execute(
            f"INSERT OR IGNORE INTO dead_letters ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (letter.session, letter.sequence, *text, now, sealed, payload),
        )
        _count(change, cursor.rowcount, cursor.rowcount * len(payload))


def trim(connection: sqlite3.Connection, bound: Bound, ledger: Ledger, change: Change) -> None:
    """Remove the oldest until the rest is within the bound."""

    def now(name: str) -> int:
        return ledger.counters[name] + change.counters[name]

    while now(DEAD_LETTERS) > bound.letters or now(DEAD_LETTER_BYTES) > bound.bytes:
        oldest = connection.execute("SELECT min(number) FROM dead_letters").fetchone()[0]
        if oldest is None:
            break
        _remove(connection, oldest, change)


def select(connection: sqlite3.Connection, limit: int, after: int = 0) -> list[KeptDeadLetter]:
    """The oldest dead letters with a larger number, at most ``limit``; a damaged one is left out."""
    query = f"SELECT {_COLUMNS} FROM dead_letters WHERE number > ? ORDER BY number LIMIT ?"
    return list(_intact(connection.execute(query, (after, limit))))


def find(connection: sqlite3.Connection, keys: Iterable[LetterKey]) -> list[KeptDeadLetter]:
    """Those that are kept and intact."""
    query = f"SELECT {_COLUMNS} FROM dead_letters WHERE session = ? AND sequence = ?"
    return [letter for key in keys for letter in _intact(connection.execute(query, key))]


def remove(connection: sqlite3.Connection, keys: Iterable[LetterKey], change: Change) -> int:
    """Remove those that are kept; returns how many there were."""
    removed = 0
    for key in keys:
        found = connection.execute(
            "SELECT number FROM dead_letters WHERE session = ? AND sequence = ?", key
        ).fetchone()
        if found:
            _remove(connection, found[0], change)
            removed += 1
    return removed


def recount(connection: sqlite3.Connection) -> dict[str, int]:
    """The counters of what is kept, by a scan."""
    letters, size = connection.execute("SELECT count(*), total(length(payload)) FROM dead_letters").fetchone()
    return {DEAD_LETTERS: letters, DEAD_LETTER_BYTES: int(size)}


def _remove(connection: sqlite3.Connection, number: int, change: Change) -> None:
    (size,) = connection.execute(
        "SELECT length(payload) FROM dead_letters WHERE number = ?", (number,)
    ).fetchone()
    connection.execute("DELETE FROM dead_letters WHERE number = ?", (number,))
    _count(change, -1, -size)


def _count(change: Change, letters: int, size: int) -> None:
    change.counters[DEAD_LETTERS] += letters
    change.counters[DEAD_LETTER_BYTES] += size


def _intact(rows: sqlite3.Cursor) -> Iterator[KeptDeadLetter]:
    for row in filter(DEAD_LETTER_SEALS.vouched, rows):
        number, session, sequence, application_id, stream, kind, code, reason, refused_at, _, payload = row
        content = decompress(payload, MAX_FRAME_BYTES)
        letter = DeadLetter(session, sequence, kind, content, code, reason)
        yield KeptDeadLetter(letter, Lane(application_id, stream), refused_at, number)
