"""Masks by name, over the event itself."""

import copy
import time
from typing import Any

import pytest

from moesifasgi.event.masks import MASK, Masks, Names, masked_parameters, unseen_bodies, withhold
from moesifasgi.event.record import Ending


def event(**more: Any) -> dict[str, Any]:
    return {
        "request": {
            "uri": "http://example.org/p?token=secret&a=1",
            "headers": {"authorization": "secret", "accept": "*/*"},
            "body": {"password": "secret", "name": "ann"},
            "transfer_encoding": "json",
        },
        "response": {
            "headers": {"set-cookie": "secret"},
            "body": [{"user": {"password": "secret"}}],
            "transfer_encoding": "json",
        },
        **more,
    }


def hidden(given: dict[str, Any], **masks: tuple[str, ...]) -> dict[str, Any]:
    Masks(**masks).hide(given)
    return given


@pytest.mark.parametrize(
    ("masks", "value", "masked"),
    [
        (["password"], {"password": "x", "a": 1}, {"password": MASK, "a": 1}),
        (["password"], {"a": [{"b": {"password": {"c": 1}}}]}, {"a": [{"b": {"password": MASK}}]}),
        (["Password"], {"pAssword": "x"}, {"pAssword": MASK}),
        (["password"], {"password": None}, {"password": MASK}),
        (["password"], [["x", {"password": "x"}]], [["x", {"password": MASK}]]),
        (["a.b"], {"a": {"b": 1, "c": 2}, "b": 3}, {"a": {"b": MASK, "c": 2}, "b": 3}),
        (["a.b"], [{"a": [{"b": 1}, {"b": 2}]}], [{"a": [{"b": MASK}, {"b": MASK}]}]),
        (["a.b"], {"x": {"a": {"b": 1}}}, {"x": {"a": {"b": 1}}}),
        (["a.b"], {"a.b": 1}, {"a.b": MASK}),
        (["a.b.c"], {"a": {"b.c": 1}}, {"a": {"b.c": MASK}}),
        (["a.b.c"], {"a.b": {"c": 1}}, {"a.b": {"c": MASK}}),
        (
            ["a.b", "a.c.d"],
            {"a": {"b": 1, "c": {"d": 2, "e": 3}}},
            {"a": {"b": MASK, "c": {"d": MASK, "e": 3}}},
        ),
        (["a"], "a", "a"),
        (["a"], 5, 5),
        ([], {"a": 1}, {"a": 1}),
    ],
)
def test_a_bare_name_counts_at_any_depth_and_a_path_from_the_root(masks: list[str], value: Any, masked: Any):
    before = copy.deepcopy(value)

    assert Names(masks).masked(value) == masked
    assert value == before


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://h/p?token=secret", "http://h/p?token=***"),
        ("http://h/p?a=1&token=secret&b=2&token=secret", "http://h/p?a=1&token=***&b=2&token=***"),
        ("http://h/p?%74oken=secret", "http://h/p?%74oken=***"),
        ("http://h/p?TOKEN=secret", "http://h/p?TOKEN=***"),
        ("http://h/p?user%5Bpin%5D=secret", "http://h/p?user%5Bpin%5D=***"),
        ("http://h/p?token=secret;secret", "http://h/p?token=***"),
        ("http://h/p?a=1;token=secret;secret&b=2", "http://h/p?a=1;token=***&b=2"),
        ("http://h/p;token=secret?a=1", "http://h/p;token=***"),
        ("http://h/p?token=se'cret\"secret", "http://h/p?token=***"),
        ("http://h/cb#token=secret&a=1", "http://h/cb#token=***&a=1"),
        ("0; url=http://h/p?token=secret", "0; url=http://h/p?token=***"),
        ("<http://h/p?token=secret>; rel=next", "<http://h/p?token=*** rel=next"),
        ("http://h/p?next=%2Fq%3Ftoken%3Dsecret", "http://h/p?next=%2Fq%3Ftoken%3D***"),
        ("http://h/p?next=%2Fq%3Fx%3Dy", "http://h/p?next=%2Fq%3Fx%3Dy"),
        ("http://h/p?mytoken=x&token_=y&token", "http://h/p?mytoken=x&token_=y&token"),
        ("http://h/p?next=http://h/q?token=secret&b=2", "http://h/p?next=http://h/q?token=***&b=2"),
        ("http://h/token", "http://h/token"),
        ("", ""),
    ],
)
def test_a_parameter_is_masked_wherever_it_stands(text: str, masked: str):
    assert masked_parameters(text, frozenset({"token", "user[pin]"})) == masked


