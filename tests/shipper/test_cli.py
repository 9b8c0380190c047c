"""What a person meets at the command line: answers, errors that say what was expected, exit codes."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from lab import nobody
from lab.processes import eventually
from lab.requirement import require
from lab.shipper_process import channel_to, standalone
from lab.tenants import tenants

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.commands.exits import NO_SHIPPER
from moesifasgi.shipper.delivery_status import status_of
from moesifasgi.shipper.spool.memory import MemorySpool
from moesifasgi.shipper.status import document, policies_of
from moesifasgi.shipper.status_words import MAX_FAULT_LINES, in_words
from moesifasgi.shipper.uploader import Traffic
from moesifasgi.unix_socket import listening


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


def test_a_socket_that_one_may_not_read_is_told_by_what_connecting_says(short_dir: Path):
    require(nobody.missing_right())
    short_dir.chmod(0o755)
    path = short_dir / "s.sock"
    with closing(listening(path, 0o600)):
        command = [*nobody.PREFIX, sys.executable, "-m", "moesifasgi.shipper", "status", f"--socket={path}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=30)
    assert (done.returncode, done.stderr) == (
        NO_SHIPPER,
        f"no shipper: {path}: [Errno 13] Permission denied\n",
    )


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
        (("inspect", "--port", "99999"), "99999 is not in the range"),
        (("flush", "--timeout", "nan"), "expected a number of seconds"),
        (("unknown",), "No such command"),
    ],
)
def test_a_wrong_option_is_refused_in_words(arguments: tuple[str, ...], expected: str):
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


def test_status_in_words_lists_what_is_wrong_with_a_policy_up_to_ten_lines():
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


COMMANDS = ["run", "check", "status", "flush", "dead-letters", "fsck", "inspect", "completion"]


def test_help_names_every_command_a_person_runs_in_the_order_of_need():
    shown = run("--help").output
    places = [shown.index(f"\n  {command} ") for command in COMMANDS]
    assert places == sorted(places)
    assert "embedded" not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_every_option_says_what_it_is_for(command: str):
    (found,) = [each for name, each in main.commands.items() if name == command]
    pending = [found]
    while pending:
        each = pending.pop()
        assert each.help, each.name
        pending += getattr(each, "commands", {}).values()
        for option in each.params:
            assert not isinstance(option, click.Option) or option.help, (each.name, option.name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_this_command(shell: str):
    script = run("completion", shell).output
    assert "moesif-shipper" in script
    assert f"_MOESIF_SHIPPER_COMPLETE={shell}_complete" in script


def test_completion_offers_commands_and_options(monkeypatch):
    from click.shell_completion import BashComplete

    complete = BashComplete(main, {}, "moesif-shipper", "_MOESIF_SHIPPER_COMPLETE")
    assert [item.value for item in complete.get_completions(["dead-letters"], "re")] == ["retry"]
    assert "--spool-dir" in [item.value for item in complete.get_completions(["run"], "--spool")]


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The command with a terminal of its own; its descriptor reads what is shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "moesifasgi.shipper", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd="/") as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def shown_on(descriptor: int) -> str:
    """All that a terminal shows until its program has ended."""
    parts = []
    with suppress(OSError):  # Linux says EIO at the end of a terminal.
        while data := os.read(descriptor, 4096):
            parts.append(data)
    return b"".join(parts).decode()


def test_a_tool_finds_the_shipper_where_the_configuration_has_it_listen(short_dir: Path, monkeypatch):
    file = short_dir / "tools.toml"
    monkeypatch.setenv("MOESIF_SHIPPER_CONFIG", str(file))
    monkeypatch.setenv("MOESIF_SPOOL_DIR", str(short_dir / "embedded"))
    with standalone(short_dir) as shipper:
        for text, code in (
            (f'socket = "{shipper.socket}"', 0),
            ("this is no TOML", NO_SHIPPER),
            ("socket = 3", NO_SHIPPER),
        ):
            file.write_text(text)
            assert run("status").exit_code == code, text
        monkeypatch.setenv("MOESIF_SHIPPER_SOCKET", str(shipper.socket))
        assert run("status").exit_code == 0


def test_a_flush_shows_on_a_terminal_how_far_it_is(short_dir: Path):
    with tenants(["one"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["one"]
        tenant.misbehave(Behaviour(delay_s=0.5))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 2_000)
            eventually(lambda: shipper.counters()["received"] == 2_000, 10.0, "all is taken")
            with on_a_terminal("flush", f"--socket={shipper.socket}") as (process, terminal):
                shown = shown_on(terminal)
                assert process.wait(10.0) == 0
        assert "events  [" in shown
        assert len(set(re.findall(r"(\d+)%", shown))) > 2, shown
        assert shown.rstrip().endswith("delivered")
        assert not tenant.missing()


def test_a_flush_that_takes_too_long_says_so_and_shows_no_bar_where_nobody_looks(short_dir: Path):
    with tenants(["one"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["one"]
        tenant.misbehave(Behaviour(hang=True))
        with channel_to(shipper, tenant.application) as channel:
            tenant.feed(channel, 10)
            eventually(lambda: shipper.spooled() == 10, 10.0, "all is taken")
            result = run("flush", f"--socket={shipper.socket}", "--timeout=0.6")
    assert (result.exit_code, result.output) == (
        1,
        "not delivered within 0.6 s; the rest stays in the spool\n",
    )


def test_a_watch_outlives_the_shipper_that_it_watches_and_its_end_tells_the_last_look(short_dir: Path):
    with standalone(short_dir) as shipper:
        command = [sys.executable, "-m", "moesifasgi.shipper", "status", "--watch", "--json"]
        with subprocess.Popen(
            [*command, f"--socket={shipper.socket}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            text=True,
        ) as watch:
            assert watch.stdout is not None
            assert json.loads(watch.stdout.readline())["pid"] == shipper.popen.pid
            shipper.terminate()
            assert any(line.startswith("no shipper: ") for line in watch.stdout)
            watch.send_signal(signal.SIGINT)
            assert watch.wait(10.0) == NO_SHIPPER


@pytest.mark.parametrize(("command", "code"), [("status", NO_SHIPPER), ("flush", NO_SHIPPER), ("check", 1)])
def test_what_this_user_may_not_look_at_is_said_in_one_line(command: str, code: int, short_dir: Path):
    if (why := nobody.missing_right()) is not None:
        pytest.skip(why)
    closed = short_dir / "closed"
    closed.mkdir(mode=0o700)
    file = short_dir / "shipper.toml"
    file.write_text(f'socket = "{closed / "s.sock"}"\nspool_dir = "{short_dir}"\n')
    file.chmod(0o644)
    short_dir.chmod(0o755)
    done = subprocess.run(
        [*nobody.PREFIX, sys.executable, "-m", "moesifasgi.shipper", command],
        env={**os.environ, "MOESIF_SHIPPER_CONFIG": str(file)},
        capture_output=True,
        text=True,
        timeout=30,
        cwd="/",
    )
    assert done.returncode == code, done
    assert "Permission denied" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
