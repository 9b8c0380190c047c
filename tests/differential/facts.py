"""What the compared application and its callers both know. Runs in either environment."""

BROTLI_JSON = bytes.fromhex("8b03807b2263223a20317d03")
"""``{"c": 1}``; the published package's environment has no brotli."""
SLOW = "/stream/slow"
SLOW_S = 0.5
"""How long ``SLOW`` takes between its first byte and its last."""
