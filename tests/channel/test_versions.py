"""An older version's shipper and a newer worker, and a shipper that runs the worker's own package."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from campaigns.t12_election import racers, say, status_of
from lab.processes import eventually, is_shipper, kill_all, shippers_of

import moesifasgi
from moesifasgi.inspector import Collector
from moesifasgi.version import VERSION, is_older

PACKAGE = Path(moesifasgi.__file__).parent
WAIT_S = 20.0
EVENTS = 25


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [
        ("1.9.9", "2.0.0", True),
        ("2.0.0", "1.9.9", False),
        ("2.0.9", "2.0.10", True),
        ("2.0", "2.0.1", True),
        ("2.0.0.dev0", "2.0.0", False),
        ("2.0.0", "2.0.0.dev0", False),
        ("3.0.0rc1", "2.9", False),
        ("", "2.0.0", True),
        ("nonsense", "2.0.0", True),
    ],
)
def test_a_version_is_older_by_its_numbers(version: str, other: str, older: bool):
    assert is_older(version, other) is older


def copy_of_the_package(place: Path, version: str, wires: tuple[int, int] = (1, 1)) -> Path:
    """Where to look for it: the package as it is, but for its version and the wires that it speaks."""
    shutil.copytree(PACKAGE, place / "moesifasgi", ignore=shutil.ignore_patterns("__pycache__"))
    _put(place / "moesifasgi" / "version.py", "VERSION", repr(version))
    _put(place / "moesifasgi" / "wire" / "messages.py", "OLDEST_WIRE_VERSION", str(wires[0]))
    _put(place / "moesifasgi" / "wire" / "messages.py", "WIRE_VERSION", str(wires[1]))
    return place


def _put(file: Path, name: str, value: str) -> None:
    text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", file.read_text("utf-8"))
    assert count == 1
    file.write_text(text, "utf-8")


def of_version(directory: Path, version: str, workers: int | None = None) -> bool:
    """Whether a shipper of this version serves so many workers."""
    status = status_of(directory)
    serves = status.get("version") == version
    return serves and (workers is None or len(status["workers"]) == workers)  # type: ignore[arg-type]


@pytest.mark.parametrize("wires", [(1, 2), (2, 2)], ids=["a wire in common", "no wire in common"])
def test_a_newer_workers_shipper_takes_the_older_ones_place(
    wires: tuple[int, int], short_dir: Path, collector: Collector
):
    """Old and new workers live beside each other during a deploy; nothing of either is lost."""
    older = copy_of_the_package(short_dir / "older", "1.9.0")
    newer = copy_of_the_package(short_dir / "newer", "2.10.0", wires)
    directory = short_dir / "state"
    with racers(directory, collector.url, 2, EVENTS, PYTHONPATH=str(older)) as old_workers:
        say(old_workers)
        eventually(lambda: of_version(directory, "1.9.0", workers=2), WAIT_S, "the older one serves")
        with racers(directory, collector.url, 2, EVENTS, PYTHONPATH=str(newer)) as new_workers:
            say(new_workers)
            in_common = wires[0] == 1
            both = 4 if in_common else 2
            eventually(lambda: of_version(directory, "2.10.0", workers=both), WAIT_S, "the newer one does")
            eventually(lambda: len(shippers_of(directory)) == 1, WAIT_S, "the older one has left")
            say(old_workers)
            old_workers.wait(WAIT_S)
            say(new_workers)
            assert new_workers.wait(WAIT_S) == 0
            eventually(lambda: collector.store.counts().distinct == 4 * EVENTS, WAIT_S, "all arrive")
            eventually(lambda: not list(directory.glob("left-*")), WAIT_S, "nothing is left behind")
    assert (directory / "shipper.log").read_text("utf-8").count(" serves ") == 2, "no to and fro"


def test_an_older_worker_is_served_by_a_newer_shipper_as_it_is(short_dir: Path, collector: Collector):
    """After a roll back: the newer one stays until its workers have gone."""
    older = copy_of_the_package(short_dir / "older", "1.9.0")
    directory = short_dir / "state"
    with racers(directory, collector.url, 1, EVENTS) as new_workers:
        say(new_workers)
        eventually(lambda: of_version(directory, VERSION, workers=1), WAIT_S, "the newer one serves")
        with racers(directory, collector.url, 1, EVENTS, PYTHONPATH=str(older)) as old_workers:
            say(old_workers)
            eventually(lambda: of_version(directory, VERSION, workers=2), WAIT_S, "it serves both")
            for workers in (new_workers, old_workers):
                say(workers)
                assert workers.wait(WAIT_S) == 0
    assert collector.store.counts().distinct == 2 * EVENTS
    assert (directory / "shipper.log").read_text("utf-8").count(" serves ") == 1


VENDORED = """
    import os, sys
    sys.path.insert(0, sys.argv[1])
    import moesifasgi
    assert moesifasgi.__file__.startswith(sys.argv[1]), moesifasgi.__file__
    moesifasgi.update_user({"user_id": "ada"})
    sys.exit(0 if moesifasgi.flush(20) else 1)
"""


def test_a_package_that_a_program_found_by_itself_has_its_own_shipper(short_dir: Path, collector: Collector):
    """Beside it lies another version where the interpreter looks, and an application's ``queue.py``."""
    vendored = copy_of_the_package(short_dir / "vendored", "7.7.7")
    (vendored / "queue.py").write_text("raise ImportError('this is the application')")
    directory = short_dir / "state"
    environment = {
        **os.environ,
        "MOESIF_APPLICATION_ID": "vendored-application-id",
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SPOOL_DIR": str(directory),
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "nobody.sock"),
    }
    script = textwrap.dedent(VENDORED).replace("import os, sys", "import os, sys, queue")
    subprocess.run([sys.executable, "-c", script, str(vendored)], env=environment, check=True, timeout=40)
    try:
        (shipper,) = shippers_of(directory)
        assert of_version(directory, "7.7.7")
        assert is_shipper(psutil.Process(shipper.pid))
    finally:
        kill_all(shippers_of(directory))
    assert collector.store.summary()["users"]
