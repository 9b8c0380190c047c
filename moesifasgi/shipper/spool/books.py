"""The ledger's tables: lanes and counters, read at the start and written inside every transaction."""

import sqlite3

from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.spool.ledger import Change, Holding, Ledger
from moesifasgi.shipper.spool.schema import SpoolDamaged

_MAX_CHUNK_EVENTS = 1_000_000
"""A row that claims more is damaged."""


class LaneNumbers:
    """Lane ↔ the number that rows carry in its place."""

    __slots__ = ("_by_lane", "_by_number")

    def __init__(self, names: dict[int, Lane]) -> None:
        self._by_number = names
        self._by_lane = {lane: number for number, lane in names.items()}

    def copy(self) -> "LaneNumbers":
        return LaneNumbers(dict(self._by_number))

    def number(self, lane: Lane) -> int | None:
        """None for a lane that never held anything."""
        return self._by_lane.get(lane)

    def lane(self, number: int) -> Lane:
        """Raises SpoolDamaged for a number that was never given out."""
        try:
            return self._by_number[number]
        except KeyError:
            raise SpoolDamaged("a row belongs to no lane") from None

    def next_number(self) -> int:
        return max(self._by_number, default=0) + 1

    def add(self, lane: Lane, number: int) -> None:
        """The lane has this number in the file."""
        self._by_lane[lane], self._by_number[number] = number, lane


def lane_names(connection: sqlite3.Connection) -> dict[int, set[Lane]]:
    """Each lane's name as the table and as the index have it: one each, unless the file is damaged."""
    names: dict[int, set[Lane]] = {}
    for source in ("NOT INDEXED", "INDEXED BY lanes_by_name"):
        rows = connection.execute(f"SELECT lane, application_id, stream FROM lanes {source}")
        for number, application_id, stream in rows:
            names.setdefault(number, set()).add(Lane(str(application_id), str(stream)))
    return names


def load(connection: sqlite3.Connection) -> tuple[Ledger, LaneNumbers]:
    """The books as the file has them. Raises SpoolDamaged where they cannot be right."""
    names = lane_names(connection)
    if any(len(candidates) > 1 for candidates in names.values()):
        raise SpoolDamaged("a lane has two names")
    numbers = LaneNumbers({number: candidates.pop() for number, candidates in names.items()})
    change = Change()
    for number, events, size in connection.execute("SELECT lane, events, bytes FROM lanes"):
        change.hold(numbers.lane(number), _whole(events), _whole(size))
    change.counters.update(load_counters(connection))
    ledger = Ledger()
    ledger.post(change)
    if not ledger.is_sound(_file_bytes(connection)):
        raise SpoolDamaged("the counters do not add up")
    return ledger, numbers


def load_counters(connection: sqlite3.Connection) -> dict[str, int]:
    rows = connection.execute("SELECT name, value FROM counters")
    return {str(name): _whole(value) for name, value in rows}


def insert_lane(connection: sqlite3.Connection, number: int, lane: Lane) -> None:
    connection.execute("INSERT INTO lanes (lane, application_id, stream) VALUES (?, ?, ?)", (number, *lane))


def write(connection: sqlite3.Connection, numbers: LaneNumbers, change: Change) -> None:
    """A change of the books, in the transaction that it describes."""
    connection.executemany(
        "UPDATE lanes SET events = events + ?, bytes = bytes + ? WHERE lane = ?",
        [(held.events, held.bytes, numbers.number(lane)) for lane, held in change.lanes.items()],
    )
    connection.executemany(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        [(name, count) for name, count in change.counters.items() if count],
    )


def counted(connection: sqlite3.Connection, number: int) -> Holding:
    """What a lane really holds, by a scan of its rows: only for a lane in which a row was damaged."""
    events, size = connection.execute(
        "SELECT total(CASE WHEN events BETWEEN 0 AND ? THEN events END), total(length(body))"
        " FROM chunks WHERE lane = ?",
        (_MAX_CHUNK_EVENTS, number),
    ).fetchone()
    return Holding(int(events), int(size))


def _file_bytes(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(page_bytes)


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise SpoolDamaged(f"a count is a {type(value).__name__}")
    return value
