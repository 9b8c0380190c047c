"""The update calls: users, companies, subscriptions and actions, offered like any event, back at once."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from moesifasgi.event.jsonable import jsonable
from moesifasgi.quiet import say
from moesifasgi.recorder import Recorder
from moesifasgi.transaction_id import new_transaction_id
from moesifasgi.wire.messages import Kind

Update = Mapping[str, Any] | str | bytes | object
"""A dict, its JSON text, or a moesifapi model."""

_REQUIRED = {
    Kind.USER: ("user_id",),
    Kind.COMPANY: ("company_id",),
    Kind.SUBSCRIPTION: ("subscription_id", "company_id", "status"),
    Kind.ACTION: ("action_name",),
}
_IDS = ("user_id", "company_id", "subscription_id")


class Updates:
    """The update calls over one recorder. None raises: an update that cannot be is logged and counted."""

    def __init__(self, recorder: Recorder | None) -> None:
        """``recorder`` is None where the settings were wrong: updates are logged then, and go nowhere."""
        self._updates = recorder

    def update_user(self, user: Update) -> None:
        """Create or update one user; ``user_id`` is required."""
        self._offer(Kind.USER, user)

    def update_users_batch(self, users: Iterable[Update]) -> None:
        """Create or update several users."""
        self._offer_all(Kind.USER, users)

    def update_company(self, company: Update) -> None:
        """Create or update one company; ``company_id`` is required."""
        self._offer(Kind.COMPANY, company)

    def update_companies_batch(self, companies: Iterable[Update]) -> None:
        """Create or update several companies."""
        self._offer_all(Kind.COMPANY, companies)

    def update_subscription(self, subscription: Update) -> None:
        """Create or update one; ``subscription_id``, ``company_id`` and ``status`` are required."""
        self._offer(Kind.SUBSCRIPTION, subscription)

    def update_subscriptions_batch(self, subscriptions: Iterable[Update]) -> None:
        """Create or update several subscriptions."""
        self._offer_all(Kind.SUBSCRIPTION, subscriptions)

    def send_action(self, action: Update) -> None:
        """Record one action of a user's; ``action_name`` is required."""
        self._offer(Kind.ACTION, action)

    def send_actions_batch(self, actions: Iterable[Update]) -> None:
        """Record several actions."""
        self._offer_all(Kind.ACTION, actions)

    def _offer(self, kind: Kind, update: Update) -> None:
        recorder = self._updates
        if recorder is None:
            say("updates without settings", "updates are dropped: the settings are wrong")
            return
        try:
            content = _content(update)
            if missing := [name for name in _REQUIRED[kind] if not content.get(name)]:
                raise ValueError(f"expected {' and '.join(missing)}")
        except Exception as error:  # noqa: BLE001  (a model's or a container's own code may raise anything)
            recorder.refuse(kind, f"{type(error).__name__}: {error}")
            return
        if kind is Kind.ACTION:
            # The collector deduplicates actions on it; made here, so that every retry carries the same.
            content.setdefault("transaction_id", new_transaction_id())
        recorder.hand_over(kind, content)

    def _offer_all(self, kind: Kind, updates: Iterable[Update]) -> None:
        try:
            each = json.loads(updates) if isinstance(updates, (str, bytes)) else updates
            if isinstance(each, Mapping):
                raise ValueError("expected a list of updates, got one")
            each = list(each)
        except Exception as error:  # noqa: BLE001  (an iterator's own code may raise anything)
            if self._updates is not None:
                self._updates.refuse(kind, f"{type(error).__name__}: {error}")
            return
        for update in each:
            self._offer(kind, update)


def _content(update: Update) -> dict[str, Any]:
    """An update as the map that the collector takes. ValueError says what was expected."""
    if isinstance(update, (str, bytes)):
        update = json.loads(update)
    elif not isinstance(update, Mapping) and hasattr(update, "to_dictionary"):
        update = update.to_dictionary()
    content = jsonable(update)
    if not isinstance(content, dict):
        raise ValueError(f"expected a dict, its JSON or a moesifapi model, got {type(update).__name__}")
    # The collector's ids are texts; a database's are often numbers.
    return content | {name: str(content[name]) for name in _IDS if type(content.get(name)) is int}
