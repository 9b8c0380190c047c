"""The files for systemd, judged by systemd's own tools as they are installed."""

import re
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import pytest
from lab.tools import needed, needs_root

from moesifasgi.shipper.configuration.key import keys_of
from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.daemon import LEAVING_S
from moesifasgi.shipper.liveness import STANDSTILL_S

ROOT = Path(__file__).parents[2]
BINDIR = Path(sys.executable).parent
MOST_EXPOSURE = 2.0
RESTARTED_WITHIN_S = 60.0


def make(target: str, directory: Path) -> str:
    command = ["make", "--silent", target, f"DESTDIR={directory}", f"BINDIR={BINDIR}"]
    return subprocess.check_output(command, cwd=ROOT, text=True)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    make("install-systemd", tmp_path)
    return tmp_path


def unit(directory: Path, name: str = "moesif-shipper.service") -> Path:
    return directory / "etc/systemd/system" / name


def setting(file: Path, section: str, name: str) -> str:
    parser = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(file, "utf-8")
    return parser[section][name]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def verified(*files: Path) -> "subprocess.CompletedProcess[str]":
    needed("systemd-analyze")
    command = ["systemd-analyze", "verify", "--man=no", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_has_nothing_to_say_about_the_units(installed):
    found = verified(unit(installed), unit(installed, "moesif-shipper.socket"))
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_systemd_would_say_it(installed):
    """So that silence means something."""
    wrong = unit(installed)
    wrong.write_text(wrong.read_text("utf-8").replace("Type=notify", "Typ=notify"), "utf-8")
    assert "Unknown key 'Typ'" in verified(wrong).stderr


def test_the_exposure_is_low(installed):
    needed("systemd-analyze")
    command = ["systemd-analyze", "--no-pager", "security", "--offline=yes", str(unit(installed))]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    level = re.search(r"Overall exposure level for moesif-shipper.service: (\d+\.\d)", said)
    assert level is not None, said
    assert float(level[1]) <= MOST_EXPOSURE


def test_users_are_not_hidden_or_every_peer_would_be_nobody(installed):
    assert "PrivateUsers=" not in unit(installed).read_text("utf-8")


def test_the_times_fit_the_shippers_own(installed):
    file = unit(installed)
    to_the_end_s = STANDSTILL_S + seconds(setting(file, "Service", "WatchdogSec"))
    assert to_the_end_s + seconds(setting(file, "Service", "RestartSec")) < RESTARTED_WITHIN_S
    stop_s = seconds(setting(file, "Service", "TimeoutStopSec"))
    assert stop_s > Configuration().drain_timeout_s + LEAVING_S
    assert setting(file, "Service", "RuntimeDirectoryPreserve") == "yes"


def test_the_places_are_those_of_the_configuration(installed):
    configuration, file = Configuration(), unit(installed)
    assert f"/var/lib/{setting(file, 'Service', 'StateDirectory')}" == configuration.spool_dir
    listens = setting(unit(installed, "moesif-shipper.socket"), "Socket", "ListenStream")
    assert listens == configuration.socket
    assert Path(listens).parent == Path("/run", setting(file, "Service", "RuntimeDirectory"))
    assert setting(file, "Service", "ExecStart") == f"{BINDIR}/moesif-shipper run"


def test_the_installed_configuration_knows_its_keys(installed):
    text = (installed / "etc/moesif/shipper.toml").read_text("utf-8")
    known = {key.name for _, key in keys_of(Configuration)}
    assert set(tomllib.loads(text)) == {"allowed_groups"}
    assert set(tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))) <= known


def test_installing_again_keeps_the_configuration_and_removing_keeps_what_is_yours(installed):
    configuration, credential = (
        installed / "etc/moesif/shipper.toml",
        installed / "etc/moesif/credentials/shop",
    )
    configuration.write_text('allowed_groups = ["www"]\n', "utf-8")
    credential.write_text("an-id", "utf-8")
    make("install-systemd", installed)
    said = make("uninstall-systemd", installed)
    assert configuration.read_text("utf-8") == 'allowed_groups = ["www"]\n'
    assert {path for path in installed.rglob("*") if path.is_file()} == {configuration, credential}
    assert "what stays" in said


def test_the_directory_of_credentials_is_closed_and_is_the_one_that_the_unit_loads(installed):
    assert (installed / "etc/moesif/credentials").stat().st_mode & 0o777 == 0o700
    assert setting(unit(installed), "Service", "LoadCredential") == "id:/etc/moesif/credentials"


def test_the_user_and_the_directories_can_be_made(installed):
    needed("systemd-sysusers", "systemd-tmpfiles")
    needs_root("only root makes users")
    made = ["systemd-sysusers", f"--root={installed}"]
    subprocess.run(made, check=True, capture_output=True)
    assert re.search(r"^moesif:x:.*:/usr/sbin/nologin$", (installed / "etc/passwd").read_text("utf-8"), re.M)
    created = ["systemd-tmpfiles", "--create", f"--root={installed}", "--prefix=/etc/moesif"]
    subprocess.run(created, check=True, capture_output=True)
    found = (installed / "etc/moesif/shipper.toml").stat()
    gid = int(re.search(r"^moesif:x:(\d+):", (installed / "etc/group").read_text("utf-8"), re.M)[1])  # type: ignore[index]
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o640, 0, gid)
