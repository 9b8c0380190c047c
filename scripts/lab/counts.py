"""How often a counted test does its fault: seldom in ``make test``, as told in ``make chaos``."""

import os

COUNT, SEED = "MOESIF_LAB_COUNT", "MOESIF_LAB_SEED"
"""Environment variables that a campaign sets for the tests that it runs."""


def count_of(usual: int) -> int:
    """How often: ``usual``, unless a campaign says otherwise."""
    return int(os.environ.get(COUNT, usual))


def seed_of(usual: int = 1) -> int:
    """The seed of the random moments."""
    return int(os.environ.get(SEED, usual))
