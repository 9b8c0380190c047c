"""Where monitors may ask: on this host only. Pure.

Figures are no great secret, but nobody should have to guard them: whoever wants them from afar puts a proxy
before this address.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

UNIX_SCHEME = "unix:"
EXPECTED = "HOST:PORT with a loopback address, such as 127.0.0.1:9464, or unix:/path/of/a/socket"


class MetricsUnavailable(OSError):
    """Nobody can listen at the address; the text says which and why."""


@dataclass(frozen=True, slots=True)
class MonitorAddress:
    """Where to listen: a path, or a loopback address and its port."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        return f"{UNIX_SCHEME}{self.path}" if self.path else f"{self.host}:{self.port}"


def parse_address(text: str) -> MonitorAddress:
    """ValueError with what was expected."""
    if text.startswith(UNIX_SCHEME):
        path = Path(text.removeprefix(UNIX_SCHEME))
        if path.is_absolute():
            return MonitorAddress(path=path)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    host = "127.0.0.1" if host == "localhost" else host
    if not ip_address(host).is_loopback or not (port.isascii() and port.isdecimal()) or int(port) >= 1 << 16:
        raise ValueError(f"not {EXPECTED}")
    return MonitorAddress(host, int(port))


def is_monitor_address(value: object) -> bool:
    """ValueError for no, where it is text."""
    return isinstance(value, str) and parse_address(value) is not None
