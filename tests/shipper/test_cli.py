"""What a person meets at the command line: answers, errors that say what was expected, exit codes."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from moesifasgi.shipper.cli import main
from moesifasgi.shipper.commands.exits import NO_SHIPPER
from moesifasgi.shipper.delivery_status import status_of
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.status import document, policies_of
from moesifasgi.shipper.status_words import MAX_FAULT_LINES, in_words
from moesifasgi.shipper.uploader import Traffic


@pytest.fixture(autouse=True)
def no_socket_named(monkeypatch):
    monkeypatch.delenv("MOESIF_SHIPPER_SOCKET", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", ["status", "flush"])
def test_without_a_shipper_the_exit_code_and_one_line_say_so(command: str, tmp_path: Path):
    result = run(command, "--socket", str(tmp_path / "nobody.sock"))
    assert result.exit_code == NO_SHIPPER
    assert result.output.startswith("no shipper: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "flush"])
def test_asking_makes_no_directory(command: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MOESIF_SPOOL_DIR", str(tmp_path / "state"))
    assert run(command).exit_code == NO_SHIPPER
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--base-uri", "ftp://x y"), "expected an http or https URL"),
        (("run", "--log-level", "loud"), "expected 'debug' or 'info'"),
        (("inspect", "--host", "256.0.0.1"), "cannot listen on 256.0.0.1"),
        (("unknown",), "No such command"),
    ],
)
def test_a_wrong_option_is_refusedin_words(arguments: tuple[str, ...], expected: str):
    result = run(*arguments)
    assert result.exit_code != 0
    assert expected in result.output


def test_a_port_in_use_is_said_to_be():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("inspect", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "Address already in use" in result.output


def test_a_spool_in_use_is_refused_with_the_owner_named(tmp_path: Path):
    from moesifasgi.shipper.spool.sqlite import open_spool

    owner = open_spool(tmp_path, max_bytes=10**8, min_free_bytes=0, durability="normal")
    try:
        result = run("run", "--spool-dir", str(tmp_path), "--socket", str(tmp_path / "s.sock"))
    finally:
        owner.close()
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_statusin_words_lists_what_is_wrong_with_a_policy_up_to_ten_lines():
    def words(count: int) -> list[str]:
        policy = {
            "state": "ok",
            "rules": 30,
            "age_seconds": 1.0,
            "next_check_in_seconds": None,
            "faults": [f"rule r{number}: no regex" for number in range(count)],
        }
        delivery = status_of([], lambda _: Traffic(), 0.0, [])
        found = document(MemorySpool(), delivery, policies_of({"id-AAAA": policy}, {}), 1.0)
        return in_words({**found, "workers": []}).splitlines()

    assert [line for line in words(2) if line.startswith("      ! ")] == [
        "      ! rule r0: no regex",
        "      ! rule r1: no regex",
    ]
    assert words(MAX_FAULT_LINES)[-1] == "      ! rule r9: no regex"
    assert words(12)[-2:] == ["      ! rule r9: no regex", "      ! and 2 more, see --json"]


def test_help_names_every_command_a_person_runs():
    shown = run("--help").output
    for command in ("run", "status", "flush", "fsck", "inspect"):
        assert f"  {command}" in shown
    assert "embedded" not in shown
