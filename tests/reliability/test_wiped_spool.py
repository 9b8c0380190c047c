"""A running shipper's files are deleted: what it acknowledged goes on. And whose sessions it remembers."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab.processes import eventually
from lab.shipper_process import channel_to, standalone

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.shipper.daemon import SESSION_KEPT_S, Daemon
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.sqlite import SqliteSpool, open_spool
from moesifasgi.wire.application import Application
from moesifasgi.wire.messages import Kind

NOTICED_IN_S = 20.0
NOBODY_LISTENS = "http://127.0.0.1:9"
APPLICATION = Application("an-application-whose-spool-goes", base_uri=NOBODY_LISTENS)
DEAD = b"d" * 16


def test_files_deleted_under_a_running_shipper_cost_no_acknowledged_event(short_dir: Path) -> None:
    with standalone(short_dir) as shipper, channel_to(shipper, APPLICATION) as channel:

        def offer(count: int) -> None:
            for _ in range(count):
                channel.offer(Kind.ACTION, 0, b"\x80")
            eventually(lambda: channel.stats()["ring_events"] == 0, NOTICED_IN_S, "all are acknowledged")

        channel.start()
        offer(50)
        for file in short_dir.glob(f"{FILE_NAME}*"):
            file.unlink()
        offer(50)
        eventually(
            lambda: any("was taken away" in note for note in shipper.status()["notes"]),
            NOTICED_IN_S,
            "the shipper has noticed",
        )
        offer(50)
        assert shipper.counters()["difference"] == 0
        assert "was taken away: " in shipper.log()
        shipper.popen.kill()
        shipper.popen.wait()
    with closing(opened(short_dir)) as again:
        assert (again.totals().taken, again.usage().events) == (150, 150)


def opened(directory: Path, now: list[float] | None = None) -> SqliteSpool:
    clock = {"clock": lambda: now[0]} if now else {}
    return open_spool(directory, max_bytes=1 << 30, min_free_bytes=0, durability="normal", **clock)


@pytest.fixture
def now() -> list[float]:
    return [1_000_000.0]


@pytest.fixture
def daemon(short_dir: Path, now: list[float]) -> Iterator[tuple[Daemon, SqliteSpool]]:
    """One that a test takes step by step."""
    spool = opened(short_dir, now)
    stepped = Daemon(Options(short_dir, short_dir / "s.sock", embedded=False), spool)
    yield stepped, spool
    stepped._receiver.close()
    spool.close()


def test_the_sessions_of_the_gone_are_forgotten_and_those_of_the_living_are_not(
    short_dir: Path, now: list[float], daemon: tuple[Daemon, SqliteSpool]
) -> None:
    """A session that is forgotten under its worker would let it store its frames twice."""
    stepped, spool = daemon
    channel = UnixChannel(PathDialer(short_dir / "s.sock"), 1_000, 1_000_000)
    with closing(channel):
        channel.register(APPLICATION)
        channel.start()
        channel.offer(Kind.ACTION, 0, b"\x80")

        def stored() -> bool:
            stepped._receiver.step(0.01)
            return spool.totals().taken == 1

        eventually(stored, NOTICED_IN_S, "the worker's event is stored")
        (living,) = [peer.session.id for peer in stepped._receiver.workers if peer.session]
        spool.append([], {DEAD: 5})
        now[0] += SESSION_KEPT_S + 60.0
        stepped._keep_house()
        assert (spool.last_sequence(living), spool.last_sequence(DEAD)) == (1, None)
