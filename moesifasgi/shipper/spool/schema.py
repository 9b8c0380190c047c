"""The spool's file: its tables, its pragmas, how it is made and what is checked before it is used.

    chunks        one row per chunk, ``row`` is the place in the FIFO, ``seal`` covers body and facts
    lanes         number, name and running sums of each lane; the name is kept twice (table and index),
                  because everything of a lane would be lost with it
    counters      one number per fate of an item
    sessions      the last stored sequence of each worker session
    applications  settings of each application, so that a backlog can be delivered after a restart
    dead_letters  what the collector refused for good, oldest first
    policies      what the dashboard decided for each application; files of before have it added
    refills       damaged files that are still to be read, and from where on; added likewise

The version is written twice, in ``user_version`` and in ``application_id``, so that a flipped bit is not
taken for a newer version's file, which is refused and left alone.
"""

import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Literal

from moesifasgi.shipper.spool import SpoolError

Durability = Literal["normal", "full"]

VERSION = 1
_MARK = 0x4D530000
"""``MS`` in the upper half of ``application_id``; the version is the lower half."""
PAGE_BYTES = 8192
"""Chunks of 60 kB were appended 10 % faster than with 4096; larger pages only cost small chunks more."""
_CHECKPOINT_PAGES = 1000
_WAL_KEPT_BYTES = 16 * 1024 * 1024
_BUSY_TIMEOUT_S = 1.0
"""How long to wait for a stranger's lock (a backup, a shell); nothing in this process ever waits for it."""

_TABLES = """
CREATE TABLE chunks (
    row INTEGER PRIMARY KEY, lane INTEGER NOT NULL, session BLOB NOT NULL, appended_at REAL NOT NULL,
    events INTEGER NOT NULL, unpacked_bytes INTEGER NOT NULL, sequences BLOB NOT NULL, seal INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX chunks_by_lane ON chunks (lane, row);
CREATE TABLE lanes (
    lane INTEGER PRIMARY KEY, application_id TEXT NOT NULL, stream TEXT NOT NULL,
    events INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX lanes_by_name ON lanes (application_id, stream);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (
    session BLOB PRIMARY KEY, last INTEGER NOT NULL, touched_at REAL NOT NULL, seal INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE applications (application_id TEXT PRIMARY KEY, settings BLOB NOT NULL, seal INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE dead_letters (
    number INTEGER PRIMARY KEY, session BLOB NOT NULL, sequence INTEGER NOT NULL,
    application_id TEXT NOT NULL, stream TEXT NOT NULL, kind INTEGER NOT NULL, code TEXT NOT NULL,
    reason TEXT NOT NULL, refused_at REAL NOT NULL, seal INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE UNIQUE INDEX dead_letters_by_item ON dead_letters (session, sequence);
"""
_ADDED_TABLES = """
CREATE TABLE IF NOT EXISTS policies (
    application_id TEXT PRIMARY KEY, policy BLOB NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refills (
    file TEXT PRIMARY KEY, after INTEGER NOT NULL, events INTEGER NOT NULL, seal INTEGER NOT NULL
    ) WITHOUT ROWID;
"""
"""What version 1 did not have from the beginning; one that knows nothing of it leaves it alone."""


class SpoolDamaged(SpoolError):
    """The file is not what was written: not a database, malformed, or its books do not add up."""


def create(path: Path) -> None:
    """Make a spool file, readable by its owner only, of one that is empty or not there.

    Raises sqlite3.Error, OSError.
    """
    touch(path)
    connection = _raw_connection(path)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.executescript(f"BEGIN; {_TABLES} {_ADDED_TABLES}")
        connection.execute(f"PRAGMA application_id = {_MARK + VERSION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def touch(path: Path) -> None:
    """A file that only its owner can read, if there is none."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))


def check_version(path: Path) -> None:
    """Look at a file without changing it. SpoolError: a newer version's; SpoolDamaged or sqlite3.Error: no
    spool."""
    # SQLite throws the log of an empty file away, so it must not come to see the pair.
    size, log = path.stat().st_size, Path(f"{path}-wal")
    if size == 0:
        raise SpoolDamaged(f"{path} is empty")
    # A checkpoint that was interrupted leaves a part of a page too, but then the log has all of it.
    if size % PAGE_BYTES and not (log.exists() and log.stat().st_size):
        raise SpoolDamaged(f"{path} is cut")
    # Where there is no log nobody uses it, and it need not be shared: that would leave files behind.
    connection = _raw_connection(_uri(path, "mode=ro" if log.exists() else "mode=ro&immutable=1"))
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
    finally:
        connection.close()
    if mark != _MARK + version or version < 1:
        raise SpoolDamaged(f"{path} is no spool")
    if version > VERSION:
        raise SpoolError(
            f"{path} is of version {version}, made by a newer moesifasgi; this one knows {VERSION}"
        )


def connect(path: Path, durability: Durability) -> sqlite3.Connection:
    """A connection for several threads, one at a time, with transactions begun by hand."""
    connection = _raw_connection(path)
    for pragma in (
        "journal_mode = WAL",
        f"synchronous = {durability.upper()}",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"journal_size_limit = {_WAL_KEPT_BYTES}",
        "temp_store = MEMORY",
        "secure_delete = FAST",
        "cell_size_check = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def add_tables(connection: sqlite3.Connection) -> None:
    """Give an older file the tables that it lacks."""
    connection.executescript(_ADDED_TABLES)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes neither the file nor its log."""
    return _raw_connection(_uri(path, "mode=ro"))


def _uri(path: Path, query: str) -> str:
    return f"{path.absolute().as_uri()}?{query}"


def _raw_connection(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        uri=isinstance(path, str),
    )
    # A damaged text must cost what it belongs to, not fail to decode inside sqlite3.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection
