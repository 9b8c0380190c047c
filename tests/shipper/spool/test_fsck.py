"""fsck: whatever is damaged is found without a change, and repaired on request."""

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import rmtree

import pytest
from click.testing import CliRunner, Result
from lab import nobody
from lab.counts import count_of, seed_of
from lab.tools import needs_root

from moesifasgi.shipper.cli import main
from moesifasgi.shipper.spool import DeadLetter, Settlement, SpoolError, SpoolInUse, schema
from moesifasgi.shipper.spool.fsck import examine, repair, rows_of
from moesifasgi.shipper.spool.sqlite import SqliteSpool
from moesifasgi.wire.application import Application

FLIPS = 60
Filled = Callable[[], SqliteSpool]


@pytest.fixture
def filled(tmp_path: Path, opened, append) -> SqliteSpool:
    spool = opened()
    for first in range(1, 91, 3):
        append(spool, first)
    spool.remember_policy("the-application", b"the policy")
    return spool


def change(directory: Path, statement: str) -> None:
    """Change the file behind the spool's back."""
    with closing(sqlite3.connect(directory / "spool.sqlite3")) as connection, connection:
        connection.execute(statement)


def fsck(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["fsck", "--spool-dir", str(directory), *options])


def test_a_sound_spool_is_said_to_be_sound_while_a_shipper_uses_it(tmp_path: Path, filled: SqliteSpool):
    letter = DeadLetter(b"s" * 16, 1, 0, b"poison", "400", "no")
    first = filled.peek(filled.lanes()[0], 0, 1)[0]
    filled.settle([Settlement(first.row, 2, (letter,))])
    examined: list[int] = []
    found = examine(tmp_path, examined.append)
    assert (found.faults, found.rows, found.events, found.dead_letters) == ([], 29, 87, 1)
    assert sum(examined) == rows_of(tmp_path) == 29
    assert fsck(tmp_path).exit_code == 0


def test_an_examination_changes_nothing(tmp_path: Path, filled: SqliteSpool):
    filled.close()
    change(tmp_path, "UPDATE chunks SET body = zeroblob(50) WHERE row = 7")
    before = (tmp_path / "spool.sqlite3").read_bytes()
    assert examine(tmp_path).faults
    assert (tmp_path / "spool.sqlite3").read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE chunks SET body = zeroblob(50) WHERE row = 7", "row 7 does not match its seal"),
        ("UPDATE chunks SET lane = 1 WHERE row = 2", "row 2 does not match its seal"),
        ("DELETE FROM chunks WHERE row = 9", "45 events are counted, 42 are there"),
        ("UPDATE counters SET value = value + 1 WHERE name = 'taken'", "do not add up"),
        ("UPDATE sessions SET last = 1", "does not match its seal"),
        ("UPDATE policies SET policy = x'00'", "the policy of …tion does not match its seal"),
        ("UPDATE policies SET policy = 'text'", "the policy of …tion does not match its seal"),
        ("UPDATE chunks SET seal = 0", "… and 10 more"),
        ("DROP TABLE sessions", "no such table"),
    ],
)
def test_each_kind_of_damage_is_told(tmp_path: Path, filled: SqliteSpool, statement: str, expected: str):
    filled.close()
    change(tmp_path, statement)
    result = fsck(tmp_path)
    assert result.exit_code == 1
    assert expected in result.output
    assert "DAMAGED: " in result.output


def test_a_cut_file_is_told(tmp_path: Path, filled: SqliteSpool):
    filled.close()
    file = tmp_path / "spool.sqlite3"
    file.write_bytes(file.read_bytes()[:-20_000])
    assert examine(tmp_path).faults


def test_a_repair_saves_all_that_is_sound(tmp_path: Path, filled: SqliteSpool, opened, contents, conserved):
    filled.close()
    change(tmp_path, "UPDATE chunks SET body = zeroblob(50) WHERE row = 7")
    result = fsck(tmp_path, "--repair")
    assert (result.exit_code, "87 events saved" in result.output) == (0, True)
    assert fsck(tmp_path).exit_code == 0
    again = opened()
    assert contents(again) == [number for number in range(1, 91) if number not in (19, 20, 21)]
    conserved(again)


def test_nothing_is_repaired_while_a_shipper_runs(tmp_path: Path, filled: SqliteSpool):
    change(tmp_path, "UPDATE chunks SET body = zeroblob(50) WHERE row = 7")
    with pytest.raises(SpoolInUse, match="in use by process"):
        repair(tmp_path)
    assert fsck(tmp_path, "--repair").exit_code == 2


def test_another_users_spool_is_not_repaired(tmp_path: Path, filled: SqliteSpool):
    """What root makes in it could not be opened by the shipper's own user any more."""
    needs_root("only root can give a directory away")
    filled.close()
    change(tmp_path, "UPDATE chunks SET body = zeroblob(50) WHERE row = 7")
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, nobody.UID, nobody.UID)
    before = (tmp_path / "spool.sqlite3").read_bytes()
    result = fsck(tmp_path, "--repair")
    assert result.exit_code == 2
    assert f"cannot use {tmp_path}: belongs to another user; expected one of the user id 0" in result.output
    assert (tmp_path / "spool.sqlite3").read_bytes() == before
    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {nobody.UID}


