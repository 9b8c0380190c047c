"""OFFLINE_FILE: lines in a file in place of uploads, whole ones or none."""

import fcntl
import json
import os
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from lab.limits import files_no_larger_than

from moesifasgi.settings import Settings
from moesifasgi.shipper.offline import offline_file, write_lines
from moesifasgi.shipper.outcome import Delivered, RetryLater, Unauthorized
from moesifasgi.shipper.spool import Lane
from moesifasgi.shipper.uploader import Uploader

LANE = Lane("a" * 60, "events")


def test_a_setting_names_the_file_whatever_its_path_holds(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("events.ndjson", "a dir/100 %é#?.ndjson", str(tmp_path / "absolute")):
        application = Settings.load({"APPLICATION_ID": "a", "OFFLINE_FILE": given}, {}).application()
        assert offline_file(application) == tmp_path / given
    assert offline_file(Settings.load({"APPLICATION_ID": "a"}, {}).application()) is None


def test_items_are_appended_as_lines_that_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "events"
    assert write_lines(path, [b'{"a":1}', b'{"a":2}']) == Delivered()
    assert write_lines(path, [b'{"a":3}']) == Delivered()
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "found a directory"), (tmp_path / "no" / "dir", "No such file")):
        outcome = write_lines(path, [b"{}"])
        assert isinstance(outcome, RetryLater)
        assert why in outcome.reason


@pytest.mark.timeout(30)
def test_a_pipe_or_a_file_that_somebody_has_locked_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    outcome = write_lines(tmp_path / "pipe", [b"{}"])
    assert outcome == RetryLater(None, f"{tmp_path / 'pipe'} cannot be written: found a pipe")
    path = tmp_path / "events"
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = write_lines(path, [b"{}"])
    assert outcome == RetryLater(None, f"{path} cannot be written: another process has locked it")
    assert write_lines(path, [b"{}"]) == Delivered()
    assert path.read_bytes() == b"{}\n"


def test_of_a_batch_that_does_not_fit_nothing_stays(tmp_path: Path) -> None:
    path, line = tmp_path / "events", b"x" * 999
    write_lines(path, [line])
    with files_no_larger_than(2_500):
        assert isinstance(write_lines(path, [line, line]), RetryLater)
    assert path.read_bytes() == line + b"\n"
    assert write_lines(path, [line, line]) == Delivered()


def test_batches_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "events"

    def write(name: bytes) -> None:
        for _ in range(20):
            write_lines(path, [name * 50_000] * 3)

    writers = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c", b"d")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = path.read_bytes().splitlines()
    assert len(lines) == 240
    assert all(len(set(line)) == 1 and len(line) == 50_000 for line in lines)
    assert all(lines[at] == lines[at + 1] == lines[at + 2] for at in range(0, 240, 3))


def test_a_standalone_shipper_writes_no_file_for_anybody(tmp_path: Path) -> None:
    """Its user may write where the worker's may not."""
    path = tmp_path / "events"
    application = Settings.load({"APPLICATION_ID": "a", "OFFLINE_FILE": str(path)}, {}).application()
    with closing(Uploader()) as uploader:
        outcome = uploader.upload(LANE, application, [b"{}"])
    assert outcome == Unauthorized(403, "only an embedded shipper writes to a file")
    assert not os.path.lexists(path)
