"""Kept policies in the file: older files, damage, and what is saved of them."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from moesifasgi.shipper.spool.sqlite import SqliteSpool

Opener = Callable[..., SqliteSpool]
Appender = Callable[..., None]
FILE = "spool.sqlite3"
POLICY = b"what the dashboard decided" * 100


@pytest.fixture
def older(tmp_path: Path, opened: Opener, append: Appender) -> Path:
    """A directory with a file from before policies were kept."""
    spool = opened(tmp_path)
    for number in range(50):
        append(spool, 3 * number + 1)
    spool.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("DROP TABLE policies")
    return tmp_path


def test_an_older_file_is_given_the_table_and_keeps_all_else(
    older: Path, opened: Opener, contents: Callable[[SqliteSpool], list[int]]
) -> None:
    spool = opened(older)
    assert spool.policies() == {}
    spool.remember_policy("application-one", POLICY)
    spool.close()
    again = opened(older)
    assert again.policies() == {"application-one": POLICY}
    assert contents(again) == list(range(1, 151))


def test_an_older_file_that_is_damaged_is_saved_as_before(
    older: Path, opened: Opener, contents: Callable[[SqliteSpool], list[int]]
) -> None:
    path = older / FILE
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    spool = opened(older)
    assert spool.usage().mishaps
    assert contents(spool) == list(range(1, 151))
    assert spool.policies() == {}
    spool.remember_policy("application-one", POLICY)
    assert spool.policies() == {"application-one": POLICY}


def test_policies_are_saved_from_a_damaged_file(tmp_path: Path, opened: Opener, append: Appender) -> None:
    spool = opened(tmp_path)
    append(spool, 1)
    spool.remember_policy("application-one", POLICY)
    spool.close()
    path = tmp_path / FILE
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    assert opened(tmp_path).policies() == {"application-one": POLICY}


@pytest.mark.parametrize(
    "column", ["policy = x'00'", "application_id = 'application-two'", "policy = 'text'"]
)
def test_a_policy_that_was_changed_counts_for_none(tmp_path: Path, opened: Opener, column: str) -> None:
    spool = opened(tmp_path)
    spool.remember_policy("application-one", POLICY)
    spool.close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute(f"UPDATE policies SET {column}")
        connection.commit()
    assert opened(tmp_path).policies() == {}


def test_a_policy_survives_a_kill_right_after_it_was_kept(tmp_path: Path, opened: Opener) -> None:
    spool = opened(tmp_path / "used")
    spool.remember_policy("application-one", POLICY)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (FILE, f"{FILE}-wal"):
        shutil.copy(tmp_path / "used" / name, copy / name)
    assert opened(copy).policies() == {"application-one": POLICY}
