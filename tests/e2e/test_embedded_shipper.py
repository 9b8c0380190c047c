"""The embedded shipper beside its server: where it lives, what it holds, how long it stays."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import small_disk
from lab.load import send_mix
from lab.processes import bearing, eventually, is_shipper, kill_all, marked, shippers_of
from lab.requirement import require

from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.places import SOCKET_NAME

WAIT_S = 20.0
SCRIPT = """
import sys, moesifasgi
moesifasgi.update_user({"user_id": "ada"})
sys.exit(0 if moesifasgi.flush(20) else 1)
"""


@contextmanager
def the_shippers_of(mark: str) -> Iterator[Callable[[], list[object]]]:
    """What finds the shippers of a program; they are ended with the block."""

    def found() -> list[object]:
        return [each for each in bearing(mark) if is_shipper(each)]

    try:
        yield found
    finally:
        kill_all(found())  # type: ignore[arg-type]


def delivered_from(prefix: tuple[str, ...], collector: Collector, **environment: str) -> None:
    """A program whose update has to arrive by way of a shipper of its own."""
    wanted = {
        "PATH": os.environ["PATH"],
        "MOESIF_APPLICATION_ID": "application-without-a-place",
        "MOESIF_BASE_URI": collector.url,
        "MOESIF_SHIPPER_SOCKET": "/nonexistent/nobody.sock",
    }
    settings, mark = marked({**wanted, **environment})
    argv = [*prefix, sys.executable, "-c", SCRIPT]
    with the_shippers_of(mark) as shippers:
        ended = subprocess.run(argv, env=settings, cwd="/", capture_output=True, timeout=60)
        assert ended.returncode == 0, ended.stderr.decode()
        assert len(shippers()) == 1
    assert collector.store.summary()["users"]


def in_a_mount_namespace(*commands: str) -> tuple[str, ...]:
    """What goes before a command that is to see another file system."""
    require("needs root" if os.geteuid() != 0 else small_disk.missing_right())
    return "unshare", "--mount", "sh", "-c", " && ".join([*commands, 'exec "$@"']), "sh"


MEMORY = "mount -t tmpfs -o mode=1777 tmpfs"
"""A file system that only this service sees, as with systemd's PrivateTmp."""


def user_with_home(short_dir: Path, home: Path = Path("/dev/null/home")) -> str:
    """The command after which the password database names this home for root; one that cannot be, if none."""
    users = short_dir / "passwd"
    users.write_text(f"root:x:0:0::{home}:/bin/sh\n", "utf-8")
    return f"mount --bind {users} /etc/passwd"


def test_a_user_without_a_home_has_a_shipper(collector: Collector, short_dir: Path):
    prefix = in_a_mount_namespace(f"{MEMORY} /var/tmp", user_with_home(short_dir))
    delivered_from(prefix, collector)


def test_another_users_leftovers_are_in_nobodys_way(collector: Collector, short_dir: Path):
    place = f"/var/tmp/moesif-{os.geteuid()}"
    prefix = in_a_mount_namespace(
        f"{MEMORY} /var/tmp",
        user_with_home(short_dir),
        f"mkdir -m 777 {place}",
        f"touch {place}/launch.lock",
        f"chown 65534 {place} {place}/launch.lock",
    )
    delivered_from(prefix, collector, TMPDIR=str(short_dir))
    assert (short_dir / f"moesif-{os.geteuid()}" / "launch.lock").exists()


def test_a_home_that_cannot_be_written_gives_way_to_a_temporary_place(collector: Collector, short_dir: Path):
    home = short_dir / "home"
    home.mkdir()
    prefix = in_a_mount_namespace(
        f"{MEMORY} /var/tmp", f"{MEMORY} -o ro {home}", user_with_home(short_dir, home)
    )
    delivered_from(prefix, collector)


def test_a_socket_path_may_be_longer_than_the_kernel_allows(collector: Collector, short_dir: Path):
    delivered_from((), collector, MOESIF_SPOOL_DIR=str(short_dir / ("long-" * 30)))


def test_who_reads_the_servers_output_sees_its_end_though_the_shipper_stays(settings, collector, short_dir):
    """A deploy script, a test, a container runtime: it waits for the end of a pipe, not of a process."""
    collector.behave(Behaviour(status=503))
    program = [sys.executable, "-c", SCRIPT.replace("flush(20)", "flush(0.5)")]
    settings, mark = marked({**os.environ, **settings, "MOESIF_SHIPPER_LINGER": "20"})
    read, write = os.pipe()
    with the_shippers_of(mark) as shippers:
        ended = subprocess.run(program, env=settings, capture_output=True, timeout=WAIT_S, pass_fds=[write])
        os.close(write)
        assert os.read(read, 1) == b"", "nor does it hold any other descriptor that was handed down"
        os.close(read)
        assert ended.returncode == 1
        assert shippers(), "it is still there"


def test_a_socket_that_somebody_deleted_is_made_again(serve, collector, short_dir):
    """Workers that are connected go on; one that comes then must find the same shipper."""
    with serve(workers=1) as server:
        send_mix(server.url, 10, concurrency=1)
        eventually(lambda: collector.store.counts().distinct == 10, WAIT_S, "all arrive")
        (shipper,) = shippers_of(short_dir)
        (short_dir / SOCKET_NAME).unlink()
        with serve(workers=1) as later:
            send_mix(later.url, 10, concurrency=1)
            eventually(lambda: collector.store.counts().distinct == 20, WAIT_S, "both deliver")
            assert shippers_of(short_dir) == [shipper]
            later.terminate()
        server.terminate()
    eventually(lambda: not shippers_of(short_dir), WAIT_S, "the shipper leaves by itself")
