"""One SQLite connection that several threads use in turn, and the one place where its errors become ours."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from moesifasgi.shipper.spool import SpoolError
from moesifasgi.shipper.spool.schema import SpoolDamaged

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def translated(*, at_start: bool = False) -> Iterator[None]:
    """SQLite's and the system's errors as SpoolError, or SpoolDamaged where the file is to blame.

    At the start a missing table is damage too; later on nothing but a fault of ours could explain it.
    """
    damage = _DAMAGE | {sqlite3.SQLITE_ERROR} if at_start else _DAMAGE
    try:
        yield
    except sqlite3.Error as error:
        # The lower byte is the error, the rest says more about it. sqlite3's own faults have no code.
        code = getattr(error, "sqlite_errorcode", -1) & 0xFF
        kind = SpoolDamaged if code in damage else SpoolError
        raise kind(f"the spool failed: {error}") from error
    except UnicodeDecodeError as error:
        # sqlite3 could not even decode the message, which quotes the name of a table.
        raise SpoolDamaged("the spool failed: its tables have no names any more") from error
    except OSError as error:
        raise SpoolError(f"the spool failed: {error.strerror}") from error


class Link:
    """A connection and whose turn it is.

    A turn lasts for one read or one transaction. Who also needs the spool's write lock takes it second, so
    that a long read on one link never holds up a write on the other.
    """

    __slots__ = ("connection", "lock")

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None
        self.lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone. Raises SpoolError for what goes wrong in the block."""
        with self.lock, translated():
            if self.connection is None:
                raise SpoolDamaged("the spool is not open")
            yield self.connection

    def disconnect(self) -> None:
        """May be called twice."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
