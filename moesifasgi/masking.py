"""From a record to the event that may leave: MASK_EVENT_MODEL first, the masks of the settings last.

Whatever goes wrong fails closed: the event then goes without anything that a mask might have removed.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from moesifasgi.channel import Channel
from moesifasgi.event.body import IN_THE_WORKER
from moesifasgi.event.build import build_noted
from moesifasgi.event.masks import Masks, unseen_bodies, withhold, withhold_body
from moesifasgi.event.record import Record
from moesifasgi.policy.identity import UNKNOWN
from moesifasgi.settings import Settings
from moesifasgi.steps import Steps
from moesifasgi.user_function import UserFunction


class Masking:
    """All masks of one middleware; at least one is set."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._channel = channel
        self._masks = Masks(**asdict(settings.masks))
        self._function = _function(settings, channel)

    def event(self, record: Record) -> Steps[dict[str, Any]]:
        """The masked event. Raises what ``build_event`` raises."""
        event, notes = build_noted(record, IN_THE_WORKER)
        withheld = False
        if self._function is not None:
            unseen = unseen_bodies(event, notes, record.ending)
            for side in unseen:
                withhold_body(event, side)
            masked = yield from self._function(event)
            if masked is None:
                withhold(event, notes)
            withheld = bool(unseen) or masked is None
            event = event if masked is None else masked
        if self._masks and self._masks.hide(event):
            withheld = True
        if withheld:
            self._channel.counters.add("withheld")
        return event


def _function(
    settings: Settings, channel: Channel
) -> Callable[[dict[str, Any]], Steps[dict[str, Any] | None]] | None:
    """MASK_EVENT_MODEL over events; it gives None where it fails."""
    hook = settings.hooks.mask_event_model
    if hook is None:
        return None
    # Loaded here: it loads moesifapi, which takes 0.15 s.
    from moesifasgi.event.model import event_of, model_of

    function = UserFunction("MASK_EVENT_MODEL", hook, settings.hooks.timeout_s, channel)

    def masked(event: dict[str, Any]) -> Steps[dict[str, Any] | None]:
        answer = yield from function.answer(partial(event_of, event=event), model_of(event))
        return None if answer is UNKNOWN else answer

    return masked
