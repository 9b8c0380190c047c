"""What this package raises, and nothing else of it.

    MoesifError(Exception)
     └─ SettingsError(MoesifError, ValueError)    the user's settings are wrong

Both are raised at start-up only. After that nothing here raises into the application; what goes wrong then
is counted (``counters``) and logged.
"""

from collections.abc import Iterable


class MoesifError(Exception):
    """Base of all errors of this package."""


class SettingsError(MoesifError, ValueError):
    """The settings cannot be used. ``faults`` has a line for each thing that is wrong, not for the first."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n  - ".join(("wrong settings for Moesif:", *self.faults))
