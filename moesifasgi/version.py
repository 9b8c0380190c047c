"""The version, in the one place that setup.py, the wire and the User-Agent read it from."""

VERSION = "2.0.0.dev0"
