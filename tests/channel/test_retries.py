"""When a shipper is started again, without a clock."""

from moesifasgi.channel.retries import (
    RETRY_FIRST_S,
    RETRY_LONGEST_S,
    SERVED_S,
    SHORT_LIVED_RETRY_S,
    SHORT_LIVES,
    Retries,
)

NOW = 1_000.0


def lived(retries: Retries, seconds: float, until: float = NOW) -> None:
    """One answered for so long, and does not any more."""
    retries.came(until - seconds)
    retries.came(until - seconds / 2)
    retries.missed(until)
    retries.missed(until)


def pause_s(retries: Retries) -> float:
    """After a start that fails."""
    retries.failed(NOW)
    return next(tenths / 100 for tenths in range(10_000) if retries.is_due(NOW + tenths / 100))


def test_each_start_that_fails_is_waited_longer_for_than_the_last_one():
    retries = Retries()
    assert retries.is_due(0.0)
    assert [pause_s(retries) for _ in range(10)] == [
        *(RETRY_FIRST_S * factor for factor in (1, 2, 4, 8, 16, 32, 64, 128)),
        *[RETRY_LONGEST_S] * 2,
    ]


def test_one_that_served_is_replaced_at_once_however_often():
    retries = Retries()
    for _ in range(10 * SHORT_LIVES):
        lived(retries, SERVED_S)
        assert retries.is_due(NOW)


def test_one_that_is_gone_as_soon_as_it_answers_is_replaced_at_once_only_the_first_times():
    retries = Retries()
    for _ in range(SHORT_LIVES):
        lived(retries, SERVED_S - 0.01)
        assert retries.is_due(NOW)
    for _ in range(2):
        lived(retries, 0.0)
        assert not retries.is_due(NOW + SHORT_LIVED_RETRY_S - 0.01)
        assert retries.is_due(NOW + SHORT_LIVED_RETRY_S)
    lived(retries, SERVED_S, NOW + 60.0)
    lived(retries, 0.0, NOW + 61.0)
    assert retries.is_due(NOW + 61.0)


def test_an_answer_alone_does_not_make_a_start_that_fails_cheaper():
    retries = Retries()
    assert [pause_s(retries) for _ in range(3)][-1] == 4 * RETRY_FIRST_S
    lived(retries, 0.0)
    assert pause_s(retries) == 8 * RETRY_FIRST_S
    lived(retries, SERVED_S)
    assert pause_s(retries) == RETRY_FIRST_S
