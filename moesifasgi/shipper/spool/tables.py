"""Chunks, sessions, applications and policies in SQL: a short function a statement, no transactions here."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import msgpack

from moesifasgi.shipper.spool import ANY_SIZE, LAST_ROW, Lane
from moesifasgi.shipper.spool.rows import ChunkRow, is_sealed, seal
from moesifasgi.wire.application import Application

_CHUNK = "row, session, appended_at, events, unpacked_bytes, sequences, seal, body"


class RowFacts(NamedTuple):
    """What is counted when a row goes."""

    lane_number: int
    events: int
    bytes: int


def insert_chunk(connection: sqlite3.Connection, lane_number: int, row: ChunkRow) -> None:
    connection.execute(
        f"INSERT INTO chunks (lane, {_CHUNK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (lane_number, row.row, *row[2:]),
    )


def select_chunks(
    connection: sqlite3.Connection,
    lane_number: int,
    lane: Lane,
    after: int,
    max_items: int,
    upto: int = LAST_ROW,
    max_bytes: int = ANY_SIZE,
) -> list[ChunkRow]:
    """Rows of a lane after row ``after`` and up to ``upto``, until they reach a limit; unchecked."""
    found: list[ChunkRow] = []
    items = size = 0
    query = (
        f"SELECT {_CHUNK} FROM chunks INDEXED BY chunks_by_lane"
        " WHERE lane = ? AND row > ? AND row <= ? ORDER BY row"
    )
    for row, *facts in connection.execute(query, (lane_number, after, upto)):
        found.append(ChunkRow(row, lane, *facts))
        items, size = items + _whole(found[-1].events), size + _whole(found[-1].unpacked_bytes)
        if items >= max_items or size >= max_bytes:
            break
    return found


def _whole(value: object) -> int:
    """A number; 0 for what a damaged row has in its place."""
    return value if isinstance(value, int) else 0


def scan_chunks(
    connection: sqlite3.Connection, names: Mapping[int, Iterable[Lane]], after: int
) -> Iterator[list[ChunkRow]]:
    """All rows after row ``after``, in order, each once for every name that its lane may have; unchecked."""
    query = f"SELECT lane, {_CHUNK} FROM chunks NOT INDEXED WHERE row > ? ORDER BY row"
    for number, row, *facts in connection.execute(query, (after,)):
        yield [ChunkRow(row, lane, *facts) for lane in names.get(number, ())]


def row_facts(connection: sqlite3.Connection, row: int) -> RowFacts | None:
    found = connection.execute(
        "SELECT lane, events, length(body) FROM chunks WHERE row = ?", (row,)
    ).fetchone()
    return RowFacts(*found) if found else None


def delete_chunk(connection: sqlite3.Connection, row: int) -> None:
    connection.execute("DELETE FROM chunks WHERE row = ?", (row,))


def next_row(connection: sqlite3.Connection, lane_numbers: Iterable[int], after: int) -> int | None:
    """The first row after ``after`` as the index knows it, whatever became of the row itself."""
    query = "SELECT min(row) FROM chunks INDEXED BY chunks_by_lane WHERE lane = ? AND row > ?"
    found = [connection.execute(query, (number, after)).fetchone()[0] for number in lane_numbers]
    return min((row for row in found if row is not None), default=None)


def newest_row(connection: sqlite3.Connection) -> int:
    (row,) = connection.execute("SELECT max(row) FROM chunks").fetchone()
    return row or 0


def oldest_append(connection: sqlite3.Connection) -> float | None:
    """When the oldest chunk came, seconds since the epoch."""
    found = connection.execute("SELECT appended_at FROM chunks ORDER BY row LIMIT 1").fetchone()
    return found[0] if found and isinstance(found[0], float) else None


def write_sessions(connection: sqlite3.Connection, sessions: Mapping[bytes, int], now: float) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)",
        [(session, last, now, seal(session, last)) for session, last in sessions.items()],
    )


def select_session(connection: sqlite3.Connection, session: bytes) -> int | None:
    """The session's last sequence; None if there is none, or none that its seal vouches for."""
    found = connection.execute("SELECT last, seal FROM sessions WHERE session = ?", (session,)).fetchone()
    return found[0] if found and is_sealed(found[1], session, found[0]) else None


def sessions_before(connection: sqlite3.Connection, time: float) -> list[bytes]:
    return [
        row[0] for row in connection.execute("SELECT session FROM sessions WHERE touched_at < ?", (time,))
    ]


def delete_sessions(connection: sqlite3.Connection, sessions: Iterable[bytes]) -> None:
    connection.executemany("DELETE FROM sessions WHERE session = ?", [(session,) for session in sessions])


def write_application(connection: sqlite3.Connection, application: Application) -> None:
    settings = msgpack.packb(application.to_wire())
    connection.execute(
        "INSERT OR REPLACE INTO applications VALUES (?, ?, ?)",
        (application.application_id, settings, seal(settings)),
    )


def select_applications(connection: sqlite3.Connection) -> Iterator[Application]:
    """Those whose settings are intact; the others are told again with their workers' next HELLO."""
    for settings, sealed in connection.execute("SELECT settings, seal FROM applications"):
        if is_sealed(sealed, settings):
            with suppress(ValueError):  # Another version may have taken settings that this one refuses.
                yield Application.from_wire(msgpack.unpackb(settings))


def delete_application(connection: sqlite3.Connection, application_id: str) -> None:
    """Its settings and its policy."""
    for table in ("applications", "policies"):
        connection.execute(f"DELETE FROM {table} WHERE application_id = ?", (application_id,))


def write_policy(connection: sqlite3.Connection, application_id: str, policy: bytes) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO policies VALUES (?, ?, ?)",
        (application_id, policy, seal(policy, application_id)),
    )


def select_policies(connection: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """Those that are intact; the others are fetched again."""
    for application_id, policy, sealed in connection.execute("SELECT * FROM policies"):
        if is_sealed(sealed, policy, application_id):
            yield application_id, policy
