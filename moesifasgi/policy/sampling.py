"""Sampling: how many calls one kept event stands for."""

from collections.abc import Callable


def weight_of(rate: float, random01: Callable[[], float]) -> int:
    """The weight of an event kept at ``rate`` percent: 100 / rate, rounded up or down at random.

    The collector wants a whole number; rounding down always, as other libraries do, counts 10 % too few at a
    rate of 30. Rounding by chance makes the expectation right for any rate.
    """
    if rate >= 100 or rate <= 0:
        return 1
    whole, rest = divmod(100.0, rate)
    return int(whole) + (random01() < rest / rate)
