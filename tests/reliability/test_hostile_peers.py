"""T10: hostile peers. None is believed, none crashes the receiver, none costs much, nobody else notices."""

import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgpack
import pytest
from lab import nobody
from lab.counts import count_of, seed_of
from lab.far_end import FarEnd, Speaker
from lab.mutations import mutated
from lab.processes import eventually

from moesifasgi.channel.dial import PathDialer
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.shipper.receiver.peer import MAX_CONTROL_BYTES
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.wire.application import Application
from moesifasgi.wire.codec import encode
from moesifasgi.wire.frame import MAX_FRAME_BYTES, PREFIX, frame
from moesifasgi.wire.messages import Ack, Event, Kind, Welcome

CONVERSATIONS = 500
EVENTS = 200
MAX_PEER_BYTES = 16 * 1024 * 1024
GOOD = "the-application-of-the-good-worker"


@pytest.fixture
def path(short_dir: Path) -> Path:
    return short_dir / "s.sock"


@pytest.fixture
def far_end(path: Path) -> Iterator[FarEnd]:
    with FarEnd(path, MemorySpool(1 << 30)) as made:
        yield made


@pytest.fixture
def good_worker(path: Path, far_end: FarEnd) -> Iterator[UnixChannel]:
    """Offers by and by; when the test is over all of it is stored, once and in order."""
    channel = UnixChannel(PathDialer(path), EVENTS, 1_000_000)
    channel.register(Application(GOOD))
    offered: list[bytes] = []
    offer = channel.offer

    def remembered(kind: int, key: int, payload: bytes) -> object:
        offered.append(payload)
        return offer(kind, key, payload)

    channel.offer = remembered  # type: ignore[method-assign, assignment]
    yield channel
    try:
        assert channel.drain(10.0, give_up=False).delivered
        assert good_payloads(far_end) == offered
        assert channel.stats()["connected"]
    finally:
        channel.close()


def good_payloads(far_end: FarEnd) -> list[bytes]:
    lanes = [lane for lane in far_end.spool.lanes() if lane.application_id == GOOD]
    chunks = [chunk for lane in lanes for chunk in far_end.spool.peek(lane, 0, 1 << 30)]
    return [item.payload for chunk in chunks for item in chunk.items]


