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

from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from moesifasgi.channel import Channel
from moesifasgi.enforcement.sampler import Sampler
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.event.record import Record
from moesifasgi.exchange import Answered, Exchange
from moesifasgi.policy.sampling import Sampling
from moesifasgi.settings import Functions, Settings
from moesifasgi.steps import Steps
from moesifasgi.wire.messages import Kind

if TYPE_CHECKING:
    from moesifasgi.hooks import Hooks
    from moesifasgi.masking import Masking

_RECORD, _EVENT = int(Kind.RECORD), int(Kind.EVENT)
Content = tuple[int, Record | dict[str, Any]]
LeftOut = Literal["skipped", "sampled_out"]
"""Why there is none; also its counter."""


class Matter(Protocol):
    """What is recorded: an exchange of the application's own API, or an outgoing call."""

    @property
    def rate(self) -> float:
        """The percentage at which it was kept so far."""

    @property
    def sampling(self) -> Sampling | None:
        """The dashboard's rates, if they are to be asked for now."""

    @property
    def identified(self) -> Answered:
        """Who it is, as far as that was asked for before."""

    def record(self, ended_at: float, weight: int, settings: EventSettings | None) -> Record: ...

    def attributed(self, record: Record) -> Record:
        """The record, with what its functions said in it, when it is known who it is."""

    def over(self) -> None:
        """Whatever has become of it, nothing more will."""


M = TypeVar("M", bound=Matter)


class Pipeline(Generic[M]):
    """Steps 2 to 5 for one middleware and direction. ``pair`` makes what the functions get."""

    def __init__(
        self,
        sampler: Sampler,
        timeout_s: float,
        hooks: "Hooks | None",
        pair: Callable[[Record, M], tuple[Any, Any]],
        masking: "Masking | None",
    ) -> None:
        self._sampler = sampler
        self.timeout_s = timeout_s
        """What all waiting for one event's functions shares (HOOK_TIMEOUT)."""
        self._hooks = hooks
        self._pair = pair
        self.masking = masking
        self.asks = hooks is not None
        """Whether there is a function to ask."""
        self.is_empty = hooks is None and masking is None
        """Whether there is nothing to do but sampling."""

    def content(self, record: Record, matter: M) -> Steps[Content | LeftOut]:
        """What to make a frame of, or why there is none."""
        if self._hooks is not None:
            answers = yield from self._hooks.answers(partial(self._pair, record, matter), matter.identified)
            if answers.skip:
                return "skipped"
            record = answers.added_to(record)
        record = matter.attributed(record)
        sampling = matter.sampling
        if sampling is not None:
            rate = self._sampler.rate_after(sampling, record)
            if not self._sampler.keeps(rate):
                return "sampled_out"
            record = record._replace(weight=self._sampler.weight(matter.rate * rate / 100))
        if self.masking is None:
            return _RECORD, record
        return _EVENT, (yield from self.masking.event(record))


def incoming_pipeline(settings: Settings, channel: Channel, sampler: Sampler) -> Pipeline[Exchange]:
    """For the calls of the application's own API."""
    hooks, masking = None, None
    pair: Callable[[Record, Exchange], tuple[Any, Any]] = _no_pair
    # Loaded here: Starlette and moesifapi are for those who set a function.
    if asks(settings.hooks):
        from moesifasgi.hooks import Hooks
        from moesifasgi.starlette_pair import starlette_pair

        pair = starlette_pair
        hooks = Hooks(settings.hooks, settings.hooks.timeout_s, channel)
    if _masks(settings):
        from moesifasgi.masking import Masking

        masking = Masking(settings, channel)
    return Pipeline(sampler, settings.hooks.timeout_s, hooks, pair, masking)


def asks(functions: Functions) -> bool:
    """Whether one of the functions is set."""
    asked = (
        functions.skip,
        functions.identify_user,
        functions.identify_company,
        functions.get_metadata,
        functions.get_session_token,
    )
    return any(function is not None for function in asked)


def _no_pair(record: Record, matter: Any) -> tuple[Any, Any]:
    return None, None


def _masks(settings: Settings) -> bool:
    return settings.hooks.mask_event_model is not None or any(astuple(settings.masks))
