"""Masks by name, over the event itself."""

import copy
from typing import Any

import pytest

from moesifasgi.event.masks import MASK, Masks, Names, unseen_bodies, withhold
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
        (["password"], {"user[password]": "x", "password[]": "x", "user[0][password][]": "x"}, ...),
        (["a.b"], {"a[b]": 1, "a[b][c]": 1, "a[0][b]": 1}, ...),
        (["a.b.c"], {"a[b]": {"c": 1, "d": 2}}, {"a[b]": {"c": MASK, "d": 2}}),
        (["a.b"], {"x[a][b]": 1, "a[c]": 2}, {"x[a][b]": 1, "a[c]": 2}),
        (["a"], "a", "a"),
        (["a"], 5, 5),
        ([], {"a": 1}, {"a": 1}),
    ],
)
def test_a_bare_name_counts_at_any_depth_and_a_path_from_the_root(masks: list[str], value: Any, masked: Any):
    before = copy.deepcopy(value)

    expected = dict.fromkeys(value, MASK) if masked is ... else masked
    assert Names(masks).masked(value) == expected
    assert value == before


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "secret"}',
        ' \n[{"a": {"Password": "secret"}}]',
        '{"p\\u0061ssword": "secret"}',
        '{"a": "{\\"password\\": \\"secret\\"}"}',
        '"{\\"password\\": \\"secret\\"}"',
        '{"password": "secret"',
    ],
)
def test_a_text_that_looks_like_json_and_holds_a_name_is_masked_whole(text: str):
    assert Names(["password"]).masked(text) == MASK
    assert Names(["user.password"]).masked({"a": [text], "b": "x"}) == {"a": [MASK], "b": "x"}


@pytest.mark.parametrize("text", ["my password", '{"passwords": 1}', "[1, 2]", "{", ""])
def test_any_other_text_stays(text: str):
    assert Names(["password"]).masked([text]) == [text]


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


def test_a_url_of_more_parts_than_there_is_time_for_shows_no_parameter():
    """A8: a Referer of 60 kB held up the event loop."""
    given = event()
    given["request"]["uri"] = "http://example.org/p?" + "a=1&" * 1_500
    given["request"]["headers"] = {"referer": "http://a/?" + "b=1&" * 1_500, "accept": "*/*", "x": "c=1"}
    hidden(given, request_query=("token",))
    assert given["request"]["uri"] == "http://example.org/p?" + "a=1&" * 1_500
    assert given["request"]["headers"] == {"referer": MASK, "accept": "*/*", "x": MASK}
    given["request"]["uri"] = "http://example.org/p?" + "a=1&" * 2_500
    hidden(given, request_query=("token",))
    assert given["request"]["uri"] == f"http://example.org/p?{MASK}"
