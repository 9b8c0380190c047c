"""How a shipper begins: what it makes for itself, and for whom it waits."""

import os
import threading
from contextlib import closing
from pathlib import Path

import pytest
from lab.processes import eventually
from lab.shipper_process import started
from lab.status import status_at

from moesifasgi.shipper.options import Options
from moesifasgi.shipper.serving import owned_spool
from moesifasgi.shipper.spool.owner import OwnerLock
from moesifasgi.unix_socket import listening

UMASK_077 = ("sh", "-c", 'umask 077; exec "$@"', "sh")


def test_workers_of_other_users_can_pass_the_directory_that_is_made_for_the_socket(short_dir: Path):
    path = short_dir / "made" / "s.sock"
    options = [f"--spool-dir={short_dir / 'spool'}", f"--socket={path}"]
    with started(short_dir, "run", *options, prefix=UMASK_077, answers=False):
        eventually(lambda: status_at(path), 10.0, "it serves")
        assert path.parent.stat().st_mode & 0o7777 == 0o755
        assert (short_dir / "spool").stat().st_mode & 0o7777 == 0o700


def test_a_directory_that_is_there_is_left_as_it_is(short_dir: Path):
    path = short_dir / "closed" / "s.sock"
    path.parent.mkdir(0o700)
    options = [f"--spool-dir={short_dir / 'spool'}", f"--socket={path}"]
    with started(short_dir, "run", *options, answers=False):
        eventually(lambda: status_at(path), 10.0, "it serves")
        assert path.parent.stat().st_mode & 0o7777 == 0o700


def test_whom_systemd_passes_a_socket_waits_too_for_who_only_looks_at_the_spool(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    options = Options(short_dir / "spool", short_dir / "s.sock", embedded=False)
    options.directory.mkdir(0o700)
    with closing(listening(options.socket, 0o600)):
        looker = OwnerLock(options.directory)
        threading.Timer(0.05, looker.release).start()
        owned_spool(options).close()
