"""A local stand-in for Moesif's collector, with a page to look at: for development, tests and the demo.

It checks what arrives against the collector's contract, counts and deduplicates it, and misbehaves if told.
``server`` and ``connection`` have the sockets, ``contract`` the collector's endpoints, ``control`` the
inspector's own, ``store`` what arrived, ``behaviour`` the misbehaviour. Nothing outside this package but the
command line, tests and the demo imports it, and it imports nothing of the shipper: each of the two follows
Moesif's contract for itself, so that they check each other.
"""

from moesifasgi.inspector.behaviour import Behaviour
from moesifasgi.inspector.collector import Collector, serve
from moesifasgi.inspector.contract import Strictness
from moesifasgi.inspector.store import Store

__all__ = ["Behaviour", "Collector", "Store", "Strictness", "serve"]
