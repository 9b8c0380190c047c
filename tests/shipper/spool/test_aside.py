"""Damaged files are told apart by a number that goes up, whatever the clock says."""

from pathlib import Path

import pytest

from moesifasgi.shipper.spool import aside, salvage
from moesifasgi.shipper.spool.sqlite import SqliteSpool

FILE = "spool.sqlite3"


def test_after_a_clock_was_set_back_the_newest_is_still_the_newest(tmp_path: Path) -> None:
    path, kept = tmp_path / FILE, []
    for number in range(12):
        path.write_bytes(b"damaged file %d" % number)
        kept.append(salvage.replace(path, now=1_000_000.0 - number * 86_400.0).file)
    assert aside.set_aside_files(path) == kept[-3:]
    pages = [Path(f"{file}{aside.FIRST_PAGE}").read_bytes() for file in aside.set_aside_files(path)]
    assert pages == [b"damaged file 9", b"damaged file 10", b"damaged file 11"]


def test_ten_thousand_files_later_the_order_is_still_right(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for number in ("9999", "10000"):
        (tmp_path / f"{FILE}.damaged-{number}-20260101T000000Z").touch()
    assert [file.name[-22:-17] for file in aside.set_aside_files(path)] == ["-9999", "10000"]
    assert "damaged-10001-" in aside.free_name(path, 0.0).name


def test_files_from_before_they_were_numbered_are_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for name in ("0001-19700101T000000Z", "20300101T000000Z", "20300101T000000Z-1"):
        (tmp_path / f"{FILE}.damaged-{name}").touch()
    assert aside.set_aside_files(path)[-1].name.endswith("-0001-19700101T000000Z")


@pytest.mark.parametrize("stepped_back_s", [0.0, 86_400.0])
def test_a_salvage_that_was_killed_goes_on_with_the_file_that_it_had_set_aside(
    stepped_back_s: float, tmp_path: Path, opened, append, contents
) -> None:
    """An older damaged file lies there as well."""
    path = tmp_path / FILE

    def fill(first: int) -> SqliteSpool:
        spool = opened(tmp_path)
        append(spool, first)
        spool.close()
        return spool

    fill(1)
    aside.move(path, aside.free_name(path, 1_000_000.0))
    fill(7)
    aside.move(path, aside.free_name(path, 1_000_000.0 - stepped_back_s))
    salvage.unfinished(path).write_bytes(b"half a file")
    assert contents(opened(tmp_path)) == [7, 8, 9]
