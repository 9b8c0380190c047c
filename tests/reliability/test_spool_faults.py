"""T8: disks that are full or read-only, and files that are not what they should be."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from lab import nobody
from lab.counts import count_of, seed_of
from lab.homes import memory_directory
from lab.processes import eventually
from lab.small_disk import NAMESPACE, SmallDisk, missing_right, shipper_on_a_small_disk
from lab.stepped import identified

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.shipper.spool import Chunk, Item, Lane, SpoolError
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

FLIPS = 300
RECOVERS_IN_S = 5.0
"""Until all is in the spool, from when there is space again."""
DELIVERED_IN_S = 30.0
STARTS_IN_S = 2.0
LANE = Lane("application-one", "events")
SESSION = b"s" * 16
EVENT_BYTES = 20_000


@contextmanager
def worker(disk: SmallDisk, collector: Collector) -> Iterator[Callable[[], None]]:
    """Offers one more user update with each call, and at the end counts what arrived of them."""
    channel = UnixChannel(PathDialer(disk.socket), 10_000, 100_000_000)
    channel.register(
        Application("an-application-on-a-small-disk", base_uri=collector.url, batch_timeout_s=0.05)
    )
    offered: list[str] = []

    def offer() -> None:
        offered.append(f"user-{len(offered)}")
        filling = random.Random(len(offered)).randbytes(EVENT_BYTES // 2).hex()
        channel.offer(Kind.USER, 0, identified("", user_id=offered[-1], metadata={"filling": filling}))

    try:
        yield offer
        received = partial(eventually, lambda: disk.status()["counters"]["received"] == len(offered))
        received(RECOVERS_IN_S, "all are in the spool")
        collector.behave(None)
        collector.wait_for(lambda store: store.counts("users").received >= len(offered), DELIVERED_IN_S)
        assert delivered(collector) == set(offered)
        assert disk.status()["counters"]["difference"] == 0
    finally:
        channel.close()


def delivered(collector: Collector) -> set[str]:
    return {user["user_id"] for user in collector.store.items("users")}


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[SmallDisk]:
    if (why := missing_right()) is not None:
        pytest.skip(why)
    with shipper_on_a_small_disk(short_dir, "24m") as disk:
        yield disk


def refusals(disk: SmallDisk) -> bool:
    """The log says that the spool refuses."""
    return "the spool cannot store events for now" in (disk.directory / "shipper.log").read_text()


def test_a_full_disk_costs_time_and_no_event(small_disk: SmallDisk, collector: Collector) -> None:
    ballast = small_disk.directory / "ballast"
    ballast.write_bytes(bytes(12_000_000))
    collector.behave(Behaviour(status=429, headers={"Retry-After": "1"}))
    with worker(small_disk, collector) as offer:
        for _ in range(900):
            offer()
        eventually(lambda: refusals(small_disk), 5.0, "the spool is full")
        held = small_disk.status()
        assert 0 < held["spool"]["events"] < 900
        assert held["counters"]["difference"] == 0
        assert not held["healthy"]
        assert [reason for reason in held["reasons"] if reason.startswith("the spool cannot store events: ")]
        ballast.unlink()
    assert "the spool" not in " ".join(small_disk.status()["reasons"])


def shipper_says(directory: Path, *prefix: str) -> str:
    """What a standalone shipper that cannot start says; it is one line, and the exit code tells too."""
    command = [*prefix, sys.executable, "-m", "moesifasgi.shipper", "run"]
    options = [f"--spool-dir={directory}", f"--socket={directory / 's.sock'}", "--log-level=error"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=20, cwd="/")
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


READ_ONLY = 'mount -t tmpfs -o ro,mode=700 tmpfs "$1"; shift; exec "$@"'


def test_a_read_only_file_system_is_refused_in_words(short_dir: Path) -> None:
    if (why := missing_right()) is not None:
        pytest.skip(why)
    said = shipper_says(short_dir, *NAMESPACE, "sh", "-c", READ_ONLY, "sh", str(short_dir))
    assert "the spool cannot be used: cannot open" in said
    assert "Read-only file system" in said


def a_directory(path: Path) -> None:
    path.mkdir()


def a_symlink(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(b"")
    path.symlink_to(target)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [a_directory, a_symlink, a_pipe])
def test_what_is_no_file_in_the_spools_place_is_refused_in_words_and_left_alone(
    plant: Callable[[Path], None], tmp_path: Path
) -> None:
    plant(tmp_path / FILE_NAME)
    before = sorted(tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(SpoolError, match="is not a regular file"):
            opened(tmp_path)
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "spool.lock"] == before


def test_a_newer_versions_file_is_refused_in_words(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute("PRAGMA user_version = 7")
        connection.execute(f"PRAGMA application_id = {mark - 1 + 7}")
    assert "made by a newer moesifasgi" in shipper_says(tmp_path)


@pytest.mark.parametrize("with_spool", [False, True])
def test_a_directory_that_may_not_be_written_is_refused_in_words(with_spool: bool, short_dir: Path) -> None:
    if (why := nobody.missing_right()) is not None:
        pytest.skip(why)
    directory = short_dir / "spool"
    directory.mkdir()
    if with_spool:
        opened(directory).close()
    for path in (directory, *directory.iterdir()):
        os.chown(path, nobody.UID, nobody.UID)
    short_dir.chmod(0o755)
    directory.chmod(0o555)
    said = shipper_says(directory, *nobody.PREFIX)
    assert "the spool cannot be used" in said
    assert "ermission denied" in said or "readonly" in said or "unable to open" in said


@pytest.fixture
def root() -> Iterator[Path]:
    made = memory_directory()
    yield made
    shutil.rmtree(made)


def opened(directory: Path) -> SqliteSpool:
    return open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal")


def payload(sequence: int, size: int) -> bytes:
    return random.Random(sequence).randbytes(size)


def fill(directory: Path, chunks: int, size: int) -> None:
    """Make a spool with chunks of three items."""
    spool = opened(directory)
    for number in range(chunks):
        sequences = tuple(range(3 * number + 1, 3 * number + 4))
        items = tuple(Item(1, payload(sequence, size)) for sequence in sequences)
        spool.append([Chunk(LANE, SESSION, sequences, items)], {SESSION: sequences[-1]})
    spool.close()


def places_in(directory: Path, chunks: int, size: int) -> list[list[int]]:
    """Where in the file each chunk's first item lies, and its session."""
    whole = (directory / FILE_NAME).read_bytes()
    places = []
    for number in range(chunks):
        item = whole.index(payload(3 * number + 1, size))
        session = whole.rindex(SESSION, 0, item)
        places.append([*range(item, item + size), *range(session, session + len(SESSION))])
    return places


