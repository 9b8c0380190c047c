"""Which rows of the small tables their seal vouches for: only those are saved, and fsck names the others.

A row that is kept whatever it says would be kept by every repair, and found damaged by every examination.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from moesifasgi.shipper.spool.rows import is_sealed

Row = tuple[Any, ...]
"""As the file has it: a damaged one may have anything anywhere."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A table whose rows carry a seal."""

    name: str
    vouched: Callable[[Row], bool]
    label: Callable[[Row], str]
    """What a person is told of a row that is damaged; no id of an application."""


def _session(row: Row) -> bool:
    session, last, touched_at, sealed = row
    return isinstance(touched_at, float) and is_sealed(sealed, session, last)


def _application(row: Row) -> bool:
    _, settings, sealed = row
    return is_sealed(sealed, settings)


def _policy(row: Row) -> bool:
    application_id, policy, sealed = row
    return is_sealed(sealed, policy, application_id)


def _dead_letter(row: Row) -> bool:
    _, session, sequence, *text, refused_at, sealed, payload = row
    return isinstance(refused_at, float) and is_sealed(sealed, payload, session, sequence, *text)


def _refill(row: Row) -> bool:
    file, after, events, sealed = row
    return is_sealed(sealed, b"", file, after, events)


def _ending(row: Row) -> str:
    return f"…{str(row[0])[-4:]}"


SESSIONS = Sealed("sessions", _session, lambda row: f"session {_in_hex(row[0])}")
APPLICATIONS = Sealed("applications", _application, lambda row: f"the settings of {_ending(row)}")
POLICIES = Sealed("policies", _policy, lambda row: f"the policy of {_ending(row)}")
DEAD_LETTERS = Sealed("dead_letters", _dead_letter, lambda row: f"dead letter {row[0]}")
REFILLS = Sealed("refills", _refill, lambda row: f"what is left to read of {row[0]}")
SMALL: tuple[Sealed, ...] = (SESSIONS, APPLICATIONS, POLICIES, REFILLS)
SEALED: tuple[Sealed, ...] = (*SMALL, DEAD_LETTERS)


def rows_of(connection: sqlite3.Connection, table: Sealed) -> Iterator[Row]:
    """All rows of a table; none where an older file does not have it. sqlite3.Error: it cannot be read."""
    if table.name in _OLDER_LACK and not _has(connection, table.name):
        return
    yield from connection.execute(f"SELECT * FROM {table.name}")


def unsealed(connection: sqlite3.Connection, table: Sealed) -> list[str]:
    """The labels of rows that their seal does not vouch for."""
    return [table.label(row) for row in rows_of(connection, table) if not table.vouched(row)]


_OLDER_LACK = {POLICIES.name, REFILLS.name}
"""Tables that were added to version 1; no shipper has opened a file that lacks them since."""


def _has(connection: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return connection.execute(query, (table,)).fetchone() is not None


def _in_hex(session: object) -> str:
    return session.hex() if isinstance(session, bytes) else repr(session)
