"""Another user's socket in the place of a shipper's: nothing is lost, it is told, and it is taken back."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from lab import nobody
from lab.monitor_client import ask
from lab.processes import eventually
from lab.requirement import require
from lab.shipper_process import channel_to, standalone
from lab.tenants import tenants

WITHIN_S = 20.0
IMPOSTOR = """
import socket, sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    while True:
        listener.accept()[0].close()
"""


@contextmanager
def impostor(path: Path, theirs: Path) -> Iterator["subprocess.Popen[str]"]:
    """Somebody else's socket, from a directory of theirs, gets the place of whoever listened there."""
    theirs.chmod(0o777)
    command = [*nobody.PREFIX, sys.executable, "-c", IMPOSTOR, str(theirs / path.name)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listens\n"
            (theirs / path.name).replace(path)
            yield process
        finally:
            process.kill()


@pytest.fixture
def their_dir() -> Iterator[Path]:
    with TemporaryDirectory(prefix="m-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.mark.timeout(120)
def test_the_connected_go_on_others_keep_what_they_have_and_the_place_is_taken_back(
    short_dir: Path, their_dir: Path
):
    require(nobody.missing_right())
    metrics = short_dir / "m"
    with tenants(["one", "two"]) as by_name, standalone(short_dir, f"--metrics=unix:{metrics}") as shipper:
        one, two = by_name["one"], by_name["two"]
        told = f"{shipper.socket} is another socket, of user id {nobody.UID}"
        both = one.application, two.application
        with channel_to(shipper, *both) as before, channel_to(shipper, *both) as after:
            one.feed(before, 10)
            eventually(lambda: not one.missing(), WITHIN_S, "the first worker is served")
            with impostor(shipper.socket, their_dir) as other:
                eventually(lambda: told in ask(metrics, "/healthz").text, WITHIN_S, "the monitor is told")
                assert ask(metrics, "/healthz").status == 503
                one.feed(before, 10)
                two.feed(after, 10)
                eventually(lambda: not one.missing(), WITHIN_S, "who was connected still is")
                assert after.stats()["ring_events"] == 10
                assert not two.collector.store.counts().received
                other.kill()
                other.wait(WITHIN_S)
                eventually(lambda: not two.missing(), WITHIN_S, "the second worker is served")
            assert ask(metrics, "/healthz").status == 200
        eventually(lambda: not shipper.spooled(), WITHIN_S, "all is settled")
        assert shipper.counters()["difference"] == 0
        assert f"{told}: workers that connect do not come here" in shipper.log()
