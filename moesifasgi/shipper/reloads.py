"""What SIGHUP brings: the configuration once more. A bad one changes nothing, and is told."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from moesifasgi.errors import SettingsError
from moesifasgi.shipper.configuration.key import keys_of
from moesifasgi.shipper.configuration.load import Loaded
from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.terms import Terms

logger = logging.getLogger("moesifasgi.shipper")


class Reloads:
    """``running`` is what the shipper was started with; ``load`` reads anew (SettingsError)."""

    def __init__(
        self, running: Loaded, load: Callable[[], Loaded], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._started_with = running.configuration
        self._file = running.file
        self._load = load
        self._clock = clock
        self._read_at = clock()
        self._faults: tuple[str, ...] = ()
        self._warnings = running.warnings
        self._stuck: tuple[str, ...] = ()
        _log(logging.WARNING, "configuration: %s", running.warnings)

    def again(self) -> Terms | None:
        """The terms that hold from now on; None where the configuration cannot be used."""
        try:
            found = self._load()
        except SettingsError as error:
            self._keep_the_old(error.faults)
            return None
        except Exception as error:  # noqa: BLE001  (whatever a person does to a file must not end the service)
            self._keep_the_old((f"fault in reading it: {error!r}",))
            return None
        stuck = tuple(_stuck(self._started_with, found.configuration))
        if (found.warnings, stuck) != (self._warnings, self._stuck):
            _log(logging.WARNING, "configuration: %s", (*found.warnings, *stuck))
        self._file, self._faults, self._warnings, self._stuck = found.file, (), found.warnings, stuck
        self._read_at = self._clock()
        return Terms.of(found.configuration)

    def _keep_the_old(self, faults: tuple[str, ...]) -> None:
        if faults != self._faults:
            _log(logging.ERROR, "the configuration cannot be used, the old one stays: %s", faults)
        self._faults = faults

    @property
    def notes(self) -> list[str]:
        """What a person should know, though events arrive."""
        faults = [f"the configuration cannot be used, the old one stays: {fault}" for fault in self._faults]
        return [*faults, *(f"configuration: {line}" for line in (*self._warnings, *self._stuck))]

    def status(self) -> dict[str, Any]:
        """Of the configuration in force, and what is wrong with a newer one."""
        return {
            "file": None if self._file is None else str(self._file),
            "age_seconds": round(self._clock() - self._read_at, 3),
            "faults": list(self._faults),
        }


def _stuck(old: Configuration, new: Configuration) -> Iterator[str]:
    for name, key in keys_of(Configuration):
        if not key.live and getattr(old, name) != getattr(new, name):
            yield f"{key.name} cannot change while the shipper runs; a restart does it"


def _log(level: int, text: str, lines: tuple[str, ...]) -> None:
    for line in lines:
        logger.log(level, text, line)