def found_in(spool: SqliteSpool, size: int) -> list[int]:
    """The sequences of all items, each of which is what was stored under it."""
    chunks = spool.peek(LANE, 0, 1 << 30)
    for chunk in chunks:
        assert chunk.session == SESSION
        assert chunk.items == tuple(Item(1, payload(sequence, size)) for sequence in chunk.sequences)
    return [sequence for chunk in chunks for sequence in chunk.sequences]


def flipped(source: Path, target: Path, position: int, bit: int) -> SqliteSpool:
    """The spool of a copy with one bit turned over."""
    target.mkdir()
    damaged = bytearray((source / FILE_NAME).read_bytes())
    damaged[position] ^= 1 << bit
    (target / FILE_NAME).write_bytes(damaged)
    began = time.monotonic()
    spool = opened(target)
    assert time.monotonic() - began < STARTS_IN_S
    return spool


def test_a_flip_in_a_chunk_costs_that_chunk_and_any_other_is_noticed_if_it_costs_anything(
    root: Path,
) -> None:
    size, chunks, rng = 300, 12, random.Random(seed_of())
    fill(root / "spool", chunks, size)
    places = places_in(root / "spool", chunks, size)
    length = (root / "spool" / FILE_NAME).stat().st_size
    every = list(range(1, 3 * chunks + 1))
    for turn in range(count_of(FLIPS)):
        hit = rng.choice([*range(chunks), None, None])
        position = rng.randrange(length) if hit is None else rng.choice(places[hit])
        spool = flipped(root / "spool", root / "damaged", position, rng.randrange(8))
        found = found_in(spool, size)
        missing = sorted(set(every) - set(found))
        assert found == sorted(set(found)), f"turn {turn}: twice, or in another order"
        assert spool.totals().dropped.get("damaged", 0) == len(missing), f"turn {turn}: lost and not counted"
        if hit is not None:
            assert missing == [3 * hit + 1, 3 * hit + 2, 3 * hit + 3]
            assert not spool.usage().mishaps
        spool.close()
        shutil.rmtree(root / "damaged")


def test_a_start_reads_no_more_of_a_large_spool_than_of_a_small_one(root: Path) -> None:
    directory = root / "large"
    fill(directory, chunks=60, size=400_000)
    assert (directory / FILE_NAME).stat().st_size > 60_000_000
    before, began = read_bytes(), time.monotonic()
    spool = opened(directory)
    assert time.monotonic() - began < STARTS_IN_S
    assert read_bytes() - before < 1_000_000
    assert spool.usage().events == 180
    spool.close()


def read_bytes() -> int:
    """How many bytes this process has read so far, from wherever."""
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(facts["rchar"])
