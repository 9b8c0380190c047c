"""The response that a rule gives in the application's place, and headers that it adds to others."""

import json
from typing import Any

import pytest
from lab.policies import blocked, decided, policy
from lab.rules import adding, rule

from moesifasgi.policy.governance import Block


def block_of(response: object, **keys: Any) -> Block:
    block = blocked([rule("r", block=True, response=response, **keys)])
    assert block is not None
    return block


def added(value: object, name: str = "X-A") -> bytes | None:
    verdict = decided([adding("r", headers={name: value})])
    return verdict.headers[0][1] if verdict else None


def test_it_has_status_body_type_length_and_the_rules_id():
    block = block_of({"status": 429, "headers": {"X-A": "b"}, "body": {"error": "späť"}})

    assert (block.status, block.rule_id) == (429, "r")
    assert json.loads(block.body) == {"error": "späť"}
    assert sorted(block.headers) == [
        (b"content-length", str(len(block.body)).encode()),
        (b"content-type", b"application/json"),
        (b"x-a", b"b"),
    ]


@pytest.mark.parametrize(
    "body", ["text", "", 7, 1.5, True, None, [], ["a"], {}, {"a": {"b": [None]}}, "\ud800"]
)
def test_a_body_is_always_json(body: Any):
    block = block_of({"status": 403, "body": body})

    assert json.loads(block.body) == ("\ufffd" if body == "\ud800" else body)


@pytest.mark.parametrize("response", [None, 7, "text", {}, {"headers": None}, {"body": None}])
def test_without_a_response_it_is_a_forbidden_null(response: object):
    block = block_of(response)

    assert (block.status, block.body) == (403, b"null")


@pytest.mark.parametrize(("status", "used"), [(200, 200), (599, 599), ("429", 429), (429.0, 429)])
def test_a_status_may_be_written_as_text(status: object, used: int):
    assert block_of({"status": status}).status == used


@pytest.mark.parametrize(
    "status", [None, 0, 99, 100, 199, 600, 1_000, -403, "", "teapot", 403.5, True, [], "٤٠٣"]
)
def test_a_status_that_is_none_becomes_403_and_is_said(status: object):
    made = rule("r", block=True, response={"status": status})

    assert block_of({"status": status}).status == 403
    assert policy(made).faults == ("rule r: response.status should be a number from 200 to 599; 403 is used",)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_content_has_no_body(status: int):
    block = block_of({"status": status, "headers": {"X-A": "b"}, "body": {"error": "x"}})

    assert (block.body, block.headers) == (b"", [(b"x-a", b"b")])


def test_a_rule_may_name_a_type_of_its_own():
    block = block_of({"status": 403, "headers": {"Content-Type": "application/problem+json"}, "body": {}})

    assert [value for name, value in block.headers if name == b"content-type"] == [
        b"application/problem+json"
    ]


def test_the_type_of_a_rule_that_was_overridden_is_not_kept():
    rules = [
        adding("r", headers={"Content-Type": "text/html"}),
        rule("b", block=True, response={"status": 403, "body": {}}),
    ]
    block = blocked(rules)

    assert block is not None
    assert dict(block.headers)[b"content-type"] == b"application/json"


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer"]
)
def test_how_a_message_is_framed_is_not_for_a_rule(name: str):
    made = adding("r", headers={name: "chunked"})

    assert decided([made]) is None
    assert name not in dict(block_of({"status": 403, "headers": {name: "7"}, "body": "xy"}).headers)
    assert policy(made).faults == (f"rule r: a rule cannot set the response header '{name}'",)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "a\0", "(a)"])
def test_a_name_that_is_none_is_left_out_and_said(name: str):
    made = adding("r", headers={name: "v", "X-Good": "v"})
    verdict = decided([made])

    assert verdict is not None
    assert verdict.headers == [(b"x-good", b"v")]
    (fault,) = policy(made).faults
    assert fault.isprintable()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", b"Wed, 21 Oct 2026 07:28:00 GMT"),
        ("a\r\nSet-Cookie: b", b"a  Set-Cookie: b"),
        ("a\0b\x7f", b"a b"),
        ("\ta\tb ", b"a\tb"),
        ("café", b"caf\xe9"),
        ("日本", b"??"),
        (7, b"7"),
        (True, b"true"),
        ("", b""),
    ],
)
def test_a_value_becomes_one_line_of_bytes(value: object, written: bytes):
    """A17c: spaces became underscores, and a number was a 500."""
    assert added(value) == written


@pytest.mark.parametrize("value", [None, [], {}, ["a"]])
def test_a_value_that_is_no_text_is_left_out_and_said(value: object):
    assert added(value) is None
    assert policy(adding("r", headers={"X-A": value})).faults == (
        "rule r: the response header 'X-A' should be a text",
    )


def test_headers_that_are_no_object_are_said():
    made = rule("r", response={"headers": ["a"]})

    assert decided([made]) is None
    assert policy(made).faults == ("rule r: response.headers should be an object",)
