"""The inspector's own API and its page."""

import re
from typing import Any

import orjson
import pytest

from moesifasgi.inspector import Behaviour, Collector

APPLICATION = "application-of-the-tests-1234"


def test_the_page_loads_nothing_from_elsewhere(client: Any) -> None:
    answer = client.get("/inspector/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"(?:src|href)\s*=|https?://", answer.text)
    assert client.get("/inspector").text == answer.text


def test_the_summary_is_that_of_the_store(client: Any, collector: Collector, event: Any) -> None:
    client.post("/v1/events/batch", [event(), event()])
    answer = client.get("/inspector/summary")
    assert answer.json() == collector.store.summary()
    assert answer.json()["events"]["distinct"] == 2
    assert APPLICATION not in answer.text


def test_events_are_listed_newest_first_and_can_be_chosen(client: Any, other_client: Any, event: Any) -> None:
    mine, others = [event(), event()], event()
    client.post("/v1/events/batch", mine)
    other_client.post("/v1/events", others)

    def listed(query: str) -> list[Any]:
        return [row["item"] for row in client.get(f"/inspector/events{query}").json()]

    assert listed("") == [others, *reversed(mine)]
    assert listed("?limit=1") == [others]
    assert listed("?application=1234") == [*reversed(mine)]
    assert listed(f"?transaction_id={mine[0]['transaction_id']}") == [mine[0]]
    assert APPLICATION not in client.get("/inspector/events").text


def test_users_are_listed_like_events(client: Any) -> None:
    client.post("/v1/users", {"user_id": "u"})
    (row,) = client.get("/inspector/users").json()
    assert (row["item"], row["application"]) == ({"user_id": "u"}, "…1234")


def test_transaction_ids_come_as_lines_of_json(client: Any, other_client: Any, event: Any) -> None:
    batch = [event() for _ in range(6000)]
    client.post("/v1/events/batch", batch)
    other_client.post("/v1/events", event())
    lines = client.get("/inspector/transaction-ids?application=1234").text.splitlines()
    assert len(lines) == 6000
    assert {orjson.loads(line) for line in lines} == {each["transaction_id"] for each in batch}
    assert len(client.get("/inspector/transaction-ids").text.splitlines()) == 6001


def test_a_behaviour_is_set_shown_and_taken_back(client: Any, event: Any) -> None:
    told = {"status": 429, "application_id": APPLICATION}
    assert client.put("/inspector/behaviour", told).status_code == 200
    assert client.get("/inspector/behaviour").json()["application_id"] == "…1234"
    assert client.post("/v1/events", event()).status_code == 429
    assert client.delete("/inspector/behaviour").status_code == 204
    assert client.get("/inspector/behaviour").json() is None
    assert client.post("/v1/events", event()).status_code == 201


def test_several_behaviours_may_be_set_at_once(client: Any) -> None:
    told = [{"status": 401, "path_prefix": "/v1/config"}, {"body": "[", "path_prefix": "/v1/rules"}]
    assert client.put("/inspector/behaviour", told).status_code == 200
    assert [each["path_prefix"] for each in client.get("/inspector/behaviour").json()] == [
        "/v1/config",
        "/v1/rules",
    ]
    assert client.get("/v1/config").status_code == 401
    assert client.get("/v1/rules").text == "["


def test_what_is_set_is_shown_with_its_tag(client: Any) -> None:
    client.put("/inspector/config", {"sample_rate": 1})
    client.put(f"/inspector/config?application_id={APPLICATION}", {"sample_rate": 2})
    shown = client.get("/inspector/config")
    assert shown.json() == {"sample_rate": 1}
    assert client.get(f"/inspector/config?application_id={APPLICATION}").json() == {"sample_rate": 2}
    assert client.get("/inspector/rules").json() == []
    assert (
        client.get(f"/inspector/config?application_id={APPLICATION}").headers["ETag"].strip('"')
        == (client.get("/v1/config").headers["X-Moesif-Config-ETag"])
    )


def test_a_tag_is_new_each_time_that_something_is_set(client: Any) -> None:
    tags = set()
    for rate in (1, 2, 1, 1):
        client.put("/inspector/config", {"sample_rate": rate})
        tags.add(client.get("/v1/config").headers["X-Moesif-Config-ETag"])
    assert len(tags) == 4


def test_the_page_sets_config_and_rules(client: Any) -> None:
    page = client.get("/inspector/").text
    for control in ("config", "rules", "set-config", "set-rules", "application", "told"):
        assert f'id="{control}"' in page


def test_the_control_api_never_misbehaves(client: Any, collector: Collector) -> None:
    collector.behave(Behaviour(hang=True))
    assert client.get("/inspector/summary").status_code == 200


def test_config_and_rules_are_set_for_one_application_or_all(client: Any, other_client: Any) -> None:
    assert client.put("/inspector/config", {"sample_rate": 1}).status_code == 204
    assert (
        client.put(f"/inspector/config?application_id={APPLICATION}", {"sample_rate": 2}).status_code == 204
    )
    assert client.put("/inspector/rules", [{"_id": "r"}]).status_code == 204
    assert client.get("/v1/config").json() == {"sample_rate": 2}
    assert other_client.get("/v1/config").json() == {"sample_rate": 1}
    assert other_client.get("/v1/rules").json() == [{"_id": "r"}]


def test_counts_are_reset(client: Any, collector: Collector, event: Any) -> None:
    client.post("/v1/events", event())
    assert client.delete("/inspector/events").status_code == 204
    assert collector.store.counts().received == 0
    assert client.get("/inspector/events").json() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("PUT", "behaviour", b"{", 400, "expected JSON"),
        ("PUT", "behaviour", b"[]", 400, "expected a JSON object"),
        ("PUT", "behaviour", b'{"status": "x"}', 400, "status: expected an integer"),
        ("PUT", "config", b"[]", 400, "expected a JSON object"),
        ("PUT", "rules", b"{}", 400, "expected a JSON array"),
        ("GET", "events?limit=all", b"", 400, "limit: expected a number"),
        ("GET", "events?transaction_id=12", b"", 400, "transaction_id: expected a UUID"),
        ("GET", "events?transaction_id=zz", b"", 400, "transaction_id: expected a UUID"),
        ("PUT", "events", b"", 405, "expected DELETE or GET"),
        ("GET", "nothing", b"", 404, "no such page"),
    ],
)
def test_a_wrong_request_is_answered_with_what_was_expected(
    client: Any, method: str, path: str, body: bytes, status: int, words: str
) -> None:
    answer = client.session.request(method, f"{client.url}/inspector/{path}", data=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
