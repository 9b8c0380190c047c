"""An ordinary exchange, for tests that change one thing about it."""

import pytest

from moesifasgi.event.record import Record

JSON = (b"content-type", b"application/json")


@pytest.fixture(scope="session")
def record() -> Record:
    return Record(
        transaction_id="0af76519-16cd-43dd-8448-eb211c80319c",
        started_at=1700000000.1239,
        ended_at=1700000001.5,
        method="POST",
        scheme="https",
        http_version="1.1",
        path="/items/ä b",
        raw_path=b"/items/%C3%A4%20b",
        root_path="",
        query_string=b"page=1&q=a+b",
        server=("127.0.0.1", 8000),
        client=("203.0.113.7", 51234),
        request_headers=[(b"host", b"api.example.com"), JSON],
        request_body=b'{"a": 1}',
        request_body_size=8,
        request_complete=True,
        status=201,
        response_headers=[JSON],
        response_body=b'{"id": 7}',
        response_body_size=9,
    )
