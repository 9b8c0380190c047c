"""What happens to a captured exchange before it is a frame, in this order:

    1. capture          the Record; SAMPLE_RATE and exclusions have decided before it
    2. identity, IP     from the headers, as they came (in the shipper, unless a mask needs the event here)
    3. hooks            SKIP, then who and what, by the user's functions
    4. masks            MASK_EVENT_MODEL, then the masks of the settings, over everything
    5. sampling         the dashboard's rates, by the facts of 1 to 3: no mask changes what is sampled
    6. frame            a RECORD, or with masks an EVENT

A function runs once for an event. What needs neither hooks nor masks never comes here.
"""

from dataclasses import astuple
from typing import Any

from moesifasgi.channel import Channel
from moesifasgi.event.record import Record
from moesifasgi.exchange import Scope
from moesifasgi.settings import HookSettings, Settings
from moesifasgi.steps import Steps
from moesifasgi.wire.messages import Kind

_RECORD, _EVENT = int(Kind.RECORD), int(Kind.EVENT)
Content = tuple[int, Record | dict[str, Any]]


class Pipeline:
    """Steps 2 to 4 for one middleware."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
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

    @classmethod
    def needed(cls, settings: Settings) -> bool:
        """Whether there is anything to do for it."""
        return _asks(settings.hooks) or _masks(settings)

    def content(self, record: Record, scope: Scope) -> Steps[Content | None]:
        """What to make a frame of; None for what is to be skipped."""
        if self._hooks is not None:
            answers = yield from self._hooks.answers(record, scope)
            if answers.skip:
                return None
            record = answers.added_to(record)
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
