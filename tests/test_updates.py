"""The update calls: what they take, what they refuse, and that none of them ever raises."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from moesifapi.models import CompanyModel, SubscriptionModel, UserModel

from moesifasgi import MoesifMiddleware
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.channel.registry import channel_for
from moesifasgi.settings import Settings
from moesifasgi.wire.messages import Kind

Calls = dict[Kind, tuple[str, str, dict[str, Any]]]
CALLS: Calls = {
    Kind.USER: ("update_user", "update_users_batch", {"user_id": "u1", "metadata": {"plan": "free"}}),
    Kind.COMPANY: ("update_company", "update_companies_batch", {"company_id": "c1"}),
    Kind.SUBSCRIPTION: (
        "update_subscription",
        "update_subscriptions_batch",
        {"subscription_id": "s1", "company_id": "c1", "status": "active"},
    ),
    Kind.ACTION: ("send_action", "send_actions_batch", {"action_name": "clicked", "transaction_id": "t1"}),
}
each_kind = pytest.mark.parametrize("kind", CALLS, ids=lambda kind: kind.name)


class Updated:
    """A middleware without an application, and what its update calls have offered."""

    def __init__(self, directory: Path) -> None:
        settings = {
            "APPLICATION_ID": "app-of-the-tests",
            "TRANSPORT": "memory",
            "SHIPPER_SOCKET": str(directory / "nowhere.sock"),
        }
        self.middleware = MoesifMiddleware(settings=settings)
        found = channel_for(Settings.load(settings, {}))
        assert isinstance(found, MemoryChannel)
        self.channel = found

    def call(self, kind: Kind, content: Any) -> None:
        getattr(self.middleware, CALLS[kind][0])(content)

    def call_all(self, kind: Kind, contents: Any) -> None:
        getattr(self.middleware, CALLS[kind][1])(contents)

    @property
    def offered(self) -> list[tuple[int, Any]]:
        return [(event.kind, msgpack.unpackb(event.payload)) for event in self.channel.events]

    @property
    def refused(self) -> int:
        return self.channel.counters.snapshot().get("dropped.invalid_update", 0)


@pytest.fixture
def updated(tmp_path: Path) -> Iterator[Updated]:
    made = Updated(tmp_path)
    yield made
    assert made.channel.counters.difference(len(made.channel.events), 0) == 0


@each_kind
@pytest.mark.parametrize("form", [dict, json.dumps, lambda content: json.dumps(content).encode()])
def test_a_dict_and_its_json_are_the_same_update(updated: Updated, kind: Kind, form: Callable[[Any], Any]):
    content = CALLS[kind][2]

    updated.call(kind, form(content))

    assert updated.offered == [(kind, content)]


@pytest.mark.parametrize(
    ("kind", "model", "expected"),
    [
        (Kind.USER, UserModel(user_id="u1"), {"user_id": "u1"}),
        (Kind.COMPANY, CompanyModel(company_id="c1"), {"company_id": "c1"}),
        (
            Kind.SUBSCRIPTION,
            SubscriptionModel(subscription_id="s1", company_id="c1", status="active"),
            {"subscription_id": "s1"},
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_model_of_moesifapi_is_taken(updated: Updated, kind: Kind, model: Any, expected: dict[str, Any]):
    updated.call(kind, model)

    ((found, content),) = updated.offered
    assert found == kind
    assert expected.items() <= content.items()


@each_kind
def test_an_id_that_is_a_number_becomes_a_text(updated: Updated, kind: Kind):
    """A20: ids that were no texts matched nothing; the collector's are texts."""
    numbers = {"user_id": 7, "company_id": 0, "subscription_id": -1}

    updated.call(kind, {**CALLS[kind][2], **numbers, "metadata": {"n": 7}})

    ((_, content),) = updated.offered
    assert {name: content[name] for name in numbers} == {name: str(id_) for name, id_ in numbers.items()}
    assert content["metadata"] == {"n": 7}


@each_kind
def test_a_batch_is_one_update_each_whatever_it_comes_as(updated: Updated, kind: Kind):
    content = CALLS[kind][2]
    for batch in ([content, json.dumps(content)], json.dumps([content] * 2), (content for _ in range(2))):
        updated.call_all(kind, batch)

    assert updated.offered == [(kind, content)] * 6


@each_kind
@pytest.mark.parametrize(
    "content",
    [None, 5, [], {}, "", "{", "5", "[]", b"\xff", object(), {"name": "no id"}, "[" * 100_000],
    ids=lambda content: repr(content)[:10],
)
def test_what_is_no_update_is_counted_and_raises_nothing(updated: Updated, kind: Kind, content: Any):
    updated.call(kind, content)

    assert updated.offered == []
    assert updated.refused == 1


class Broken:
    def to_dictionary(self) -> Any:
        raise AttributeError("a model with a fault in it")


def broken() -> Iterator[Any]:
    yield {"user_id": "u1"}
    raise ZeroDivisionError


def test_a_model_that_raises_raises_nothing_here(updated: Updated):
    updated.call(Kind.USER, Broken())

    assert updated.refused == 1


@pytest.mark.parametrize(
    "batch", [None, 5, "{", '{"user_id": "u1", "a": 1}', {"user_id": "u1", "a": 1}, broken()]
)
def test_a_batch_that_is_none_is_refused_once(updated: Updated, batch: Any):
    updated.call_all(Kind.USER, batch)

    assert updated.offered == []
    assert updated.refused == 1


def test_one_bad_update_of_a_batch_costs_only_itself(updated: Updated):
    """A10: one value that JSON does not know cost the whole batch."""
    updated.call_all(
        Kind.USER,
        [{"user_id": "u1"}, {"name": "x"}, {"user_id": "u2", "metadata": {"at": datetime.now(UTC)}}],
    )

    assert [content["user_id"] for _, content in updated.offered] == ["u1", "u2"]
    assert updated.refused == 1


def test_an_action_gets_the_id_on_which_the_collector_deduplicates(updated: Updated):
    updated.call(Kind.ACTION, {"action_name": "clicked"})
    updated.call(Kind.ACTION, {"action_name": "clicked"})

    first, second = (content["transaction_id"] for _, content in updated.offered)
    assert len(first) == 36
    assert first != second


def test_the_callers_dict_is_not_changed(updated: Updated):
    action = {"action_name": "clicked"}
    updated.call(Kind.ACTION, action)

    assert action == {"action_name": "clicked"}
