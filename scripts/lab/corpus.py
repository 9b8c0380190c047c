"""The corpus *orders*: API calls of some 1 kB each as Moesif gets them, as a shop's back end might record.

What differs from call to call in production differs here too (ids, times, addresses, amounts, tokens), so
that a spool's size by this corpus is no promise that only repeated text keeps.
"""

import random
import time
import uuid
from collections.abc import Iterator

import msgpack

from moesifasgi.event.record import Record

EVENT_BYTES = 1_000
"""Of an event as uploaded, on average; ``tests/lab/test_corpus.py`` holds it to 5 %."""
_GOODS = ("lamp", "desk", "chair", "shelf", "carpet", "mirror", "curtain", "pillow", "candle", "vase")
_CLIENTS = tuple(f"shop-app/{major}.{minor} (Android 14)" for major in (3, 4) for minor in range(8))


def orders(count: int, seed: int = 1, user_id: str | None = None) -> Iterator[tuple[str, bytes]]:
    """``count`` calls that end now: each one's transaction id, and the record as a worker packs it.

    ``user_id``: whose they all are; None: of a thousand customers.
    """
    rng = random.Random(seed)
    for _ in range(count):
        record = _order(rng, user_id)
        yield record.transaction_id, msgpack.packb(record)


def _order(rng: random.Random, user_id: str | None) -> Record:
    ended_at, number = time.time(), rng.randrange(10**8)
    goods, price = rng.choice(_GOODS), rng.randrange(10**5) / 100
    asked = b'{"product":"%b","quantity":%d,"voucher":"%08x","deliver_to":{"city":"%05d","house":%d}}' % (
        goods.encode(),
        rng.randint(1, 9),
        rng.getrandbits(32),
        rng.randrange(10**5),
        rng.randint(1, 300),
    )
    answered = b'{"order":%d,"product":"%b","price":%.2f,"currency":"EUR","state":"accepted"}' % (
        number,
        goods.encode(),
        price,
    )
    return Record(
        transaction_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        started_at=ended_at - rng.expovariate(20.0),
        ended_at=ended_at,
        method="POST",
        scheme="https",
        http_version="1.1",
        path=f"/shops/{rng.randrange(100)}/orders",
        raw_path=None,
        root_path="",
        query_string=b"channel=app&page=%d" % rng.randrange(50),
        server=("shop.example.org", 443),
        client=(f"198.51.{rng.randrange(100)}.{rng.randrange(256)}", rng.randrange(1024, 65536)),
        request_headers=(
            (b"host", b"shop.example.org"),
            (b"user-agent", rng.choice(_CLIENTS).encode()),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"accept-language", b"de-DE,de;q=0.9,en;q=0.8"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(asked)),
            (b"x-request-id", b"%032x" % rng.getrandbits(128)),
        ),
        request_body=asked,
        request_body_size=len(asked),
        request_complete=True,
        status=rng.choices((201, 400, 409), (96, 3, 1))[0],
        response_headers=(
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answered)),
            (b"cache-control", b"no-store"),
            (b"etag", b'"%016x"' % rng.getrandbits(64)),
        ),
        response_body=answered,
        response_body_size=len(answered),
        user_id=user_id or f"customer-{rng.randrange(1000)}",
    )
