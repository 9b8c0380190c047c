"""What no shipper takes is on disk within milliseconds, and survives the death of its worker."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from lab.far_end import FarEnd, silent_listener
from lab.processes import eventually, has_ended
from lab.shipper_process import standalone

from moesifasgi.channel import keeper
from moesifasgi.channel.dial import PathDialer, StateDirectory
from moesifasgi.channel.leftovers import LeftBounds, found_at, left_in
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.shipper.adoption import adopt
from moesifasgi.shipper.intake import Intake
from moesifasgi.shipper.registry import Registry
from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import FrameDecoder
from moesifasgi.wire.messages import Event, Hello, Kind
from moesifasgi.wire.ring import Offer

APPLICATION = Application("an-application-whose-shipper-is-away")
LANE = Lane(APPLICATION.application_id, "events")
WAIT_S = 10.0


def payload(number: int) -> bytes:
    return b"\xcd" + number.to_bytes(2, "big")


def offer(channel: UnixChannel, numbers: range) -> None:
    for number in numbers:
        assert channel.offer(Kind.RECORD, 0, payload(number)) is Offer.ACCEPTED


@contextmanager
def worker(path: Path, directory: Path, max_bytes: int = 1 << 24) -> Iterator[UnixChannel]:
    channel = UnixChannel(PathDialer(path, StateDirectory(str(directory))), 100_000, max_bytes)
    channel.register(APPLICATION)
    try:
        yield channel
    finally:
        channel.close()


def kept(directory: Path) -> list[int]:
    """The numbers of what is in the one file there, whoever owns it."""
    (file,) = left_in(directory) or [None]
    if file is None:
        return []
    decoder = FrameDecoder()
    decoder.feed(file.read_bytes())
    messages = []
    while (found := decoder.next_payload()) is not None:
        messages.append(decode(found))
    assert isinstance(messages[0], Hello)
    return [int.from_bytes(each.payload[1:], "big") for each in messages[1:] if isinstance(each, Event)]


def adopted(directory: Path) -> list[int]:
    """What the next shipper makes of the directory."""
    spool = MemorySpool()
    intake = Intake(spool, Registry(spool))
    adopt(directory, intake, frozenset(), lambda: intake.commit() is not None)
    chunks = spool.peek(LANE, 0, 100_000)
    return sorted(int.from_bytes(item.payload[1:], "big") for chunk in chunks for item in chunk.items)


def keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "moesif-keeper"]


WORKER = """
import os, sys, time
from pathlib import Path
from moesifasgi.channel.dial import PathDialer, StateDirectory
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.wire.application import Application

directory = sys.argv[1]
channel = UnixChannel(PathDialer(Path(directory, "nobody.sock"), StateDirectory(directory)), 1_000, 1 << 20)
channel.register(Application("an-application-whose-shipper-is-away"))
for number in range(100):
    channel.offer(0, 0, b"\\xcd" + number.to_bytes(2, "big"))
