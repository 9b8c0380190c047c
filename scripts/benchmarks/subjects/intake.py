"""Subject: the receiver and intake over a real spool, without delivery; and the floor beneath it.

    python -m benchmarks.subjects.intake ours|floor DIRECTORY

The floor does what must be done to keep the same frames and nothing else: compress a chunk, take its
checksum, insert a row, commit every few chunks. Nobody could ship it: it knows no peer, session or bound.
"""

import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from lab.corpus import orders
from lab.far_end import FarEnd

from benchmarks.subjects.lines import answer_lines
from moesifasgi.shipper.compression import compress
from moesifasgi.shipper.intake import CHUNK_ITEMS
from moesifasgi.shipper.spool import Item, pack_items
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.wire.messages import Kind

CORPUS = 4_000
CHUNKS_A_COMMIT = 2
SPOOL_BYTES = 8 << 30
Turn = Callable[[int], dict[str, Any]]


@contextmanager
def ours(directory: Path) -> Iterator[Turn]:
    """Frames come over the socket from a process of its own."""
    spool = open_spool(directory, max_bytes=SPOOL_BYTES, min_free_bytes=0, durability="normal")
    path = directory / "socket"
    command = [sys.executable, "-m", "benchmarks.subjects.feeder", str(path)]
    with (
        FarEnd(path, spool),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as feeder,
    ):
        pipe_in, pipe_out = feeder.stdin, feeder.stdout
        assert pipe_in is not None
        assert pipe_out is not None

        def turn(count: int) -> dict[str, Any]:
            began = time.process_time()
            pipe_in.write(f"{count}\n")
            pipe_in.flush()
            pipe_out.readline()
            return {"cpu_s": time.process_time() - began}

        yield turn
        pipe_in.close()
    spool.close()


@contextmanager
def floor(directory: Path) -> Iterator[Turn]:
    connection = sqlite3.connect(directory / "floor.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE chunks (row INTEGER PRIMARY KEY, checksum INTEGER, body BLOB)")
    payloads = cycle([payload for _, payload in orders(CORPUS)])

    def turn(count: int) -> dict[str, Any]:
        items = [Item(Kind.RECORD, payload) for payload in islice(payloads, count)]
        began = time.process_time()
        for number, start in enumerate(range(0, count, CHUNK_ITEMS)):
            if number % CHUNKS_A_COMMIT == 0:
                connection.execute("BEGIN IMMEDIATE")
            body = compress(pack_items(items[start : start + CHUNK_ITEMS]))
            connection.execute("INSERT INTO chunks (checksum, body) VALUES (?, ?)", (zlib.crc32(body), body))
            if number % CHUNKS_A_COMMIT == CHUNKS_A_COMMIT - 1:
                connection.execute("COMMIT")
        if connection.in_transaction:
            connection.execute("COMMIT")
        return {"cpu_s": time.process_time() - began}

    yield turn
    connection.close()


def main(name: str, directory: str) -> None:
    with {"ours": ours, "floor": floor}[name](Path(directory)) as turn:
        answer_lines(turn)


if __name__ == "__main__":
    main(*sys.argv[1:])
