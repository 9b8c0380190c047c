"""Prints what a Python process weighs that has imported the shipper's libraries and does nothing."""

import json
import os
import sqlite3  # noqa: F401

import click  # noqa: F401
import isal.igzip  # noqa: F401
import msgpack  # noqa: F401
import orjson  # noqa: F401
import requests  # noqa: F401
from lab.process_cost import resident_bytes

print(json.dumps({"rss_bytes": resident_bytes(os.getpid())}))
