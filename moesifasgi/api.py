"""Plain functions for code that has no middleware at hand: update calls, ``flush`` and ``stats``."""

import os
import time
from collections import Counter
from collections.abc import Iterable

from moesifasgi.channel.registry import channel_for, channels
from moesifasgi.recorder import Recorder, first_recorder
from moesifasgi.settings import Settings
from moesifasgi.updates import Update, Updates

_by_application: dict[str, Updates] = {}


def update_user(user: Update, *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.update_user``; for the first middleware's application, or the one named."""
    _updates(application_id).update_user(user)


def update_users_batch(users: Iterable[Update], *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.update_users_batch``."""
    _updates(application_id).update_users_batch(users)


def update_company(company: Update, *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.update_company``."""
    _updates(application_id).update_company(company)


def update_companies_batch(companies: Iterable[Update], *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.update_companies_batch``."""
    _updates(application_id).update_companies_batch(companies)


def update_subscription(subscription: Update, *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.update_subscription``."""
    _updates(application_id).update_subscription(subscription)


def update_subscriptions_batch(subscriptions: Iterable[Update], *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.update_subscriptions_batch``."""
    _updates(application_id).update_subscriptions_batch(subscriptions)


def send_action(action: Update, *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.send_action``."""
    _updates(application_id).send_action(action)


def send_actions_batch(actions: Iterable[Update], *, application_id: str | None = None) -> None:
    """See ``MoesifMiddleware.send_actions_batch``."""
    _updates(application_id).send_actions_batch(actions)


def flush(timeout: float = 10.0) -> bool:
    """Wait until all that this process offered is delivered; False if it is not within ``timeout`` seconds.

    Blocks the calling thread: in a coroutine, call it through ``asyncio.to_thread``.
    """
    deadline = time.monotonic() + timeout
    drained = [channel.drain(max(0.0, deadline - time.monotonic()), give_up=False) for channel in channels()]
    return all(one.delivered for one in drained)


def stats() -> dict[str, int]:
    """This worker's counters, one number per fate of an event, and what is in the ring, over all channels."""
    total: Counter[str] = Counter()
    for channel in channels():
        total.update(channel.stats())
    return dict(total)


def _updates(application_id: str | None) -> Updates:
    """SettingsError where no application is known: the only place after start-up that can tell a person."""
    if application_id is None and (first := first_recorder()) is not None:
        return Updates(first)
    key = application_id or ""
    if key not in _by_application:
        given = {"APPLICATION_ID": application_id} if application_id else {}
        settings = Settings.load(given, os.environ)
        _by_application[key] = Updates(Recorder(settings, channel_for(settings)))
    return _by_application[key]