"""


@contextmanager
def worker_process(directory: Path, then: str) -> "Iterator[subprocess.Popen[bytes]]":
    script = WORKER + textwrap.dedent(then)
    with subprocess.Popen([sys.executable, "-c", script, str(directory)]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_a_killed_worker_had_captured_without_a_shipper_is_adopted(short_dir: Path):
    with worker_process(short_dir, "time.sleep(60)") as process:
        eventually(lambda: kept(short_dir) == list(range(100)), WAIT_S, "all is in the file")
        assert adopted(short_dir) == [], "nobody takes the file of a worker that lives"
        process.kill()
        process.wait()
        assert adopted(short_dir) == list(range(100))
    assert not left_in(short_dir)


def test_a_parents_file_is_free_at_its_death_although_its_child_lives(short_dir: Path):
    then = """
        while not list(Path(directory).glob("left-*.frames")):
            time.sleep(0.01)
        if os.fork() == 0:
            time.sleep(60)
        time.sleep(60)
    """
    with worker_process(short_dir, then) as process:
        parent = psutil.Process(process.pid)
        (child,) = eventually(parent.children, WAIT_S, "it has forked")
        eventually(lambda: kept(short_dir) == list(range(100)), WAIT_S, "all is in the file")
        with found_at(left_in(short_dir)[0]) as found:
            assert found is None
        process.kill()
        try:
            eventually(lambda: adopted(short_dir) == list(range(100)), WAIT_S, "it can be adopted")
            assert not has_ended(child)
        finally:
            child.kill()


def test_the_file_and_its_thread_go_when_a_shipper_has_taken_all(short_dir: Path):
    path = short_dir / "s.sock"
    with worker(path, short_dir) as channel:
        offer(channel, range(50))
        eventually(lambda: kept(short_dir) == list(range(50)), WAIT_S, "all is in the file")
        with FarEnd(path) as far_end:
            eventually(lambda: len(far_end.stored()) == 50, WAIT_S, "the shipper has all")
            eventually(lambda: not left_in(short_dir) and not keepers(), WAIT_S, "nothing is left of it")
            offer(channel, range(50, 60))
            eventually(lambda: len(far_end.stored()) == 60, WAIT_S, "the later ones too")
            assert not left_in(short_dir), "a healthy channel never touches the disk"
        offer(channel, range(60, 70))
        eventually(lambda: kept(short_dir)[-1:] == [69], WAIT_S, "it begins again with the next outage")


def test_a_shipper_that_stops_reading_is_one_that_takes_nothing(short_dir: Path):
    (short_dir / "state").mkdir(mode=0o700)
    with standalone(short_dir) as shipper, worker(shipper.socket, short_dir / "state") as channel:
        offer(channel, range(1))
        eventually(lambda: channel.stats()["acked"] == 1, WAIT_S, "the channel is up")
        psutil.Process(shipper.popen.pid).suspend()
        try:
            for number in range(1, 4_000):
                channel.offer(Kind.RECORD, 0, payload(number) if number % 4 else b"\xc5\x01\x00" + bytes(256))
            eventually(lambda: kept(short_dir / "state")[-1:] == [3_999], WAIT_S, "what waits is in the file")
        finally:
            psutil.Process(shipper.popen.pid).resume()
        eventually(lambda: channel.stats()["acked"] == 4_000, WAIT_S, "all is taken in the end")
        eventually(lambda: not left_in(short_dir / "state"), WAIT_S, "the file goes")


def test_a_disk_that_refuses_costs_nothing_while_the_worker_lives(short_dir: Path, monkeypatch):
    monkeypatch.setattr(keeper, "RETRY_S", 0.05)
    directory = short_dir / "later"
    directory.write_text("a file where the directory should be")
    path = short_dir / "s.sock"
    with worker(path, directory) as channel:
        offer(channel, range(10))
        eventually(keepers, WAIT_S, "it tries")
        directory.unlink()
        eventually(lambda: kept(directory) == list(range(10)), WAIT_S, "it is kept when it can be")
        with FarEnd(path) as far_end:
            eventually(lambda: len(far_end.stored()) == 10, WAIT_S, "all is taken")
    assert channel.stats()["acked"] == 10


def test_a_file_does_not_outgrow_what_nobody_has_acknowledged(short_dir: Path, monkeypatch):
    """A shipper that is slow but alive acknowledges for hours, and never catches up."""
    monkeypatch.setattr(keeper, "SPARE_BYTES", 2_000)
    with worker(short_dir / "nobody.sock", short_dir) as channel:
        carrier, most = channel._carrier, 0
        for round_ in range(50):
            offer(channel, range(round_ * 50, round_ * 50 + 50))
            last = round_ * 50 + 49
            eventually(lambda last=last: kept(short_dir)[-1:] == [last], WAIT_S, "it is in the file")
            most = max(most, left_in(short_dir)[0].stat().st_size)
            with carrier._lock:
                carrier.session.ring.take(1 << 20, 1_000)
                carrier._acknowledged(round_ * 50 + 40)
    assert most < 10_000, "of 50,000 bytes that were written"


def test_an_application_that_comes_later_is_in_the_file_too(short_dir: Path):
    with worker(short_dir / "nobody.sock", short_dir) as channel:
        offer(channel, range(5))
        eventually(lambda: kept(short_dir) == list(range(5)), WAIT_S, "the first ones are in the file")
        key = channel.register(Application("another-application"))
        channel.offer(Kind.RECORD, key, payload(5))
        eventually(lambda: kept(short_dir) == list(range(6)), WAIT_S, "its own too")
        file = left_in(short_dir)[0].read_bytes()
    assert b"another-application" in file


def test_a_handshake_that_hangs_is_no_shipper_either(short_dir: Path):
    path = short_dir / "s.sock"
    listener = silent_listener(path)
    try:
        with worker(path, short_dir) as channel:
            offer(channel, range(7))
            eventually(lambda: kept(short_dir) == list(range(7)), WAIT_S, "all is in the file")
    finally:
        listener.close()
    assert adopted(short_dir) == list(range(7))


def test_the_file_is_closed_to_others(short_dir: Path):
    """It holds an application id, headers and bodies."""
    with worker(short_dir / "nobody.sock", short_dir) as channel:
        offer(channel, range(1))
        eventually(lambda: kept(short_dir) == [0], WAIT_S, "it is in the file")
        assert left_in(short_dir)[0].stat().st_mode & 0o077 == 0


def test_a_child_that_becomes_another_user_has_a_directory_of_its_own(short_dir: Path, monkeypatch):
    """As under a server that changes its user after the fork."""
    script = """
        import os, sys, time
        from pathlib import Path
        from moesifasgi.channel.dial import PathDialer, StateDirectory
        from moesifasgi.channel.unix import UnixChannel
        from moesifasgi.wire.application import Application

        dialer = PathDialer(Path(sys.argv[1], "nobody.sock"), StateDirectory(None))
        channel = UnixChannel(dialer, 1_000, 1 << 20)
        channel.register(Application("an-application-of-a-master"))
        channel.offer(0, 0, b"\\xcd\\0\\0")
        mine = Path(os.environ["XDG_STATE_HOME"], "moesif")
        while not list(mine.glob("left-*.frames")):
            time.sleep(0.01)
        if (pid := os.fork()) == 0:
            os.environ["XDG_STATE_HOME"] = sys.argv[1] + "/child"
            channel.offer(0, 0, b"\\xcd\\0\\1")
            channel.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        channel.close()
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(short_dir / "parent"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(short_dir)], check=True, timeout=30)
    assert kept(short_dir / "parent" / "moesif") == [0]
    assert kept(short_dir / "child" / "moesif") == [1]


