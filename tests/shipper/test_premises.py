"""What ``run`` refuses at its start, ``check`` has told before; and a shipper that serves is no obstacle."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab import nobody
from lab.requirement import require
from lab.shipper_process import standalone
from lab.tools import needed, needs_root

from moesifasgi.inspector import Collector
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.options import Options
from moesifasgi.shipper.serving import owned_spool
from moesifasgi.shipper.spool import SpoolInUse
from moesifasgi.shipper.spool.database import FILE_NAME
from moesifasgi.shipper.spool.owner import LOCK_NAME, owner_of
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.unix_socket import listening

pytestmark = pytest.mark.timeout(60)
Situation = Callable[[Path, ExitStack], tuple[list[str], str]]
"""Arranges something; returns options, and what is said of it."""


@pytest.fixture
def place(short_dir: Path) -> Iterator[Path]:
    (short_dir / "empty.toml").touch(0o600)
    mask = os.umask(0)
    os.umask(mask)
    yield short_dir
    os.umask(mask)


def check(place: Path, *options: str) -> tuple[int, list[str]]:
    given = (f"--config={place / 'empty.toml'}", "--spool-min-free-bytes=0", *options)
    result = CliRunner().invoke(main, ["check", *given])
    return result.exit_code, result.output.splitlines()


def refusal(place: Path, *options: str) -> str:
    """What ``run`` says, which has to refuse."""
    given = (f"--config={place / 'empty.toml'}", "--log-level=error", *options)
    result = CliRunner().invoke(main, ["run", *given])
    assert result.exit_code == 1, result.output
    return result.output


@contextmanager
def closing_at_once(path: Path) -> Iterator[None]:
    """Somebody listens who is no shipper."""
    with closing(listening(path, 0o600)) as listener:
        listener.setblocking(True)

        def refuse() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=refuse)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def spool_of_another(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    spool = open_spool(place / "spool", max_bytes=1 << 20, min_free_bytes=0, durability="normal")
    stack.callback(spool.close)
    return [], f"the spool in {place / 'spool'} is in use by process {os.getpid()}"


def spool_that_others_write_to(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    (place / "spool").mkdir()
    (place / "spool").chmod(0o777)
    return [], "others may write to it (mode 0777); expected at most 0755"


def spool_of_another_user(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    needs_root("only root can give a directory away")
    (place / "spool").mkdir()
    os.chown(place / "spool", nobody.UID, -1)
    return [], f"belongs to another user; expected one of the user id {os.geteuid()}"


def served_socket(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    (place / "other").mkdir()
    other = stack.enter_context(standalone(place / "other"))
    return [
        f"--socket={other.socket}"
    ], f"another shipper, with a spool of its own, listens on {other.socket}"


def heard_socket(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    stack.enter_context(closing_at_once(place / "s.sock"))
    return [], f"{place / 's.sock'}"


def symlinked_socket(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    (place / "s.sock").symlink_to(place / "elsewhere")
    return [], f"{place / 's.sock'} exists and is not a socket"


def long_name(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    return [f"--socket={place / ('s' * 120)}"], "the name is longer than 80 bytes"


def socket_too_deep(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    return [f"--socket={place / 'no' / 'such' / 's.sock'}"], f"{place / 'no'}"


def port_taken(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    return [f"--metrics={address}"], f"cannot listen for metrics on {address}: Address already in use"


def metrics_socket_taken(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    path = place / "m.sock"
    stack.enter_context(closing(listening(path, 0o600)))
    return [
        f"--metrics=unix:{path}"
    ], f"cannot listen for metrics on unix:{path}: somebody else listens there"


def metrics_file(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    (place / "file").touch()
    return [f"--metrics=unix:{place / 'file'}"], f"{place / 'file'} exists and is not a socket"


def metrics_nowhere(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    return [f"--metrics=unix:{place / 'no' / 'm.sock'}"], "cannot listen for metrics on"


def metrics_in_the_sockets_place(place: Path, stack: ExitStack) -> tuple[list[str], str]:
    return [f"--metrics=unix:{place / 's.sock'}"], "metrics: expected another socket than the shipper's own"


SITUATIONS: list[Situation] = [
    spool_of_another,
    spool_that_others_write_to,
    spool_of_another_user,
    served_socket,
    heard_socket,
    symlinked_socket,
    long_name,
    socket_too_deep,
    port_taken,
    metrics_socket_taken,
    metrics_file,
    metrics_nowhere,
    metrics_in_the_sockets_place,
]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_run_refuses_check_has_told(situation: Situation, place: Path, collector: Collector):
    with ExitStack() as stack:
        options, told = situation(place, stack)
        given = [f"--spool-dir={place / 'spool'}", f"--socket={place / 's.sock'}", *options]
        before = sorted(place.rglob("*"))
        code, lines = check(place, *given, f"--base-uri={collector.url}")
        assert sorted(place.rglob("*")) == before
        (failed,) = [line for line in lines if line.startswith("FAILED")]
        assert told in failed
        assert code == 1
        assert told in refusal(place, *given)


def test_a_shipper_that_serves_is_no_obstacle_for_its_own_configuration(place: Path, collector: Collector):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for address in (f"unix:{place / 'm.sock'}", f"127.0.0.1:{port}"):
        metrics = f"--metrics={address}"
        with standalone(place, metrics) as shipper:
            given = [f"--spool-dir={place}", f"--socket={shipper.socket}", f"--base-uri={collector.url}"]
            pid = shipper.popen.pid
            code, lines = check(place, *given, metrics)
            assert lines[1:4] == [
                f"ok       spool: {place} holds a spool, in use by shipper {pid}",
                f"ok       socket: shipper {pid} answers at {shipper.socket}",
                f"ok       metrics: shipper {pid} listens on {address}",
            ]
            assert code == 0
            # What the shipper has is not what somebody else could have.
            code, lines = check(place, *given[1:], f"--spool-dir={place / 'other'}", metrics)
            assert [line.split(":")[0] for line in lines if "FAILED" in line] == [
                "FAILED   socket",
                "FAILED   metrics",
            ]
            shipper.terminate()


def test_who_looks_at_a_spool_keeps_nobody_from_owning_it(place: Path):
    options = Options(place, place / "s.sock", embedded=False)
    assert owner_of(place) is None
    descriptor = os.open(place, os.O_RDONLY)
    # As somebody who looks has it, though not for as long.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [descriptor]).start()
    with closing(owned_spool(options)):
        assert owner_of(place) == str(os.getpid())
        with pytest.raises(SpoolInUse):
            owned_spool(options)
    assert owner_of(place) is None


def test_a_spools_file_that_root_has_made_is_told_to_the_shippers_user(place: Path, collector: Collector):
    require(nobody.missing_right())
    spool = place / "spool"
    open_spool(spool, max_bytes=1 << 20, min_free_bytes=0, durability="normal").close()
    for path in (place, spool, spool / LOCK_NAME):
        os.chown(path, nobody.UID, nobody.UID)
    (place / "empty.toml").chmod(0o644)
    given = [f"--config={place / 'empty.toml'}", f"--spool-dir={spool}", f"--socket={place / 's.sock'}"]
    command = [*nobody.PREFIX, sys.executable, "-m", "moesifasgi.shipper"]
    for name in ("run", "check"):
        options = [*given, "--spool-min-free-bytes=0", f"--base-uri={collector.url}"]
        done = subprocess.run([*command, name, *options], capture_output=True, text=True, timeout=30, cwd="/")
        assert done.returncode == 1, done.stdout
        expected = f"expected a file that user id {nobody.UID} may write to"
        if name == "run":
            assert f"{spool / FILE_NAME} belongs to user id 0; {expected}" in done.stderr
        else:
            assert f"FAILED   spool: {spool / FILE_NAME}: {expected}" in done.stdout.splitlines()


MANAGER = """
import socket, subprocess, sys, threading
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    def refuse():
        while True:
            listener.accept()[0].close()
    threading.Thread(target=refuse, daemon=True).start()
    sys.exit(subprocess.run([sys.executable, "-m", "moesifasgi.shipper", "check", *sys.argv[2:]]).returncode)
