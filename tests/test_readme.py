"""What README shows works as it stands there."""

import json
import re
from pathlib import Path

import pytest
from campaigns.servers_held import KINDS, held_table
from campaigns.servers_table import FOUND, TRANSPORT_NAMES, table
from campaigns.t03_ways_to_end import TRANSPORTS, cases
from click.testing import CliRunner
from lab.setups import SETUPS

from moesifasgi.settings_table import markdown_table
from moesifasgi.shipper.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DAEMON = (ROOT / "docs" / "shipper.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_code_blocks_to_run():
    assert len(BLOCKS) >= 3


def test_the_code_blocks_run_one_after_the_other(monkeypatch):
    monkeypatch.setenv("MOESIF_TRANSPORT", "memory")
    namespace: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), namespace)


def test_the_table_of_settings_is_the_one_that_the_code_makes():
    between = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert between.strip() == markdown_table()


def test_the_table_of_servers_is_what_the_campaign_found():
    between = README.partition("<!-- servers -->")[2].partition("<!-- /servers -->")[0]
    assert between.strip() == table()


def test_the_tables_of_servers_have_each_on_each_transport_in_every_way_and_trouble():
    """What was found of a setup that has changed since then is no news of it."""
    found = json.loads(FOUND.read_text("utf-8"))
    rows = {(row["server"], row["transport"]): row["ends"] for row in found["rows"]}
    wanted = {
        (setup.name, TRANSPORT_NAMES[transport]): {
            (case.way.value, case.trouble.value) for case in cases(setup, [transport])
        }
        for setup in SETUPS
        for transport in TRANSPORTS
        if setup.can_have(transport)
    }
    assert {row: {(end["way"], end["trouble"]) for end in ends} for row, ends in rows.items()} == wanted
    assert {name: set(kinds) for name, kinds in found["held"].items()} == {
        setup.name: set(KINDS) for setup in SETUPS
    }


def test_what_the_table_of_servers_says_was_held_is_what_the_campaign_found():
    between = README.partition("<!-- servers held -->")[2].partition("<!-- /servers held -->")[0]
    assert between.strip() == held_table()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^\s*make (\w+)", README, re.MULTILINE))))
def test_each_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"moesif-shipper ([a-z][a-z-]+)", README + DAEMON)))
)
def test_each_command_exists_and_has_help(command):
    shown = CliRunner().invoke(main, [command, "--help"])
    assert shown.exit_code == 0
    assert shown.output.startswith("Usage:")


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_each_link_leads_somewhere(link):
    assert (ROOT / link).exists()
