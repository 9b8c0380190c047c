"""The metrics that there are, by their names as Prometheus has them."""

import re
from typing import Any

from moesifasgi.shipper.metrics import Metrics

DOCUMENT: dict[str, Any] = {
    "version": "1",
    "healthy": True,
    "uptime_seconds": 1.0,
    "workers": [],
    "counters": {"received": 1, "delivered": 1, "duplicates": 0, "dropped": {}},
    "upload": {
        "requests": {"201": 1},
        "retries": 0,
        "in_flight": 0,
        "last_success_age_seconds": 1.0,
        "dead_letters": {"400": 1},
    },
    "spool": {"events": 0, "bytes": 0, "max_bytes": 1, "oldest_age_seconds": 1.0, "dead_letters": 1},
    "applications": {"…WXYZ": {"state": "ok", "policy": {"age_seconds": 1.0}}},
}
"""A status document with something of everything."""


def sample_names() -> set[str]:
    """As in a query, with ``_total``, ``_bucket`` and the like."""
    text = Metrics().text(DOCUMENT).decode()
    return set(re.findall(r"^(\w+)(?:\{.*\})? ", text, re.MULTILINE))
