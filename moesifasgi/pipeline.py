"""What happens to a captured exchange before it is a frame, in this order:

    1. capture          the Record; exclusions, SAMPLE_RATE and what the dashboard's rates know by then have
                        decided before it
    2. identity, IP     from the headers, as they came (in the shipper, unless something needs them here)
    3. hooks            SKIP, then who and what, by the user's functions
    4. sampling         the dashboard's rates that wanted to know more, by the facts of 1 to 3: before the
                        masks, so that none changes what is sampled, nor runs for what is not kept
    5. masks            MASK_EVENT_MODEL, then the masks of the settings, over everything
    6. frame            a RECORD, or with masks an EVENT

A function runs once for an event. What needs nothing of 3 to 5 never comes here.
"""

from dataclasses import astuple
from typing import Any, Literal

from moesifasgi.channel import Channel
from moesifasgi.enforcement.sampler import Sampler
from moesifasgi.event.record import Record
from moesifasgi.exchange import Exchange
from moesifasgi.settings import HookSettings, Settings
from moesifasgi.steps import Steps
from moesifasgi.wire.messages import Kind

_RECORD, _EVENT = int(Kind.RECORD), int(Kind.EVENT)
Content = tuple[int, Record | dict[str, Any]]
LeftOut = Literal["skipped", "sampled_out"]
"""Why there is none; also its counter."""


class Pipeline:
    """Steps 2 to 5 for one middleware."""

    def __init__(self, settings: Settings, channel: Channel, sampler: Sampler) -> None:
        self._sampler = sampler
        self.timeout_s = settings.hooks.timeout_s
        """What all waiting for one event's functions shares (HOOK_TIMEOUT)."""
        # Loaded here: Starlette and moesifapi are for those who set a function.
        if _asks(settings.hooks):
            from moesifasgi.hooks import Hooks

            self._hooks: Hooks | None = Hooks(settings.hooks, channel)
        else:
            self._hooks = None
        if _masks(settings):
            from moesifasgi.masking import Masking

            self._masking: Masking | None = Masking(settings, channel)
        else:
            self._masking = None

        self.is_empty = self._hooks is None and self._masking is None
        """Whether there is nothing to do but sampling."""

    def content(self, record: Record, exchange: Exchange) -> Steps[Content | LeftOut]:
        """What to make a frame of, or why there is none."""
        if self._hooks is not None:
            answers = yield from self._hooks.answers(record, exchange.scope(), exchange.identified)
            if answers.skip:
                return "skipped"
            record = answers.added_to(record)
        sampling = exchange.sampling
        if sampling is not None:
            rate = self._sampler.rate_after(sampling, record)
            if not self._sampler.keeps(rate):
                return "sampled_out"
            record = record._replace(weight=self._sampler.weight(exchange.rate * rate / 100))
        if self._masking is None:
            return _RECORD, record
        return _EVENT, (yield from self._masking.event(record))


def _asks(hooks: HookSettings) -> bool:
    asked = (
        hooks.skip,
        hooks.identify_user,
        hooks.identify_company,
        hooks.get_metadata,
        hooks.get_session_token,
    )
    return any(function is not None for function in asked)


def _masks(settings: Settings) -> bool:
    return settings.hooks.mask_event_model is not None or any(astuple(settings.masks))
