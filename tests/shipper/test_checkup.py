"""``moesif-shipper check``: what would work, one line each, without a change or an event."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lab.nobody import PREFIX, UID, missing_right
from lab.processes import eventually
from lab.requirement import require
from lab.shipper_process import standalone, started

from moesifasgi.inspector import Behaviour, Collector
from moesifasgi.shipper.checkup import HEALTH_PATH
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.configuration.example import example
from moesifasgi.shipper.spool.sqlite import open_spool
from moesifasgi.unix_socket import answers, listening

ID = "an-id-that-nobody-may-see"


@pytest.fixture
def place(short_dir: Path, collector: Collector) -> Path:
    """A configuration that would work."""
    file = short_dir / "shipper.toml"
    file.touch(0o600)
    file.write_text(
        f'''
        socket = "{short_dir / "run" / "s.sock"}"
        spool_dir = "{short_dir / "spool"}"
        spool_min_free_bytes = 0
        base_uri = "{collector.url}/elsewhere"
        [[application]]
        id = "{ID}"
        base_uri = "{collector.url}"
        '''
    )
    return short_dir


def check(place: Path, *options: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, ["check", f"--config={place / 'shipper.toml'}", *options])
    assert ID not in result.output
    return result.exit_code, result.output.splitlines()


def test_what_would_work_is_said_to_in_one_line_each_and_nothing_is_changed(
    place: Path, collector: Collector
):
    before = sorted(place.rglob("*"))
    code, lines = check(place)
    assert (code, lines) == (
        0,
        [
            f"ok       configuration: {place / 'shipper.toml'}, 1 applications",
            f"ok       spool: {place / 'spool'} will be made in {place}",
            f"ok       socket: no shipper runs at {place / 'run' / 's.sock'} yet",
            f"ok       collector: {collector.url}: its health probe answers 200",
            f"ok       collector: {collector.url}/elsewhere: its health probe answers 200",
        ],
    )
    assert sorted(place.rglob("*")) == before
    # Nothing but health was asked.
    assert {key.rpartition(" ")[0] for key in collector.store.requests()} == {f"GET {HEALTH_PATH}"}
    assert not collector.store.counts().received


def test_what_would_work_does(place: Path, collector: Collector):
    with standalone(place, configuration=(place / "shipper.toml").read_text()) as shipper:
        code, lines = check(place, f"--socket={shipper.socket}", f"--spool-dir={place}")
        assert code == 0
        assert f"ok       socket: shipper {shipper.popen.pid} answers at {shipper.socket}" in lines
        assert f"ok       spool: {place} holds a spool, in use by shipper {shipper.popen.pid}" in lines


def test_a_collector_that_is_down_or_does_not_answer_is_a_failure(place: Path, collector: Collector):
    collector.behave(Behaviour(status=503, path_prefix=HEALTH_PATH))
    code, lines = check(place)
    assert code == 1
    assert f"FAILED   collector: {collector.url}: its health probe answers 503" in lines
    collector.behave(Behaviour(status=404, path_prefix=HEALTH_PATH))
    code, lines = check(place)
    assert code == 0
    assert f"warning  collector: {collector.url}: its health probe answers 404" in lines
    code, lines = check(place, "--base-uri=http://127.0.0.1:9")
    assert code == 1
    assert "FAILED   collector: http://127.0.0.1:9: the connection failed" in lines


def test_a_way_that_no_section_asks_for_may_be_out_of_reach(place: Path, collector: Collector, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    file = place / "shipper.toml"
    file.write_text(file.read_text().replace(f'base_uri = "{collector.url}/elsewhere"', ""))
    code, lines = check(place)
    assert code == 0
    assert lines[-2:] == [
        f"ok       collector: {collector.url}: its health probe answers 200",
        "warning  collector: https://api.moesif.net: the proxy failed;"
        " no [[application]] goes there, only others whose workers do not say where",
    ]
    assert check(place, "--unknown-applications=refuse")[1] == lines[:-1]
    file.write_text(file.read_text() + '\n[[application]]\nid = "another"\n')
    assert check(place)[0] == 1
    file.write_text(file.read_text().partition("[[application]]")[0])
    assert check(place)[0] == 1


def test_a_password_in_an_address_is_not_shown(place: Path, collector: Collector):
    address = collector.url.replace("http://", "http://user:pass-word@")
    code, lines = check(place, f"--base-uri={address}/elsewhere")
    assert code == 0
    assert not [line for line in lines if "pass-word" in line]
    assert f"ok       collector: {collector.url}/elsewhere: its health probe answers 200" in lines


def test_every_fault_of_the_configuration_is_a_line(place: Path):
    (place / "shipper.toml").write_text("a = 1\nb = 2\n")
    code, lines = check(place)
    assert code == 1
    assert lines == [
        f"FAILED   configuration: {place / 'shipper.toml'}: unknown key 'a'",
        f"FAILED   configuration: {place / 'shipper.toml'}: unknown key 'b'",
    ]


def test_a_spool_of_a_newer_version_and_one_that_is_damaged_are_told(place: Path):
    spool = place / "spool"
    open_spool(spool, max_bytes=1 << 20, min_free_bytes=0, durability="normal").close()
    file = spool / "spool.sqlite3"
    sound = file.read_bytes()
    file.write_bytes(sound[:100])
    code, lines = check(place)
    (line,) = (line for line in lines if "spool:" in line)
    assert (code, line) == (
        0,
        f"warning  spool: {file} is cut; it will be set aside, with what can be saved in a new one",
    )
    newer = bytearray(sound)
    newer[60:64] = (2).to_bytes(4, "big")
    newer[68:72] = (0x4D530002).to_bytes(4, "big")
    file.write_bytes(newer)
    code, lines = check(place)
    (line,) = (line for line in lines if "spool:" in line)
    assert code == 1
    assert line.startswith(f"FAILED   spool: {file} is of version 2, made by a newer moesifasgi")


def test_a_spool_at_rest_is_left_as_it_was(place: Path):
    spool = place / "spool"
    open_spool(spool, max_bytes=1 << 20, min_free_bytes=0, durability="normal").close()
    before = sorted(place.rglob("*"))
    code, lines = check(place)
    assert code == 0
    assert f"ok       spool: {spool} holds a spool" in lines
    assert sorted(place.rglob("*")) == before


def test_what_others_could_reach_is_worth_a_warning(place: Path):
    spool = place / "spool"
    open_spool(spool, max_bytes=1 << 20, min_free_bytes=0, durability="normal").close()
    spool.chmod(0o755)
    (place / "shipper.toml").chmod(0o644)
    code, lines = check(place, "--socket-mode=0666")
    assert code == 0
    assert [line for line in lines if line.startswith("warning") and "collector" not in line] == [
        f"warning  configuration: {place / 'shipper.toml'} has mode 0644 and holds a secret;"
        " expected 0640 or 0600",
        f"warning  spool: {spool} has mode 0755, so others can reach it; expected 0700",
        "warning  socket: socket_mode 0666 lets every user connect, allowed or not",
    ]


def test_a_disk_with_less_room_than_is_to_be_kept_free_is_a_failure(place: Path):
    code, lines = check(place, f"--spool-min-free-bytes={2**50}")
    assert code == 1
    assert "bytes are free, no more than spool_min_free_bytes keeps" in "".join(lines)


def test_what_stands_in_the_sockets_place_is_told(place: Path):
    (place / "run").mkdir()
    path = place / "run" / "s.sock"
    path.touch()
    assert check(place)[0] == 1
    assert f"FAILED   socket: {path} exists and is not a socket" in check(place)[1]
    path.unlink()
    listening(path, 0o600).close()
    code, lines = check(place)
    assert code == 0
    assert [line for line in lines if "Connection refused; the next shipper takes its place" in line]


def test_a_dead_socket_in_a_directory_that_one_may_not_write_to_is_told(place: Path, collector: Collector):
    require(missing_right())
    (place / "run").mkdir()
    (place / "nobodys").mkdir()
    path = place / "run" / "s.sock"
    listening(path, 0o666).close()
    place.chmod(0o755)
    for mine in (path, place / "nobodys", place / "shipper.toml"):
        os.chown(mine, UID, UID)
    command = [*PREFIX, sys.executable, "-m", "moesifasgi.shipper"]
    options = [f"--config={place / 'shipper.toml'}", f"--spool-dir={place / 'nobodys'}"]
    checked, ran = (
        subprocess.run([*command, name, *options], capture_output=True, text=True, cwd="/", timeout=30)
        for name in ("check", "run")
    )
    told = f"FAILED   socket: {place / 'run'}: expected a directory that user id {UID} may write to"
    assert told in checked.stdout.splitlines()
    assert (checked.returncode, ran.returncode) == (1, 1)
    assert f"cannot listen on {path}: Permission denied" in ran.stderr + ran.stdout


def test_monitors_may_have_their_socket_in_a_directory_that_is_yet_to_be_made(
    place: Path, collector: Collector
):
    path = place / "run" / "m.sock"
    code, lines = check(place, f"--metrics=unix:{path}")
    assert code == 0
    assert f"ok       metrics: nobody listens on unix:{path} yet" in lines
    code, lines = check(place, f"--metrics=unix:{place / 'other' / 'm.sock'}")
    assert code == 1
    assert lines[3].startswith("FAILED   metrics: cannot listen for metrics on")
    options = (f"--spool-dir={place / 'spool'}", f"--socket={place / 'run' / 's.sock'}")
    with started(place, "run", *options, f"--metrics=unix:{path}", answers=False):
        eventually(lambda: answers(path, 10.0), 20.0, "it listens where check said that it could")


def test_a_user_who_may_not_write_there_is_told_so(place: Path, collector: Collector):
    require(missing_right())
    place.chmod(0o755)
    (place / "shipper.toml").chmod(0o644)
    command = [
        *PREFIX,
        sys.executable,
        "-m",
        "moesifasgi.shipper",
        "check",
        "--config",
        place / "shipper.toml",
    ]
    done = subprocess.run([*command, "--socket-group=0"], capture_output=True, text=True, cwd="/", timeout=30)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    expected = f"{place}: expected a directory that user id 65534 may write to"
    assert f"FAILED   spool: {expected}" in lines
    assert f"FAILED   socket: {expected}" in lines
    assert "FAILED   socket: expected socket_group 0 to be a group of this user" in lines


def test_the_example_is_printed_whole():
    result = CliRunner().invoke(main, ["check", "--example"])
    assert (result.exit_code, result.output) == (0, example())


def test_a_spool_directory_that_others_may_write_to_would_be_refused(place: Path):
    (place / "spool").mkdir()
    (place / "spool").chmod(0o777)
    code, lines = check(place)
    assert code == 1
    assert any(f"{place / 'spool'}: others may write to it (mode 0777)" in line for line in lines)


def test_an_application_whose_id_only_systemd_knows_is_a_warning_and_all_else_is_looked_at(
    place: Path, collector: Collector, monkeypatch
):
    file = place / "shipper.toml"
    file.write_text(file.read_text().replace(f'id = "{ID}"', 'id_file = "id_shop"'))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    code, lines = check(place)
    assert code == 0
    assert lines[1].startswith("warning  configuration: [[application]] 1: id_file id_shop: expected $CRED")
    assert f"ok       collector: {collector.url}: its health probe answers 200" in lines
    assert len(lines) == 6
    (place / "id_shop").touch(0o600)
    (place / "id_shop").write_text(ID)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    assert [line for line in check(place)[1] if not line.startswith("ok")] == []


def test_a_bundle_that_an_http_address_does_not_need_is_no_failure(place: Path, collector: Collector):
    os.mkfifo(place / "pipe")
    code, lines = check(place, f"--ca-bundle={place / 'pipe'}")
    assert code == 0
    assert lines[-1] == (
        f"warning  collector: ca_bundle {place / 'pipe'} has no effect on an http address;"
        f" CA bundle {place / 'pipe'}: expected a file, found a pipe"
    )
    code, lines = check(place, f"--ca-bundle={place / 'pipe'}", "--base-uri=https://127.0.0.1:9")
    assert code == 1
    assert lines[4].endswith(
        f"https://127.0.0.1:9: CA bundle {place / 'pipe'}: expected a file, found a pipe"
    )
