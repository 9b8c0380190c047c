"""``moesif-shipper dead-letters``: on a running shipper and on a spool at rest, the same."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lab.far_end import FarEnd
from lab.processes import eventually
from lab.shipper_process import ShipperProcess, channel_to, standalone
from lab.tenants import Tenant, tenants

from moesifasgi.inspector import Behaviour
from moesifasgi.shipper.cli import main
from moesifasgi.shipper.letter_boxes import RunningShipper, SpoolAtRest
from moesifasgi.shipper.letters import Facts, meant
from moesifasgi.shipper.receiver.admission import Admission
from moesifasgi.shipper.spool import SpoolInUse
from moesifasgi.shipper.tool import NoShipper, ask_status

COUNT = 25
"""More than a shipper answers at once."""
Run = Callable[..., Result]


@dataclass
class Refused:
    """A shipper with dead letters, and how the command is to look at them."""

    shipper: ShipperProcess | None
    directory: Path
    tenant: Tenant
    where: str

    def run(self, *arguments: str, given: str | None = None) -> Result:
        command, *rest = arguments
        return CliRunner().invoke(main, ["dead-letters", command, self.where, *rest], input=given)

    def listed(self) -> list[dict]:
        result = self.run("list", "--json")
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.output.splitlines()]


@pytest.fixture(params=["running", "at rest"])
def refused(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Refused]:
    with tenants(["one"]) as by_name, standalone(short_dir) as shipper:
        tenant = by_name["one"]
        with channel_to(shipper, tenant.application) as channel:
            # In fives: after twenty single refusals in a row the application would be parked.
            for number in range(1, COUNT // 5 + 1):
                tenant.misbehave(Behaviour(status=400))
                tenant.feed(channel, 5)
                counted(shipper, "dead_lettered", 5 * number)
                tenant.collector.behave(None)
                tenant.feed(channel, 1)
                counted(shipper, "delivered", number)
        if request.param == "running":
            yield Refused(shipper, short_dir, tenant, f"--socket={shipper.socket}")
        else:
            shipper.terminate()
            yield Refused(None, short_dir, tenant, f"--spool-dir={short_dir}")


def counted(shipper: ShipperProcess, fate: str, count: int) -> None:
    eventually(lambda: shipper.counters()[fate] == count, 10.0, f"{count} are {fate}")


def test_a_person_can_list_show_export_retry_and_discard(refused: Refused, tmp_path: Path):
    untouched = contents_of(refused.directory)
    letters = refused.listed()
    assert len(letters) == COUNT
    assert len({letter["id"] for letter in letters}) == COUNT
    assert {letter["code"] for letter in letters} == {"400"}
    assert {letter["application"] for letter in letters} == {refused.tenant.application.label}

    lines = refused.run("list").output.splitlines()
    assert [line.split("  ")[0] for line in lines] == [letter["id"] for letter in letters]

    assert_nothing_is_done_by_mistake(refused, letters)
    first, second, third, *_ = letters
    shown = json.loads(refused.run("show", first["id"], "--json").output)
    dead = refused.tenant.offered - refused.tenant.collector.store.transaction_ids()
    assert shown["content"]["transaction_id"] in dead
    assert shown["content"]["request"]["uri"].startswith("https://shop.example.org/shops/")
    assert f"reason: {first['reason']}" in refused.run("show", first["id"]).output

    file = tmp_path / "letters.ndjson"
    result = refused.run("export", "--json", str(file))
    assert (result.exit_code, json.loads(result.output)) == (0, {"exported": COUNT})
    assert file.stat().st_mode & 0o777 == 0o600
    exported = [json.loads(line) for line in file.read_text().splitlines()]
    assert {letter["content"]["transaction_id"] for letter in exported} == dead
    assert refused.run("export", str(file)).output.startswith(
        f"Error: {file}: expected a name for a new file"
    )

    if refused.shipper is None:
        assert contents_of(refused.directory) == untouched, "looking changes nothing"
    result = refused.run("discard", "--json", second["id"])
    assert (result.exit_code, json.loads(result.output)) == (0, {"discarded": 1, "meant": 1})
    result = refused.run("retry", "--json", first["id"], third["id"])
    assert (result.exit_code, json.loads(result.output)) == (0, {"retried": 2, "meant": 2})
    assert [letter["id"] for letter in refused.listed()] == [letter["id"] for letter in letters[3:]]

    gone = by_id(exported, second["id"])["content"]["transaction_id"]
    result = refused.run("retry", "--yes")
    assert (result.exit_code, result.output) == (0, f"retried {COUNT - 3} of {COUNT - 3} dead letters\n")
    assert refused.listed() == []
    if refused.shipper is not None:
        assert_all_arrive(refused.shipper, refused.tenant, gone)
    else:
        with standalone(refused.directory) as shipper:
            assert_all_arrive(shipper, refused.tenant, gone)


def assert_all_arrive(shipper: ShipperProcess, tenant: Tenant, gone: str) -> None:
    eventually(lambda: tenant.missing() == {gone}, 15.0, "what was retried arrives under its own id")
    eventually(lambda: not shipper.spooled(), 5.0, "and is settled")
    counters = shipper.counters()
    assert (counters["dead_lettered"], counters["dropped"]) == (0, {"discarded": 1})
    assert (counters["received"], counters["difference"]) == (len(tenant.offered), 0)


def assert_nothing_is_done_by_mistake(refused: Refused, letters: list[dict]) -> None:
    wrongs = {"x": "expected an id as 'list' shows it", "3f9c2a1b-99": "there is no dead letter 3f9c2a1b-99"}
    for wrong, expected in wrongs.items():
        result = refused.run("discard", letters[0]["id"], wrong)
        assert (result.exit_code, expected in result.output) == (1, True), result.output
    for answer in ("n\n", ""):
        result = refused.run("discard", given=answer)
        assert (result.exit_code, f"discard all {COUNT} dead letters?" in result.output) == (1, True)
    assert refused.listed() == letters


def contents_of(directory: Path) -> bytes:
    return (directory / "spool.sqlite3").read_bytes()


def by_id(letters: list[dict], wanted: str) -> dict:
    return next(letter for letter in letters if letter["id"] == wanted)


@pytest.mark.parametrize("command", ["list", "show 3f9c2a1b-17", "export -", "retry --yes", "discard --yes"])
def test_where_nobody_answers_and_where_no_spool_is_one_line_says_so(command: str, tmp_path: Path):
    name, *rest = command.split()
    for where, expected in (
        (f"--socket={tmp_path / 's.sock'}", "--spool-dir looks into the spool of one that is stopped"),
        (f"--spool-dir={tmp_path / 'no-spool'}", "no spool in"),
    ):
        result = CliRunner().invoke(main, ["dead-letters", name, where, *rest])
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert expected in result.output
    assert not (tmp_path / "no-spool").exists()
    both = CliRunner().invoke(main, ["dead-letters", "list", "--socket=a", "--spool-dir=b"])
    assert (both.exit_code, "not both" in both.output) == (2, True)


def test_a_spool_in_use_can_be_looked_at_but_not_changed_behind_its_shippers_back(short_dir: Path):
    with standalone(short_dir):
        where = f"--spool-dir={short_dir}"
        assert CliRunner().invoke(main, ["dead-letters", "list", where]).exit_code == 0
        with pytest.raises(SpoolInUse):
            SpoolAtRest(short_dir).decide([(b"s" * 16, 1)], retry=True)


def test_nobody_but_root_and_its_own_user_may_ask_a_shipper(short_dir: Path):
    """Whoever may send events of one application may not read another's."""
    with FarEnd(short_dir / "s.sock") as far_end:
        far_end.receiver.reconsider(Admission(frozenset({os.geteuid() + 1}), uids=frozenset({os.geteuid()})))
        assert ask_status(far_end.path)
        box = RunningShipper(far_end.path)
        for ask in (
            lambda: list(box.letters()),
            lambda: box.payload(letter(b"s" * 16)),
            lambda: box.decide([(b"s" * 16, 1)], retry=False),
        ):
            with pytest.raises(NoShipper, match="only root and the shipper's own user"):
                ask()


def letter(session: bytes, sequence: int = 1) -> Facts:
    return Facts(1, session, sequence, "…x", "events", 0, "400", "no", 0.0, 1)


def test_two_letters_with_the_same_short_id_are_told_apart_by_a_longer_one():
    one, other = letter(b"aaaa" + b"1" * 12), letter(b"aaaa" + b"2" * 12)
    assert one.id == other.id == "61616161-1"
    with pytest.raises(ValueError, match=f"expected one dead letter, 61616161-1 is {one.session.hex()}-1 or"):
        meant(["61616161-1"], [one, other])
    assert meant([f"{other.session.hex()}-1", f"{other.session.hex()[:12]}-1"], [one, other]) == [other]