"""


def test_a_socket_that_systemd_holds_is_no_obstacle_but_worth_a_look(place: Path, collector: Collector):
    needed("unshare")
    needs_root("only root can make a process the first of its namespace")
    path = place / "s.sock"
    options = [f"--config={place / 'empty.toml'}", f"--spool-dir={place / 'spool'}", f"--socket={path}"]
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        sys.executable,
        "-c",
        MANAGER,
        str(path),
        *options,
    ]
    done = subprocess.run(
        [*command, f"--base-uri={collector.url}", "--spool-min-free-bytes=0"],
        capture_output=True,
        text=True,
        timeout=30,
        cwd="/",
    )
    (line,) = [line for line in done.stdout.splitlines() if "socket:" in line]
    assert line.startswith("warning")
    assert "process 1 listens there" in line
    assert done.returncode == 0, done.stderr


def test_what_one_may_not_look_at_is_a_line_and_the_rest_is_looked_at(place: Path, collector: Collector):
    require(nobody.missing_right())
    (place / "closed").mkdir(0o700)
    place.chmod(0o755)
    (place / "empty.toml").chmod(0o644)
    given = [
        f"--config={place / 'empty.toml'}",
        f"--spool-dir={place / 'closed' / 'spool'}",
        f"--socket={place / 'closed' / 's.sock'}",
        f"--base-uri={collector.url}",
    ]
    command = [*nobody.PREFIX, sys.executable, "-m", "moesifasgi.shipper", "check", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")
    assert done.returncode == 1
    assert not done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[-3:]] == [
        "FAILED   spool",
        "FAILED   socket",
        "ok       collector",
    ]
    assert done.stdout.count("Permission denied") == 2
