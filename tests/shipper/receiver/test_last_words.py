"""What a dead worker's last words tell of what it took with it."""

import pytest

from moesifasgi.shipper.receiver.last_words import LastWords
from moesifasgi.wire.messages import Stats


def stats(ring: int, acked: int) -> Stats:
    return Stats(ring, 0, {"acked": acked})


@pytest.mark.parametrize(
    ("said", "last", "lost"),
    [
        ([], 7, 0),
        ([stats(0, 0)], 0, 0),
        ([stats(3, 0)], 0, 3),
        ([stats(3, 0)], 2, 1),
        ([stats(3, 0)], 9, 0),
        ([stats(0, 0), stats(5, 100)], 100, 5),
        ([stats(5, 1_000), stats(0, 1_005), stats(2, 1_005)], 5, 2),
    ],
)
def test_what_was_given_out_and_never_came_is_lost(said: list[Stats], last: int, lost: int):
    words = LastWords(0)
    for each in said:
        words.said(each)
    assert words.lost(last) == lost


def test_a_worker_that_connects_again_goes_on_where_it_was():
    words = LastWords(0)
    words.said(stats(4, 0))
    words.said(stats(10, 4))
    words.connected(9)  # Of fourteen, nine are here; the worker resends five.
    words.said(stats(5, 9))
    assert words.newest == 14
    words.said(stats(8, 9))
    assert words.lost(14) == 3


def test_a_worker_that_dies_between_two_connections_has_lost_what_the_first_told_of():
    words = LastWords(0)
    words.said(stats(6, 0))
    words.connected(2)
    assert words.lost(2) == 4