@pytest.mark.parametrize(
    "hostile", ["a=1;" * 50_000, "&" * 100_000, "?a" * 50_000, "%3D=%3D" * 20_000, "a" * 200_000]
)
def test_a_hostile_url_takes_linear_time(hostile: str):
    begun = time.monotonic()
    masked_parameters(f"http://h/?{hostile}=x", frozenset({"token"}))

    assert time.monotonic() - begun < 1.0


def test_headers_are_masked_by_name_on_their_own_side():
    made = hidden(event(), request_headers=("authorization", "set-cookie"))

    assert made["request"]["headers"] == {"authorization": MASK, "accept": "*/*"}
    assert made["response"]["headers"] == {"set-cookie": "secret"}


def test_a_masked_parameter_is_masked_in_the_headers_that_repeat_it():
    """A browser repeats the page's query as Referer, a redirect passes it on as Location."""
    given = event()
    given["request"]["headers"] = {
        "referer": "http://example.org/p?token=secret",
        "x-original-uri": "/p?token=secret",
    }
    given["response"]["headers"] = {"location": "/q?token=secret"}

    assert "secret" not in str(
        hidden(given, request_query=("Token",), request_body=("password",), response_body=("password",))
    )
    assert given["request"]["headers"]["referer"] == "http://example.org/p?token=***"


def test_each_body_has_masks_of_its_own():
    made = hidden(event(), response_body=("user.password",))

    assert made["request"]["body"]["password"] == "secret"
    assert made["response"]["body"] == [{"user": {"password": MASK}}]


@pytest.mark.parametrize(
    "kind", ["request_headers", "response_headers", "request_body", "response_body", "request_query"]
)
def test_the_names_of_every_mask_count_in_what_hooks_gave(kind: str):
    given = event(metadata={"a": [{"X-Key": "secret"}], "b": 1}, session_token="secret", user_id="x-key")
    made = hidden(given, **{kind: ("x-key", "session_token")})

    assert made["metadata"] == {"a": [{"X-Key": MASK}], "b": 1}
    assert "session_token" not in made
    assert made["user_id"] == "x-key"


def test_a_body_that_cannot_be_looked_into_is_withheld_and_noted():
    given = event()
    given["response"] |= {"body": "c2VjcmV0", "transfer_encoding": "base64"}
    masks = Masks(response_body=("password",))

    assert masks.hide(given)
    assert "body" not in given["response"]
    assert "transfer_encoding" not in given["response"]
    assert given["metadata"] == {"moesif": {"response_body": {"withheld": True}}}


def test_a_body_without_a_mask_on_its_side_is_left_as_it_is():
    given = event()
    given["response"] |= {"body": "c2VjcmV0", "transfer_encoding": "base64"}

    assert not Masks(request_body=("password",), response_headers=("a",)).hide(given)
    assert given["response"]["body"] == "c2VjcmV0"


@pytest.mark.parametrize("own", ["a text", {"response_body": 5}, None])
def test_the_note_finds_its_place_whatever_the_user_keeps_there(own: Any):
    given = event(metadata={"moesif": own})
    given["response"] |= {"body": "c2VjcmV0", "transfer_encoding": "base64"}

    assert Masks(response_body=("a",)).hide(given)
    assert given["metadata"]["moesif"]["response_body"] == {"withheld": True}


@pytest.mark.parametrize(
    ("content_type", "noted", "ending", "unseen"),
    [
        ("text/html", False, Ending.COMPLETE, False),
        ("text/html", True, Ending.COMPLETE, True),
        ("text/html", False, Ending.DISCONNECTED, True),
        ("application/problem+json; charset=utf-8", False, Ending.COMPLETE, True),
        ("application/x-ndjson", False, Ending.COMPLETE, True),
        ("multipart/form-data; boundary=x", False, Ending.COMPLETE, True),
        ("application/X-WWW-form-urlencoded", False, Ending.COMPLETE, True),
    ],
)
def test_what_a_function_cannot_look_into(content_type: str, noted: bool, ending: Ending, unseen: bool):
    given = event()
    given["response"] |= {
        "body": "eA==",
        "transfer_encoding": "base64",
        "headers": {"content-type": content_type},
    }
    notes = {"response_body": {}} if noted else {}

    assert unseen_bodies(given, notes, ending) == (["response"] if unseen else [])


def test_a_withheld_event_keeps_who_what_and_when():
    given = event(metadata={"own": "secret"}, session_token="secret", user_id="ann", transaction_id="t")
    given["request"]["uri"] = "http://example.org/p?a=secret"
    withhold(given, {"ending": "failed"})

    assert "secret" not in str(given)
    assert given == {
        "request": {"uri": "http://example.org/p", "headers": {}},
        "response": {"headers": {}},
        "metadata": {"moesif": {"ending": "failed", "withheld": True}},
        "user_id": "ann",
        "transaction_id": "t",
    }


def test_no_masks_are_false():
    assert not Masks()
    assert Masks(request_query=("a",))
