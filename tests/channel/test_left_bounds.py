"""What workers leave behind takes no more of a disk than the settings of the spool allow, as it grows too."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from lab import small_disk
from lab.requirement import require

from moesifasgi.channel.leftovers import LOOK_EVERY_BYTES, LeftBounds, LeftFile, left_in
from moesifasgi.channel.registry import channel_for
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.settings import Settings
from moesifasgi.wire.messages import Hello

MIB = 1 << 20
FRAME = bytes(100_000)


def hello(number: int) -> Hello:
    return Hello(1, 1, bytes([number]) * 16, 1, 1, "0", [])


def grown(file: LeftFile) -> int:
    """Its size, when it has been told that it may grow no more."""

    def grow() -> None:
        for _ in range(200):
            file.append([FRAME])

    with pytest.raises(OSError, match="no room for what no shipper takes"):
        grow()
    return file.bytes


def test_a_file_that_grows_stops_at_the_bound_of_all_and_goes_on_when_there_is_room_again(short_dir: Path):
    bounds = LeftBounds(max_bytes=5 * MIB, min_free_bytes=0)
    first, second = (LeftFile(short_dir, hello(number), [], bounds) for number in (1, 2))
    assert grown(first) + LOOK_EVERY_BYTES >= 5 * MIB
    grown(second)
    together = sum(path.stat().st_size for path in left_in(short_dir))
    assert together <= 5 * MIB + 2 * LOOK_EVERY_BYTES
    with pytest.raises(OSError, match="no room"):
        LeftFile(short_dir, hello(3), [FRAME], bounds)
    assert len(list(short_dir.iterdir())) == 2
    first.discard()
    second.append([FRAME] * 10)
    second.close()


def test_a_file_that_would_not_fit_whole_is_not_begun(short_dir: Path):
    with pytest.raises(OSError, match="no room"):
        LeftFile(short_dir, hello(1), [FRAME] * 20, LeftBounds(max_bytes=MIB, min_free_bytes=0))
    assert not list(short_dir.iterdir())


@pytest.mark.parametrize("transport", ["unix", "auto"])
def test_the_bounds_are_those_of_the_spool(transport: str, short_dir: Path):
    given = {
        "APPLICATION_ID": "a",
        "TRANSPORT": transport,
        "SPOOL_DIR": str(short_dir),
        "SPOOL_MAX_BYTES": 7 * MIB,
        "SPOOL_MIN_FREE_BYTES": 3 * MIB,
    }
    channel = channel_for(Settings.load(given, {}))
    assert isinstance(channel, UnixChannel)
    assert channel._dialer.left_bounds == LeftBounds(7 * MIB, 3 * MIB)


DISK_BYTES, RESERVE_BYTES = 16 * MIB, 6 * MIB
WORKER = """
    import json, os, time
    from moesifasgi.channel.registry import channel_for
    from moesifasgi.settings import Settings

    settings = Settings.load({}, os.environ)
    channel = channel_for(settings)
    key = channel.register(settings.application())
    directory = os.environ["MOESIF_SPOOL_DIR"]

    def free():
        disk = os.statvfs(directory)
        return disk.f_bavail * disk.f_frsize

    least = free()
    for _ in range(240):
        assert channel.offer(0, key, bytes(100_000)).value == "accepted"
        time.sleep(0.004)
        least = min(least, free())
    print(json.dumps({"least": least, **channel.stats()}), flush=True)
    os._exit(0)
"""


def test_a_worker_without_a_shipper_leaves_the_reserve_of_a_small_disk_free(short_dir: Path):
    """24 MB come, and the file may have 10 of the disk's 16; what is not in it is still in memory."""
    require(small_disk.missing_right())
    environment = {
        **os.environ,
        "MOESIF_APPLICATION_ID": "a",
        "MOESIF_TRANSPORT": "unix",
        "MOESIF_SHIPPER_SOCKET": str(short_dir / "nobody.sock"),
        "MOESIF_SPOOL_DIR": str(short_dir),
        "MOESIF_SPOOL_MIN_FREE_BYTES": str(RESERVE_BYTES),
    }
    mount = f'mount -t tmpfs -o mode=700,size={DISK_BYTES} tmpfs "{short_dir}" && exec "$0" "$@"'
    argv = [*small_disk.NAMESPACE, "sh", "-c", mount, sys.executable, "-c", textwrap.dedent(WORKER)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert RESERVE_BYTES - 2 * LOOK_EVERY_BYTES <= found["least"] <= RESERVE_BYTES + 2 * LOOK_EVERY_BYTES
    assert found["ring_events"] == 240
