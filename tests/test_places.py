"""Where an embedded shipper lives: the first directory of the chain that is ours alone."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from moesifasgi.places import state_directory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
SOMEBODY_ELSE = 54_321


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_spool_dir_wins_over_all_others(tmp_path: Path):
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "XDG_STATE_HOME": str(tmp_path / "xdg")}

    found = state_directory(str(tmp_path / "a" / "b"), environ)

    assert found == tmp_path / "a" / "b"
    assert mode_of(found) == 0o700
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "{}/state", "XDG_STATE_HOME": "{}/xdg"}, "state/moesif"),
        ({"STATE_DIRECTORY": "{}/state:{}/second"}, "state/moesif"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "{}/xdg"}, "xdg/moesif"),
    ],
)
def test_the_chain_has_an_order(tmp_path: Path, environ: dict[str, str], expected: str):
    filled = {name: value.replace("{}", str(tmp_path)) for name, value in environ.items()}

    assert state_directory(None, filled) == tmp_path / expected


def test_a_place_that_cannot_be_had_gives_way_to_the_next(tmp_path: Path):
    (tmp_path / "state").write_text("a file")
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "XDG_STATE_HOME": str(tmp_path / "xdg")}

    assert state_directory(None, environ) == tmp_path / "xdg" / "moesif"


def test_a_spool_dir_that_cannot_be_had_gives_way_to_none_and_the_error_says_why(tmp_path: Path):
    wanted = tmp_path / "spool"
    wanted.write_text("a file")

    with pytest.raises(OSError, match=str(wanted)):
        state_directory(str(wanted), {"XDG_STATE_HOME": str(tmp_path / "xdg")})


def test_a_directory_that_others_can_open_is_closed(tmp_path: Path):
    wanted = tmp_path / "spool"
    wanted.mkdir()
    wanted.chmod(0o777)

    assert mode_of(state_directory(str(wanted), {})) == 0o700


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_symlink_is_refused(tmp_path: Path, target: str):
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / target)

    with pytest.raises(OSError, match="no directory for the shipper"):
        state_directory(str(tmp_path / "link"), {})
    assert mode_of(tmp_path / "elsewhere") == 0o755


@needs_root
def test_another_users_directory_is_refused_and_left_as_it_is(tmp_path: Path):
    wanted = tmp_path / "spool"
    wanted.mkdir(mode=0o755)
    os.chown(wanted, SOMEBODY_ELSE, SOMEBODY_ELSE)

    with pytest.raises(OSError, match="belongs to another user"):
        state_directory(str(wanted), {})
    assert mode_of(wanted) == 0o755


@needs_root
def test_a_user_without_a_home_gets_a_temporary_place():
    """A container's user may have no entry in the password database, and a home that is root's."""
    script = (
        "import os, sys\n"
        "from moesifasgi.places import state_directory\n"
        f"os.setresuid({SOMEBODY_ELSE}, {SOMEBODY_ELSE}, {SOMEBODY_ELSE})\n"
        "print(state_directory(None, {'HOME': '/root'}))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/"
    )
    found = Path(answer.stdout.strip())

    try:
        assert found.parent in (Path("/var/tmp"), Path(tempfile.gettempdir()))
        assert (found.name, found.stat().st_uid, mode_of(found)) == (
            f"moesif-{SOMEBODY_ELSE}",
            SOMEBODY_ELSE,
            0o700,
        )
    finally:
        found.rmdir()


def test_a_directory_that_others_work_in_is_neither_taken_nor_closed_to_them(tmp_path: Path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "somebody's").touch()
    with pytest.raises(OSError, match=r"open to others .* and in use"):
        state_directory(str(shared), {})
    assert shared.stat().st_mode & 0o7777 == 0o1777


def test_parents_are_made_closed_to_others_writing_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        made = state_directory(str(tmp_path / "a" / "b"), {})
    finally:
        os.umask(before)
    assert made.parent.stat().st_mode & 0o777 == 0o755
    assert made.stat().st_mode & 0o777 == 0o700


def test_a_relative_place_is_passed_over_as_it_means_another_to_each_process(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = state_directory(None, {"XDG_STATE_HOME": "state", "STATE_DIRECTORY": "other"})
    assert tmp_path not in found.parents