class FullDialer(PathDialer):
    """Its disk has room for a file that grows to some 2 MB, and for no second one beside it."""

    left_bounds = LeftBounds(max_bytes=3 << 20, min_free_bytes=0)  # type: ignore[assignment]


def test_what_a_leaving_worker_has_in_its_file_is_not_counted_as_lost_where_there_is_no_room_for_more(
    short_dir: Path, monkeypatch
):
    monkeypatch.setattr(keeper, "RETRY_S", 0.05)
    dialer = FullDialer(short_dir / "nobody.sock", StateDirectory(str(short_dir)))
    channel = UnixChannel(dialer, 100_000, 1 << 25)
    channel.register(APPLICATION)
    filling = b"\xc6" + (50_000).to_bytes(4, "big") + bytes(50_000)
    for count in range(1, 201):
        channel.counters.add("captured")
        channel.offer(Kind.RECORD, 0, filling)
        eventually(lambda count=count: events_in(short_dir) == count or is_full(short_dir), WAIT_S, "kept")
    channel.close()
    stats, kept_events = channel.stats(), events_in(short_dir)
    assert 20 < kept_events < 100
    assert (stats["acked"], stats["dropped.not_left_behind"]) == (kept_events, 200 - kept_events)


def is_full(directory: Path) -> bool:
    return sum(path.stat().st_size for path in left_in(directory)) > 1_500_000


def events_in(directory: Path) -> int:
    """Whole frames in the one file there, its HELLO aside."""
    decoder = FrameDecoder()
    for path in left_in(directory):
        decoder.feed(path.read_bytes())
    return sum(1 for _ in iter(decoder.next_payload, None)) - 1 if decoder.buffered_bytes else 0
