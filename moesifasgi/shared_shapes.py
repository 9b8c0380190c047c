"""Values that mean the same in a worker's settings and in a shipper's configuration. Pure."""

from enum import StrEnum

from moesifasgi.shapes import integer, number

BATCH_SIZE = integer(1, 10_000)
BATCH_TIMEOUT = number(0.01, 3600)
CONCURRENT_UPLOADS = integer(1, 64)
SPOOL_BYTES = integer(2**16, 2**50)
FREE_BYTES = integer(0, 2**50)


class Durability(StrEnum):
    """What an acknowledgement of a shipper means."""

    NORMAL = "normal"
    """Survives the death of every process."""
    FULL = "full"
    """Fsynced: survives a loss of power."""
