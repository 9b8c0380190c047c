"""The open file: two connections, the books in memory, and what happens when the file turns out damaged.

Intake and delivery have a connection each, so that reading a large chunk never holds up an append. Writes of
both go through one lock, so that SQLite never has to say "busy" inside this process.
"""

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from moesifasgi.quiet import say
from moesifasgi.shipper.spool import Lane, Mishap, SpoolError, aside, books, rescue, salvage, schema, tables
from moesifasgi.shipper.spool.ledger import Change, Ledger
from moesifasgi.shipper.spool.link import Link, translated
from moesifasgi.shipper.spool.schema import Durability, SpoolDamaged

FILE_NAME = "spool.sqlite3"
_SLACK_PAGES = 2_000
"""Free pages that stay in the file for the next appends (16 MiB); what is more goes back to the disk."""
_VACUUM_PAGES = 512
"""Pages given back in one step: some milliseconds, and faster than delivery can free them."""
_MAX_ROW = 2**62
_KEPT_MISHAPS = 10


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction works with."""

    connection: Connection
    change: Change
    """To be filled in; written and posted with the commit."""
    numbers: books.LaneNumbers
    """Numbers given out here count from the commit on."""

    def lane_number(self, lane: Lane) -> int:
        """The number of a lane, given out now if it has none."""
        number = self.numbers.number(lane)
        if number is None:
            number = self.numbers.next_number()
            books.insert_lane(self.connection, number, lane)
            self.numbers.add(lane, number)
        return number


class Database:
    """The spool file of a directory that this process owns. Methods raise SpoolError."""

    def __init__(self, directory: Path, durability: Durability, clock: Callable[[], float]) -> None:
        self.path = directory / FILE_NAME
        self._durability = durability
        self._clock = clock
        self._writing = threading.Lock()
        self._closed = False
        self.intake, self.delivery = Link(), Link()
        self.ledger = Ledger()
        self.numbers = books.LaneNumbers({})
        self.last_row = 0
        """The newest row given out; only the intake thread gives them out."""
        self.generation = 0
        """Goes up each time that the file is replaced."""
        self.mishaps: deque[Mishap] = deque(maxlen=_KEPT_MISHAPS)
        """Since the start."""
        self._files: rescue.Files = ()
        self._astray = ""

    def open(self) -> None:
        """Open the file, made or salvaged if need be. SpoolError: it cannot be, or is a newer version's."""
        with translated(at_start=True):
            _refuse_what_is_not_ours(self.path)
            rescue.forget_unfinished(self.path)
            if rescue.is_complete(self.path) or not self.path.exists():
                self._replace()
        try:
            self._attach()
        except SpoolDamaged:
            self._detach()
            with translated():
                self._replace()
            self._attach()
        except SpoolError:
            self._detach()
            raise

    def close(self) -> None:
        """May be called twice."""
        with self.intake.lock, self.delivery.lock, self._writing:
            self._closed = True
            self._detach()

    def recover(self, generation: int) -> None:
        """The file was found damaged while it had this generation: go on with what can be saved of it."""
        with self.intake.lock, self.delivery.lock, self._writing:
            if self._closed:
                raise SpoolError("the spool is closed")
            if self.generation != generation:
                return
            self._detach()
            with translated():
                self._replace()
            self._attach()
            self.generation += 1

    def look_after(self, own: Callable[[], None]) -> None:
        """Notice that somebody took the files away, and put all that is in them into new ones.

        ``own`` makes sure that the directory is still this process's. SpoolError: one of the two fails. Until
        it does not, nothing is stored; what is there can be delivered.
        """
        if self._closed:
            return
        try:
            own()
            with translated():
                # Without a lock, so that a long read does not hold up the intake.
                if rescue.files_of(self.path) != self._files:
                    self._rescue()
        except SpoolDamaged:
            raise
        except SpoolError as error:
            self._astray = f"the spool's files were taken away, and cannot be written anew: {error}"
            raise
        self._astray = ""

    def _rescue(self) -> None:
        with self.intake.lock, self.delivery.lock, self._writing:
            if self._closed or rescue.files_of(self.path) == self._files:
                return
            if self.intake.connection is None:
                raise SpoolDamaged("the spool is not open")
            rescue.copy(self.intake.connection, self.path)
            self._detach()
            self._replace()
            self._attach()
            self.generation += 1

    def refuse_if_astray(self) -> None:
        """Raises SpoolError while what is stored would go to files that nobody finds again."""
        if self._astray:
            raise SpoolError(self._astray)

    @contextmanager
    def transaction(self, link: Link) -> Iterator[Transaction]:
        """A transaction, the books included: all of the block is stored, or nothing of it."""
        with link.turn() as connection, self._writing:
            running = Transaction(connection, Change(), self.numbers.copy())
            with _committed(connection):
                yield running
                books.write(connection, running.numbers, running.change)
            self.numbers = running.numbers
            self.ledger.post(running.change)

    @contextmanager
    def settled_books(self) -> Iterator[Ledger]:
        """The books while no transaction is running."""
        with self._writing:
            yield self.ledger

    def give_back(self) -> None:
        """Return one step of free pages to the disk, if there are more than appends will soon need."""
        with self.delivery.turn() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if free <= _SLACK_PAGES:
                return
            with self._writing:
                # It gives a row for each page; execute() would stop after the first.
                connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    def _replace(self) -> None:
        """A sound file under the spool's name, with what there is to put into it."""
        if rescue.is_complete(self.path):
            kept = rescue.finish(self.path, self._clock())
            self._note(Mishap("was taken away", kept.name if kept else "", rescue.events_in(self.path), 0))
            return
        done = salvage.replace(self.path, self._clock())
        if done.file:
            self._note(Mishap("was damaged", done.file.name, done.saved, done.lost, done.waiting))
        elif self.ledger.events:
            self._note(Mishap("was taken away and damaged", "", 0, self.ledger.events))

    def _note(self, mishap: Mishap) -> None:
        self.mishaps.append(mishap)
        say("mishap", "%s", mishap)

    def _attach(self) -> None:
        with translated(at_start=True):
            schema.check_version(self.path)
            self.intake.connection = schema.connect(self.path, self._durability)
            schema.add_tables(self.intake.connection)
            self.delivery.connection = schema.connect(self.path, self._durability)
            self.ledger, self.numbers = books.load(self.intake.connection)
            newest = tables.newest_row(self.intake.connection)
            self._files = rescue.files_of(self.path)
        if newest > _MAX_ROW:
            raise SpoolDamaged("a row has an impossible number")
        self.last_row = max(newest, self.last_row)

    def _detach(self) -> None:
        for link in (self.delivery, self.intake):
            link.disconnect()


def _refuse_what_is_not_ours(path: Path) -> None:
    """A person put it there: what a link points to is not ours, a directory may hold anything, and a file
    that root has made is closed to us."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise SpoolError(f"{path} is not a regular file")
    for file in (Path(f"{path}{companion}") for companion in ("", aside.LOG, aside.INDEX)):
        with suppress(FileNotFoundError):
            owner = file.stat().st_uid
            if not os.access(file, os.R_OK | os.W_OK):
                expected = f"expected a file that user id {os.geteuid()} may write to"
                raise SpoolError(f"{file} belongs to user id {owner}; {expected}")


@contextmanager
def _committed(connection: Connection) -> Iterator[None]:
    """All of the block is stored, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # After some errors SQLite has rolled back by itself; then, and after COMMIT, this does nothing.
        connection.rollback()
