"""Transaction ids: what the collector deduplicates on, and ``X-Moesif-Transaction-Id`` shows."""

from os import urandom

_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def new_transaction_id() -> str:
    """A random UUID (RFC 9562, version 4) as its 36 characters.

    Every request needs one, and ``str(uuid.uuid4())`` takes more than twice as long. Straight from the
    kernel: nothing here that a forked child would repeat.
    """
    digits = urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
