"""How a shipper process is run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from moesifasgi.shipper.configuration.values import Configuration
from moesifasgi.shipper.liveness import STANDSTILL_S
from moesifasgi.shipper.monitor_address import MonitorAddress
from moesifasgi.shipper.terms import Terms


@dataclass(frozen=True, slots=True)
class Options:
    """How a shipper process is run, for its whole life. Times in seconds."""

    directory: Path
    socket: Path
    embedded: bool
    linger_s: float = 10.0
    durability: Literal["normal", "full"] = "full"
    terms: Terms = field(default_factory=Terms)
    """Those that it begins with."""
    metrics: MonitorAddress | None = None
    """Where monitors may ask; None: nowhere."""
    standstill_s: float = STANDSTILL_S
    """Without any progress for so long, though there is work, it is started afresh."""

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        """A standalone shipper's."""
        return cls(
            directory=Path(configuration.spool_dir),
            socket=Path(configuration.socket),
            embedded=False,
            durability=configuration.durability.value,
            terms=Terms.of(configuration),
            metrics=configuration.metrics,
            standstill_s=configuration.standstill_timeout_s,
        )
