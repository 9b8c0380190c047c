"""Merge tags: what the dashboard knows of a user or company, in a rule's response."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from lab.policies import blocked, decided, in_cohort
from lab.rules import rule

VARIABLES = [{"name": "0", "path": "x"}, {"name": "plan", "path": "y"}]


def response(
    body: object, values: Mapping[str, object] | None = None, variables: object = VARIABLES, **headers: Any
) -> tuple[Any, dict[bytes, bytes]]:
    """Body and headers of the blocked response of a user with these values."""
    made = rule(
        "r",
        kind="user",
        block=True,
        variables=variables,
        response={"status": 403, "body": body, "headers": headers},
    )
    config = in_cohort("u1", "r" if values is None else ("r", values))
    block = blocked([made], user="u1", config=config)
    assert block is not None
    assert dict(block.headers)[b"content-length"] == str(len(block.body)).encode()
    return json.loads(block.body), dict(block.headers)


def text(template: str, values: Mapping[str, object] | None = None, variables: object = VARIABLES) -> str:
    body, headers = response(template, values, variables, x=template)
    assert headers[b"x"].decode() == body
    return str(body)


def test_a_tag_becomes_the_value_everywhere():
    assert text("{{0}} has {{plan}}, {{0}}", {"0": "Ada", "plan": "gold"}) == "Ada has gold, Ada"


def test_tags_are_replaced_at_any_depth_but_not_in_keys():
    body, _ = response({"{{0}}": ["{{0}}", {"a": ["{{0}}", 1, None]}]}, {"0": "v"})

    assert body == {"{{0}}": ["v", {"a": ["v", 1, None]}]}


@pytest.mark.parametrize(
    ("template", "written"),
    [("{{0}}", "UNKNOWN"), ("{{0|you}}", "you"), ("{{0|}}", ""), ("{{0|a b}}", "a b")],
)
def test_a_missing_value_is_its_default_or_unknown(template: str, written: str):
    assert text(template) == written
    assert text(template, {}) == written
    assert text(template, {"0": None}) == written
    assert text(template, {"0": ["list"]}) == written


@pytest.mark.parametrize(("value", "written"), [("v", "v"), ("", ""), (7, "7"), (1.5, "1.5"), (True, "true")])
def test_a_value_wins_over_the_default(value: object, written: str):
    assert text("{{0|you}}", {"0": value}) == written


def test_only_what_the_rule_declares_is_put_in():
    assert text("{{secret}}", {"secret": "s"}) == "UNKNOWN"


@pytest.mark.parametrize("variables", [None, [], "0", 7])
def test_in_a_rule_without_variables_tags_are_text(variables: object):
    assert text("{{0}} {{0|you}}", {"0": "v"}, variables) == "{{0}} {{0|you}}"


def test_tags_in_a_value_are_text():
    assert text("{{0}}", {"0": "{{plan}}", "plan": "gold"}) == "{{plan}}"


@pytest.mark.parametrize("template", ["{{}}", "{0}", "{{0", "{{0}", "{{ {0} }}"])
def test_what_is_no_tag_is_text(template: str):
    assert text(template, {"0": "v"}) == template


def test_names_of_variables_may_be_numbers():
    assert text("{{3}}", {"3": "v"}, [{"name": 3}]) == "v"


@pytest.mark.parametrize("variables", [[None], [{}], [{"name": None}], ["0"], [[]]])
def test_variables_that_cannot_be_read_have_no_value(variables: object):
    assert text("{{0}}", {"0": "v"}, variables) == "UNKNOWN"


def test_a_value_cannot_end_its_header():
    body, headers = response("{{0}}", {"0": "a\r\nSet-Cookie: b=c"}, X="{{0}}")

    assert headers[b"x"] == b"a  Set-Cookie: b=c"
    assert b"set-cookie" not in headers
    assert body == "a\r\nSet-Cookie: b=c"


def test_a_value_cannot_leave_its_text_in_the_body():
    body, _ = response({"m": "{{0}}"}, {"0": '", "admin": true, "x": "'})

    assert body == {"m": '", "admin": true, "x": "'}


def test_rules_that_do_not_block_have_tags_too():
    made = rule("r", kind="user", variables=VARIABLES, response={"headers": {"X-Plan": "{{plan}}"}})
    verdict = decided([made], user="u1", config=in_cohort("u1", ("r", {"plan": "gold"})))

    assert verdict is not None
    assert verdict.headers == [(b"x-plan", b"gold")]


def test_without_an_entry_every_value_is_missing():
    made = rule("r", variables=VARIABLES, response={"headers": {"X-Plan": "{{plan|free}} {{0}}"}})
    verdict = decided([made], user="u1", config=in_cohort("u1", ("r", {"plan": "gold"})))

    assert verdict is not None
    assert verdict.headers == [(b"x-plan", b"free UNKNOWN")]
