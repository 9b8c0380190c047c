"""Who may speak to a shipper: by user, by group, as the kernel knows them of who connected."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.far_end import FarEnd
from lab.nobody import UID, missing_right
from lab.processes import eventually
from lab.requirement import require
from lab.shipper_process import ShipperProcess, configure, standalone

from moesifasgi.shipper.receiver.admission import ROOT, Admission, Credentials
from moesifasgi.shipper.tool import ask_status

OWN, USER, GROUP = 501, 502, 601
ADMISSION = Admission(frozenset({OWN, ROOT}), frozenset({USER}), frozenset({GROUP}))


@pytest.mark.parametrize(
    ("uid", "gid", "groups", "may"),
    [
        (OWN, 1, (), True),
        (ROOT, 1, (), True),
        (USER, 1, (), True),
        (7, GROUP, (), True),
        (7, 1, (5, GROUP), True),
        (7, 1, (), False),
        (GROUP, USER, (USER,), False),
    ],
)
def test_own_user_root_and_who_is_on_the_lists_may_speak(uid, gid, groups, may):
    refusal = ADMISSION.refusal(Credentials(1, uid, gid), groups)
    assert refusal == (None if may else f"user id {uid} is not allowed to send to this shipper")


def test_only_own_user_and_root_are_masters():
    masters = [uid for uid in (OWN, ROOT, USER, 7) if ADMISSION.is_master(Credentials(1, uid, GROUP))]
    assert masters == [OWN, ROOT]


def test_nobody_else_is_admitted_unless_told(short_dir: Path):
    with FarEnd(short_dir / "s.sock", allowed_uids={os.geteuid()}) as far_end:
        assert ask_status(far_end.path)["peers"]["refused"] == 0


@pytest.mark.parametrize(
    ("key", "who", "may"),
    [
        ("", ("--clear-groups",), False),
        (f"allowed_users = [{UID}]", ("--clear-groups",), True),
        (f"allowed_users = [{UID + 1}]", ("--clear-groups",), False),
        (f"allowed_groups = [{UID}]", ("--clear-groups",), True),
        ("allowed_groups = [4711]", ("--groups=4710,4711",), True),
        ("allowed_groups = [4711]", ("--groups=4710",), False),
    ],
)
def test_other_users_speak_to_a_real_shipper_only_as_its_configuration_says(
    module_shipper: ShipperProcess, key: str, who: tuple[str, ...], may: bool
):
    require(missing_right())
    configure(module_shipper.directory, f'socket_mode = "0666"\n{key}\n')
    module_shipper.reload()
    eventually(lambda: status_as(module_shipper.socket, *who) is may, 20.0, f"with {key!r} it is {may}")


def status_as(socket: Path, *groups: str) -> bool:
    """Whether a process of another user gets the status."""
    code = f"import pathlib, moesifasgi.shipper.tool as tool; tool.ask_status(pathlib.Path({str(socket)!r}))"
    command = ["setpriv", f"--reuid={UID}", f"--regid={UID}", *groups, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=30)
    assert not done.returncode or "is not allowed to send" in done.stderr, done.stderr
    return not done.returncode


@pytest.fixture(scope="module")
def module_shipper() -> Iterator[ShipperProcess]:
    """Its directory lets others through, so that the socket decides."""
    directory = Path(tempfile.mkdtemp(prefix="m-", dir="/tmp"))
    directory.chmod(0o711)
    try:
        with standalone(directory) as shipper:
            yield shipper
    finally:
        shutil.rmtree(directory)
