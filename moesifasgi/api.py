"""Plain functions for code that has no middleware at hand: update calls, ``flush`` and ``stats``."""

import os
import time
from collections import Counter
from collections.abc import Iterable

from moesifasgi.channel.registry import channel_for, channels
from moesifasgi.errors import SettingsError
from moesifasgi.outgoing.dropped import record_dropped
from moesifasgi.quiet import say
from moesifasgi.recorder import Recorder, recorder_of
from moesifasgi.settings import Settings
from moesifasgi.updates import Update, Updates
from moesifasgi.waiting import waiting

_without_middleware: dict[str | None, Recorder] = {}


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
    record_dropped()
    deadline = time.monotonic() + timeout
    drained = [channel.drain(max(0.0, deadline - time.monotonic()), give_up=False) for channel in channels()]
    return all(one.delivered for one in drained)


def stats() -> dict[str, int]:
    """This worker's counters, one number per fate of an event, over all channels.

    ``ring_events`` wait for the shipper's acknowledgement, ``in_hooks`` for asynchronous functions.
    """
    total: Counter[str] = Counter(in_hooks=len(waiting))
    for channel in channels():
        total.update(channel.stats())
    return dict(total)


def _updates(application_id: str | None) -> Updates:
    """The update calls of an application. Where none can be had, they go nowhere, and the log says why."""
    recorder = recorder_of(application_id) or _without_middleware.get(application_id)
    if recorder is None:
        try:
            recorder = _without_middleware[application_id] = _recorder_from_environment(application_id)
        except SettingsError as fault:
            say("updates without settings", "updates are dropped: %s", fault)
    return Updates(recorder)


def _recorder_from_environment(application_id: str | None) -> Recorder:
    """For a program that has no middleware: all settings but the id come from ``MOESIF_<KEY>``."""
    given = {"APPLICATION_ID": application_id} if application_id else {}
    settings = Settings.load(given, os.environ)
    return Recorder(settings, channel_for(settings))