@pytest.mark.parametrize("make", [lambda file: None, lambda file: file.mkdir()], ids=["none", "directory"])
def test_where_there_is_no_spool_it_says_so(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "spool.sqlite3")
    with pytest.raises(SpoolError):
        examine(tmp_path)
    result = fsck(tmp_path)
    assert result.exit_code == 2
    assert str(tmp_path) in result.output


def test_what_is_beside_a_spool_or_in_its_place_is_named(tmp_path: Path, filled: SqliteSpool):
    names = [f"spool.sqlite3.{kind}" for kind in ("damaged-0007-20260101T000000Z", "new", "part", "rescued")]
    for name in names:
        (tmp_path / name).touch()
    result = fsck(tmp_path)
    assert result.exit_code == 0
    assert [name for name in names if name not in result.output] == []
    filled.close()
    (tmp_path / "spool.sqlite3").unlink()
    result = fsck(tmp_path)
    assert result.exit_code == 2
    assert [name for name in names if name not in result.output] == []


def test_a_newer_versions_spool_is_refused_and_not_called_damaged(tmp_path: Path, filled: SqliteSpool):
    filled.close()
    with closing(sqlite3.connect(tmp_path / "spool.sqlite3")) as connection, connection:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA application_id = {mark - version + 99}")
        connection.execute("PRAGMA user_version = 99")
    result = fsck(tmp_path, "--repair")
    assert result.exit_code == 2
    assert "newer moesifasgi" in result.output


def test_permissions_that_let_others_in_are_noted(tmp_path: Path, filled: SqliteSpool):
    (tmp_path / "spool.sqlite3").chmod(0o644)
    tmp_path.chmod(0o700)
    found = examine(tmp_path)
    assert [note for note in found.notes if "0644" in note]
    assert not found.faults


def test_an_older_spool_lacks_the_policies_and_is_sound(tmp_path: Path, filled: SqliteSpool):
    filled.close()
    change(tmp_path, "DROP TABLE policies")
    assert fsck(tmp_path).exit_code == 0


SMALL_TABLES = [
    "UPDATE sessions SET last = last + 1",
    "UPDATE sessions SET session = 'text'",
    "UPDATE sessions SET touched_at = 'text'",
    "UPDATE applications SET settings = x'80'",
    "UPDATE applications SET settings = 5",
    "UPDATE policies SET seal = seal + 1",
    "UPDATE dead_letters SET reason = 'x'",
    "UPDATE dead_letters SET refused_at = 'text'",
    "UPDATE dead_letters SET payload = 'text'",
]


@pytest.mark.parametrize("statement", SMALL_TABLES)
def test_after_a_repair_the_spool_is_sound(
    tmp_path: Path, filled: SqliteSpool, opened, conserved, statement: str
):
    """What no seal vouches for is not carried along: it would be found again after every repair."""
    letter = DeadLetter(b"s" * 16, 1, 0, b"poison", "400", "no")
    first = filled.peek(filled.lanes()[0], 0, 1)[0]
    filled.settle([Settlement(first.row, 2, (letter,))])
    filled.remember(Application("the-application"))
    filled.close()
    change(tmp_path, statement)
    assert fsck(tmp_path).exit_code == 1
    assert fsck(tmp_path, "--repair").exit_code == 0
    assert not examine(tmp_path).faults
    again = opened()
    assert (again.usage().events, again.usage().mishaps) == (87, ())
    conserved(again)


def test_whatever_bit_is_flipped_it_is_examined_and_repaired(quick_path: Path, opened, append):
    """No type that a damaged record may have, and no page that cannot be read, ends it without an answer."""
    spool = opened(quick_path / "whole")
    for first in range(1, 13, 3):
        append(spool, first)
    letter = DeadLetter(b"s" * 16, 1, 0, b"poison", "400", "no")
    spool.settle([Settlement(1, 2, (letter,))])
    spool.remember_policy("the-application", b"the policy")
    spool.remember(Application("the-application"))
    spool.close()
    whole = (quick_path / "whole" / "spool.sqlite3").read_bytes()
    used = [at for at in range(len(whole)) if whole[at]]
    rng = random.Random(seed_of())
    for turn in range(count_of(FLIPS)):
        directory = quick_path / f"flip-{turn}"
        directory.mkdir(mode=0o700)
        damaged = bytearray(whole)
        position, bit = rng.choice(used), rng.randrange(8)
        damaged[position] ^= 1 << bit
        (directory / "spool.sqlite3").write_bytes(damaged)
        place = f"bit {bit} of byte {position}"
        try:
            faults = examine(directory).faults
        except schema.SpoolDamaged:
            faults = ["it cannot be read at all"]
        if faults:
            repair(directory)
            assert not examine(directory).faults, place
        rmtree(directory)
