"""Files that workers leave behind come and go, also while another one looks at them."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from moesifasgi.channel import leftovers
from moesifasgi.channel.leftovers import LeftBounds, LeftFile, found_at, leave_behind, left_in, sweep
from moesifasgi.wire.messages import Hello

HELLO = Hello(1, 1, bytes(16), 1, 1, "0", [])
FRAMES = [b"a frame"]
ANY_DISK = LeftBounds(min_free_bytes=0)


def test_a_file_that_has_just_gone_takes_no_room(short_dir: Path, monkeypatch: pytest.MonkeyPatch):
    """It is no full disk, for which events would be given up."""
    going, look = short_dir / "left-going.frames", Path.stat

    def look_as_it_goes(path: Path, **how: bool) -> os.stat_result:
        found = look(path, **how)
        if path == going:
            path.unlink()
        return found

    going.write_bytes(b"of a sibling")
    (short_dir / "left-gone.frames").symlink_to(short_dir / "nothing")
    monkeypatch.setattr(Path, "stat", look_as_it_goes)
    leave_behind(short_dir, HELLO, FRAMES, ANY_DISK)
    assert (short_dir / f"left-{bytes(16).hex()}.frames").is_file()
    assert not going.exists()


def swept_away(unfinished: Path) -> None:
    sweep(unfinished.parent)
    assert not unfinished.exists()


def looked_at(unfinished: Path) -> None:
    """By somebody who takes a little time for it."""
    descriptor = os.open(unfinished, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    threading.Timer(0.02, os.close, (descriptor,)).start()


@pytest.mark.parametrize("meanwhile", [swept_away, looked_at])
def test_a_new_file_that_is_taken_for_a_dead_workers_is_begun_again(
    meanwhile: Callable[[Path], None], short_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[int] = []

    def kept(descriptor: int) -> None:
        opened.append(descriptor)
        if len(opened) == 1:
            meanwhile(Path(f"/proc/self/fd/{descriptor}").readlink())

    with monkeypatch.context() as patched:
        patched.setattr(leftovers, "keep", kept)
        patched.setattr(leftovers, "let_go", os.close)
        leave_behind(short_dir, HELLO, FRAMES, ANY_DISK)
    assert len(opened) > 1
    (path,) = left_in(short_dir)
    with found_at(path) as found:
        assert found is not None
        assert found.content.endswith(FRAMES[0])


def test_what_nobody_lets_go_of_is_given_up_soon(short_dir: Path):
    unfinished = short_dir / f"left-{bytes(16).hex()}.unfinished"
    with unfinished.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            LeftFile(short_dir, HELLO, FRAMES, ANY_DISK)


def test_what_is_taken_may_have_gone_already(short_dir: Path):
    leave_behind(short_dir, HELLO, FRAMES, ANY_DISK)
    (path,) = left_in(short_dir)
    with found_at(path) as found:
        assert found is not None
        path.unlink()
        found.taken()