def test_wrong_conversations_neither_end_the_receiver_nor_disturb_a_worker(
    far_end: FarEnd, path: Path, good_worker: UnixChannel, caplog: pytest.LogCaptureFixture
) -> None:
    """T10, T19."""
    rng, count = random.Random(seed_of()), count_of(CONVERSATIONS)
    for number in range(count):
        if number % max(1, count // EVENTS) == 0:
            good_worker.offer(Kind.RECORD, 0, msgpack.packb([number]))
        with Speaker(path) as peer:
            with suppress(BrokenPipeError, ConnectionResetError):
                peer.socket.sendall(mutated(rng))
            if rng.random() < 0.2:
                peer.socket.shutdown(1)
                peer.is_dropped()
    eventually(lambda: far_end.receiver.status()["peers"]["connected"] == 1, 5.0, "all others are gone")
    assert far_end.receiver.status()["peers"]["malformed"] > count // 3
    assert "after a fault in serving it" not in caplog.text


LARGEST = MAX_FRAME_BYTES - 13
COSTLY: dict[str, Callable[[], bytes]] = {
    "all of the largest frame but its last byte": lambda: (
        PREFIX.pack(MAX_FRAME_BYTES) + b"\x95\x03" * (LARGEST // 2)
    ),
    "the largest event": lambda: frame(encode(Event(0, 0, 1, b"x" * LARGEST))),
    "a frame over the limit": lambda: PREFIX.pack(1 << 26) + bytes(20_000_000),
    "lists of lists": lambda: frame(msgpack.packb([6, 0, 0, {"a": [[[]] * 4_000] * 1_000}])),
    "lists of lists in the largest message that is no event": lambda: frame(
        msgpack.packb([6, 0, 0, {f"{n}": [[]] * 4_000 for n in range(MAX_CONTROL_BYTES // 4_100)}])
    ),
    "counters without end": lambda: frame(msgpack.packb([6, 0, 0, {f"{n:0900}": n for n in range(4_000)}])),
}


@pytest.mark.parametrize("costly", COSTLY.values(), ids=COSTLY.keys())
def test_a_peer_costs_the_shipper_little_memory(
    costly: Callable[[], bytes], far_end: FarEnd, path: Path, good_worker: UnixChannel
) -> None:
    stream = costly()
    with Speaker(path) as peer:
        assert isinstance(peer.hello(), Welcome)
        good_worker.offer(Kind.RECORD, 0, b"\x90")
        assert good_worker.drain(5.0, give_up=False).delivered
        tracemalloc.start()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                peer.socket.sendall(stream)
            good_worker.offer(Kind.RECORD, 0, b"\x91\x01")
            assert good_worker.drain(5.0, give_up=False).delivered
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < MAX_PEER_BYTES


def test_a_peer_that_drips_its_introduction_is_dropped_in_time(
    path: Path, far_end: FarEnd, good_worker: UnixChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moesifasgi.shipper.receiver.peers.INTRODUCTION_S", 0.3)
    began, dripped = time.monotonic(), 0

    def drip() -> bool:
        nonlocal dripped
        good_worker.offer(Kind.RECORD, 0, b"\x90")
        try:
            peer.socket.send(b"\x00")
        except (BrokenPipeError, ConnectionResetError):
            return True
        dripped += 1
        return False

    with Speaker(path) as peer:
        peer.socket.sendall(PREFIX.pack(1_000))
        eventually(drip, 2.0, "it is dropped")
    assert time.monotonic() - began >= 0.3
    assert 5 < dripped < 1_000


ASKER = """
import sys
from pathlib import Path
from moesifasgi.unix_socket import connected
from moesifasgi.wire.frame import PREFIX
try:
    with connected(Path(sys.argv[1]), 1.0) as peer:
        print(peer.recv(1000)[PREFIX.size :])
except OSError as error:
    print(error)
"""


def test_another_user_is_kept_out_by_the_sockets_mode_and_by_the_kernels_word_on_who_it_is(
    short_dir: Path, path: Path, far_end: FarEnd, good_worker: UnixChannel
) -> None:
    if (why := nobody.missing_right()) is not None:
        pytest.skip(why)

    def told() -> str:
        command = [*nobody.PREFIX, sys.executable, "-c", ASKER, str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, cwd="/").stdout

    short_dir.chmod(0o755)
    assert "Permission denied" in told()
    path.chmod(0o666)
    assert f"user id {nobody.UID} is not allowed to send to this shipper" in told()
    good_worker.offer(Kind.RECORD, 0, b"\x90")


def a_symlink(directory: Path) -> tuple[Path, str]:
    (directory / "elsewhere").touch()
    (directory / "s.sock").symlink_to(directory / "elsewhere")
    return directory / "s.sock", "exists and is not a socket"


def a_long_name(directory: Path) -> tuple[Path, str]:
    return directory / ("s" * 120), "the name is longer than 80 bytes"


@pytest.mark.parametrize("place", [a_symlink, a_long_name])
def test_a_place_where_no_socket_can_be_is_refused_in_words(
    place: Callable[[Path], tuple[Path, str]], short_dir: Path
) -> None:
    socket, expected = place(short_dir)
    options = [f"--spool-dir={short_dir / 'spool'}", f"--socket={socket}", "--log-level=error"]
    command = [sys.executable, "-m", "moesifasgi.shipper", "run", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd="/")
    assert done.returncode == 1
    assert f"cannot listen on {socket}" in done.stderr
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_acknowledgement_of_one_worker_never_reaches_another(far_end: FarEnd, path: Path) -> None:
    with Speaker(path) as one, Speaker(path) as other:
        one.hello()
        other.hello()
        one.events(1, 2, 3)
        other.events(1)
        assert (one.answer_of(Ack), other.answer_of(Ack)) == (Ack(3), Ack(1))
