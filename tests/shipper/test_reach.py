"""``check`` and those who are allowed to send, but cannot reach the socket."""

import os
import subprocess
import sys
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab import nobody
from lab.requirement import require
from lab.shipper_process import standalone

from moesifasgi.inspector import Collector
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.reach import TO_CONNECT, TO_PASS, Caller, Door, unreached
from moesifasgi.unix_socket import listening

pytestmark = pytest.mark.timeout(60)
GROUP = 54_321
CONNECT = """
import socket, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(path)
        except PermissionError:
            print("shut")
        else:
            print("open")
"""


@pytest.fixture
def place(short_dir: Path) -> Path:
    (short_dir / "empty.toml").touch(0o600)
    short_dir.chmod(0o755)
    return short_dir


def warnings(place: Path, collector: Collector, *options: str) -> list[str]:
    """What ``check`` says of the socket that is no good news."""
    given = [f"--config={place / 'empty.toml'}", "--spool-min-free-bytes=0", f"--base-uri={collector.url}"]
    places = [f"--spool-dir={place}", f"--socket={place / 'run' / 's.sock'}"]
    result = CliRunner().invoke(main, ["check", *given, *places, *options])
    assert result.exit_code == 0, result.output
    found = [line for line in result.output.splitlines() if " socket: " in line]
    return [line.partition(" socket: ")[2] for line in found if not line.startswith("ok")]


def test_who_is_allowed_and_would_not_reach_the_socket_is_told(place: Path, collector: Collector):
    allowed = [f"--allowed-users={nobody.UID},{os.geteuid()},0", f"--allowed-groups={GROUP}"]
    (line,) = warnings(place, collector, *allowed)
    assert line == (
        f"{place / 'run' / 's.sock'} (mode 0600, group id {os.getegid()}) keeps out user id {nobody.UID},"
        f" members of group id {GROUP}, though allowed; expected a socket_mode and socket_group that let them"
        " in (systemd's unit has its own)"
    )
    assert not warnings(place, collector)
    if os.geteuid() == 0:
        (line,) = warnings(place, collector, *allowed, "--socket-mode=0660", f"--socket-group={GROUP}")
        assert f"keeps out user id {nobody.UID}, though" in line
    (place / "run").mkdir()
    if os.geteuid() == 0:
        os.chown(place / "run", -1, GROUP)
        (place / "run").chmod(0o2755)
        assert not warnings(place, collector, f"--allowed-groups={GROUP}", "--socket-mode=0660")
    (place / "run").chmod(0o700)
    (line,) = warnings(place, collector, *allowed, "--socket-mode=0666")[:1]
    assert line.startswith(f"{place / 'run'} (mode 0700, ")
    assert line.endswith("though allowed; they may not pass it")


def test_a_socket_that_has_another_mode_than_the_configuration_wants_a_reload(
    place: Path, collector: Collector
):
    with standalone(place) as shipper:
        options = [f"--socket={shipper.socket}", f"--allowed-groups={os.getegid()}", "--socket-mode=0660"]
        (line,) = warnings(place, collector, *options)
        assert line.endswith("though allowed; as long as the configuration is not reloaded")
        shipper.socket.chmod(0o660)
        assert not warnings(place, collector, *options)


def test_of_a_socket_that_systemd_has_made_its_own_mode_counts_not_the_configurations(place: Path):
    path = place / "s.sock"
    configuration = Configuration(socket=str(path), allowed_users=(nobody.UID,))
    with closing(listening(path, 0o666)):
        assert not list(unreached(configuration, serves=True, is_managers=True))
        path.chmod(0o660)
        (line,) = unreached(configuration, serves=True, is_managers=True)
        assert line.endswith(f"keeps out user id {nobody.UID}, though allowed; see the .socket unit")


def test_a_door_is_open_to_whom_the_kernel_lets_pass(place: Path):
    require(nobody.missing_right())
    nobody_itself = Caller("nobody", nobody.UID, frozenset({nobody.UID}))
    expected, paths = [], []
    with ExitStack() as stack:
        for number, (directory_mode, mode, uid, gid) in enumerate(
            product(
                (0o711, 0o710, 0o701, 0o611), (0o600, 0o060, 0o006, 0o444), (0, nobody.UID), (0, nobody.UID)
            )
        ):
            directory = place / str(number)
            directory.mkdir()
            stack.enter_context(closing(listening(directory / "s", 0o600)))
            (directory / "s").chmod(mode)
            directory.chmod(directory_mode)
            for path in (directory, directory / "s"):
                os.chown(path, uid, gid)
            doors = (Door.found(directory, TO_PASS), Door.found(directory / "s", TO_CONNECT))
            expected.append("open" if all(door.is_open_to(nobody_itself) for door in doors) else "shut")
            paths.append(str(directory / "s"))
        command = [*nobody.PREFIX, sys.executable, "-c", CONNECT, *paths]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/", check=True)
    assert done.stdout.split() == expected
    assert set(expected) == {"open", "shut"}
