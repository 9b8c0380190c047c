"""Each thing that an exchange saw stands in its own field of the Record: the fields are given by position."""

from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.record import Ending, Record
from moesifasgi.exchange import Exchange

ID = "0b9a2d4e-0000-4000-8000-000000000001"
SCOPE = {
    "type": "http",
    "method": "PUT",
    "scheme": "https",
    "http_version": "1.1",
    "path": "/mount/ä",
    "raw_path": b"/mount/%C3%A4",
    "root_path": "/mount",
    "query_string": b"q=1",
    "server": ("10.0.0.1", 443),
    "client": ("192.0.2.7", 40_000),
    "headers": [(b"x-request", b"1")],
}
SETTINGS = EventSettings(api_version="v7")


def exchange() -> Exchange:
    made = Exchange(SCOPE, ID, 1.5, 100, 100)
    made.blocked_by = "rule"
    return made


def test_what_an_exchange_saw_stands_each_in_its_own_field():
    seen = exchange()
    seen.received({"type": "http.request", "body": b"question"})
    seen.sent({"type": "http.response.start", "status": 404, "headers": [(b"x-response", b"2")]})
    seen.sent({"type": "http.response.body", "body": b"answers"})

    assert seen.record(2.5, 3, SETTINGS)._asdict() == {
        "transaction_id": ID,
        "started_at": 1.5,
        "ended_at": 2.5,
        **{name: SCOPE[name] for name in ("method", "scheme", "http_version", "path", "raw_path")},
        **{name: SCOPE[name] for name in ("root_path", "query_string", "server", "client")},
        "request_headers": [(b"x-request", b"1")],
        "request_body": b"question",
        "request_body_size": 8,
        "request_complete": True,
        "status": 404,
        "response_headers": [(b"x-response", b"2")],
        "response_body": b"answers",
        "response_body_size": 7,
        "ending": Ending.COMPLETE,
        "error": None,
        "user_id": None,
        "company_id": None,
        "session_token": None,
        "metadata": None,
        "direction": "Incoming",
        "weight": 3,
        "blocked_by": "rule",
        "settings": SETTINGS,
        "response_unseen": False,
        "request_decoded": False,
        "response_decoded": False,
    }


def test_an_exchange_that_says_little_has_the_defaults_of_a_record():
    said = Exchange({"type": "http"}, ID, 1.5, None, None).record(2.5)
    assert {name: getattr(said, name) for name in Record._field_defaults} == {
        **Record._field_defaults,
        "ending": Ending.ABANDONED,
    }
