"""Behaviours as values, and which request meets which."""

import itertools
from typing import Any

import pytest

from moesifasgi.inspector import Behaviour
from moesifasgi.inspector.behaviour import Script
from moesifasgi.inspector.message import Answer

EVENTS = "/v1/events/batch"


def statuses(script: Script, count: int, path: str = EVENTS, application_id: str = "a") -> list[int | None]:
    met = (script.next_for(path, application_id) for _ in range(count))
    return [behaviour.status if behaviour else None for behaviour in met]


def following(behaviour: Behaviour) -> Script:
    script = Script()
    script.follow(behaviour)
    return script


def test_a_behaviour_without_times_lasts_until_told_otherwise() -> None:
    script = following(Behaviour(status=503))
    assert statuses(script, 5) == [503] * 5
    script.follow(None)
    assert statuses(script, 2) == [None, None]


def test_a_behaviour_with_times_ends_after_so_many_requests() -> None:
    assert statuses(following(Behaviour(status=503, times=2)), 4) == [503, 503, None, None]


def test_requests_that_are_not_meant_do_not_use_up_its_times() -> None:
    script = following(Behaviour(status=401, times=1, path_prefix="/v1/events", application_id="a"))
    assert statuses(script, 3, path="/v1/users") == [None] * 3
    assert statuses(script, 3, application_id="b") == [None] * 3
    assert statuses(script, 2) == [401, None]


def test_a_sequence_is_gone_through_once_and_then_things_are_normal() -> None:
    steps = (Behaviour(status=500), Behaviour(), Behaviour(status=429, times=2))
    assert statuses(following(Behaviour(sequence=steps)), 6) == [500, None, 429, 429, None, None]


def test_a_sequence_with_times_is_repeated() -> None:
    steps = (Behaviour(status=500), Behaviour(status=502))
    assert statuses(following(Behaviour(sequence=steps, times=2)), 5) == [500, 502, 500, 502, None]


def test_of_several_behaviours_each_request_meets_the_first_that_is_meant_and_not_used_up() -> None:
    script = Script()
    script.follow(
        Behaviour(status=401, path_prefix="/v1/config", times=1),
        Behaviour(status=500, path_prefix="/v1/rules"),
        Behaviour(status=429, times=2),
    )
    assert statuses(script, 3, path="/v1/config") == [401, 429, 429]
    assert statuses(script, 2, path="/v1/rules") == [500, 500]
    assert statuses(script, 1) == [None]


def test_json_makes_the_same_behaviour_as_python() -> None:
    document = {"times": 3, "sequence": [{"status": 503, "headers": {"Retry-After": "2"}}, {"drip_s": 0.5}]}
    assert Behaviour.from_json(document) == Behaviour(
        times=3, sequence=(Behaviour(status=503, headers={"Retry-After": "2"}), Behaviour(drip_s=0.5))
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected a JSON object"),
        ({"stauts": 503}, "unknown stauts; expected some of status, headers"),
        ({"status": "503"}, "status: expected an integer, got str"),
        ({"status": True}, "status: expected an integer, got bool"),
        ({"status": 99}, "status: expected 200 to 599, got 99"),
        ({"hang": 1}, "hang: expected a boolean, got int"),
        ({"times": 0}, "times: expected at least 1, got 0"),
        ({"delay_s": -1}, "delay_s: expected 0 to 3600, got -1"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers: expected one line of text for A"),
        ({"headers": {"A:": "b"}}, "headers: 'A:' is not a header name"),
        ({"headers": {"A": 1}}, "headers: expected one line of text for A"),
        ({"hang": True, "reset_after_bytes": 0}, "expected at most one of hang, reset"),
        ({"sequence": {}}, "sequence: expected an array of behaviours"),
        ({"sequence": [{"path_prefix": "/v1"}]}, "sequence: a step has no path_prefix"),
        ({"sequence": [7]}, "expected a JSON object"),
    ],
)
def test_a_wrong_behaviour_is_refused_in_words(document: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Behaviour.from_json(document)


def test_an_application_id_is_shown_by_its_last_four_characters_only() -> None:
    behaviour = Behaviour(application_id="secret-application-1234")
    assert "secret" not in repr(behaviour) + str(behaviour.to_json())
    assert behaviour.to_json()["application_id"] == "…1234"


def test_headers_of_a_behaviour_replace_those_of_the_same_name() -> None:
    answer = Answer(201, b"", {"X-Tag": "old", "X-Other": "kept"})
    disguised = Behaviour(status=202, body="ok", headers={"x-tag": "new"}).disguise(answer)
    assert disguised == Answer(202, b"ok", {"X-Other": "kept", "x-tag": "new"})


def test_a_refusal_by_the_contract_is_not_disguised_as_success() -> None:
    assert Behaviour(status=200).disguise(Answer(400)).status == 400


def test_only_a_status_outside_2xx_refuses_unseen() -> None:
    told = [Behaviour(), Behaviour(status=204), Behaviour(status=307), Behaviour(status=599)]
    assert [behaviour.refusal() for behaviour in told] == [None, None, Answer(307), Answer(599)]


def test_a_behaviour_that_lasts_can_be_met_without_end() -> None:
    behaviour = Behaviour(status=503)
    assert list(itertools.islice(behaviour.steps(), 1000)) == [behaviour] * 1000
