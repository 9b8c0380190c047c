"""The user's dict, checked once → frozen settings.

What lives here: every key of the worker with its default, its shape and its meaning, in one place each: a
field of the section it belongs to, and the docstring under it. Parsing, the environment (``setting``), the
hint for a misspelt key and README's table (``settings_table``) are all derived from these fields. Times are
in seconds; a field whose unit is not seconds or events names it. What this file must not know: what is done
with a setting.

Three steps stay apart: ``_parse`` makes each value what its field says, ``_check`` looks at how they go
together, and whoever owns the matter acts upon it later. The first two collect every fault.
"""

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

from moesifasgi.errors import SettingsError
from moesifasgi.event.event_settings import EventSettings
from moesifasgi.setting import entry_of, setting
from moesifasgi.setting_shapes import (
    BODY_MASKS,
    DOTTED_PATH,
    FUNCTION,
    HANDLE,
    HEADER_LIST,
    HEADER_ORDER,
    MEDIA_TYPES,
    METHODS,
    NETWORKS,
    PARAMETERS,
    URL_PATHS,
    Hook,
)
from moesifasgi.shapes import (
    ABSOLUTE_PATH,
    APPLICATION_ID,
    BOOLEAN,
    PATH,
    SOCKET_PATH,
    TEXT,
    URL,
    Fault,
    integer,
    list_of,
    nearest,
    number,
    one_of,
)
from moesifasgi.shared_shapes import (
    BATCH_SIZE,
    BATCH_TIMEOUT,
    CONCURRENT_UPLOADS,
    FREE_BYTES,
    SPOOL_BYTES,
    Durability,
)
from moesifasgi.wire.application import DEFAULT_BASE_URI, Application

RETIRED = {"LOCAL_DEBUG": "set BASE_URI to the address of a local collector instead"}
"""Keys of the published packages that are accepted without effect, and what does their work now."""


class Transport(StrEnum):
    """How frames reach the shipper."""

    AUTO = "auto"
    """The socket if something listens on SHIPPER_SOCKET, else an embedded shipper."""
    UNIX = "unix"
    QUEUE = "queue"
    MEMORY = "memory"
    """Nowhere: kept in the worker, for tests."""


class SamplingOrder(StrEnum):
    """Which of several sample rates counts."""

    DOCUMENTED = "documented"
    """User before company; the lower of that and a matching regex."""
    FIRST_MATCH = "first-match"
    """The published package's: the first of a matching regex, user, company."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """What the shipper has to know; the fields are those of ``wire.application.Application``."""

    application_id: str = setting("APPLICATION_ID", MISSING, APPLICATION_ID, secret=True)
    """The Collector Application Id that Moesif shows under API Keys. Required."""
    base_uri: str = setting("BASE_URI", DEFAULT_BASE_URI, URL)
    """Where events go: Moesif, or a Secure Proxy, whose URL may carry a path."""
    batch_size: int | None = setting("BATCH_SIZE", None, BATCH_SIZE, shown="25")
    """Most events in one upload. If not set, batches grow to 200 events while there is a backlog."""
    batch_timeout_s: float = setting("EVENT_BATCH_TIMEOUT", 1.0, BATCH_TIMEOUT)
    """Longest time in seconds that an event waits for its batch to fill."""
    concurrent_uploads: int = setting("EVENT_WORKER_COUNT", 4, CONCURRENT_UPLOADS)
    """Uploads of this application's events that may be under way at once."""
    user_agent_suffix: str | None = setting("USER_AGENT_SUFFIX", None, TEXT)
    """Added to the uploads' User-Agent."""
    http_proxy: str | None = setting("HTTP_PROXY", None, URL, secret=True)
    """Proxy for the uploads; its URL may carry user and password."""
    ca_bundle: str | None = setting("CA_BUNDLE", None, ABSOLUTE_PATH)
    """File of certificates that the uploads trust instead of the usual ones."""


@dataclass(frozen=True, slots=True)
class InterpretationSettings:
    """How a record becomes an event; the fields are those of ``event.event_settings.EventSettings``."""

    authorization_headers: tuple[str, ...] = setting(
        "AUTHORIZATION_HEADER_NAME", ("authorization",), HEADER_ORDER
    )
    """Request headers in which a user id is looked for, in this order; comma-separated."""
    authorization_user_id_field: str = setting("AUTHORIZATION_USER_ID_FIELD", "sub", DOTTED_PATH)
    """The field of a JWT's payload that holds the user id."""
    api_version: str | None = setting("API_VERSION", None, TEXT)
    """Your API's version, stored with each event."""
    trusted_proxies: tuple[str, ...] | None = setting("TRUSTED_PROXIES", None, list_of(NETWORKS))
    """Networks whose forwarding headers are believed. If not set, anyone's are, in the order of the published
    package; an empty list believes none. Hops are those of X-Forwarded-For, or of Forwarded where that is
    absent: let the outermost proxy write one and remove the other.
    """


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is recorded of the application's exchanges."""

    log_body: bool = setting("LOG_BODY", True, BOOLEAN)
    """Whether bodies are recorded."""
    log_request_body: bool = setting("LOG_REQUEST_BODY", True, BOOLEAN, follows="LOG_BODY")
    """Whether request bodies are recorded."""
    log_response_body: bool = setting("LOG_RESPONSE_BODY", True, BOOLEAN, follows="LOG_BODY")
    """Whether response bodies are recorded."""
    max_body_bytes: int = setting("MAX_BODY_SIZE", 100_000, integer(1, 1_000_000))
    """Bytes that are kept of each body; a longer one is cut and marked. The collector takes 1 MB an event."""
    exclude_methods: tuple[str, ...] = setting("EXCLUDE_METHODS", (), list_of(METHODS))
    """Methods that are not recorded, such as `OPTIONS`."""
    exclude_paths: tuple[str, ...] = setting("EXCLUDE_PATHS", (), list_of(URL_PATHS))
    """Paths that are not recorded; `*` stands for any characters, as in `/health*`."""
    log_content_types: tuple[str, ...] = setting("LOG_CONTENT_TYPES", (), list_of(MEDIA_TYPES))
    """Media types whose bodies are recorded, such as `application/json` or `text/*`; a body that names no
    type is none of them. Empty: all.
    """
    sample_rate: float = setting("SAMPLE_RATE", 100.0, number(0, 100, "a percentage"))
    """Percentage of exchanges that are looked at, before the dashboard's own rate."""
    sampling: SamplingOrder = setting("SAMPLING", SamplingOrder.DOCUMENTED, one_of(SamplingOrder))
    """`documented`: user before company, the lower of that and a matching regex. `first-match`: the published
    package's order.
    """
    disabled_transaction_id: bool = setting("DISABLED_TRANSACTION_ID", False, BOOLEAN)
    """True leaves the header X-Moesif-Transaction-Id out of responses."""
    debug: bool = setting("DEBUG", False, BOOLEAN)
    """Whether this package's logger says more; no body or header is logged, nor a line for each event."""


class Functions(Protocol):
    """The user's functions of a request and its response, of either direction."""

    @property
    def skip(self) -> Hook | None: ...
    @property
    def identify_user(self) -> Hook | None: ...
    @property
    def identify_company(self) -> Hook | None: ...
    @property
    def get_metadata(self) -> Hook | None: ...
    @property
    def get_session_token(self) -> Hook | None: ...


@dataclass(frozen=True, slots=True)
class HookSettings:
    """The user's functions, synchronous or asynchronous."""

    skip: Hook | None = setting("SKIP", None, FUNCTION)
    """`(request, response)` → True for what is not to be recorded."""
    identify_user: Hook | None = setting("IDENTIFY_USER", None, FUNCTION)
    """`(request, response)` → the user's id."""
    identify_company: Hook | None = setting("IDENTIFY_COMPANY", None, FUNCTION)
    """`(request, response)` → the company's id."""
    get_metadata: Hook | None = setting("GET_METADATA", None, FUNCTION)
    """`(request, response)` → a dict, stored with the event."""
    get_session_token: Hook | None = setting("GET_SESSION_TOKEN", None, FUNCTION)
    """`(request, response)` → the session's token."""
    mask_event_model: Hook | None = setting("MASK_EVENT_MODEL", None, FUNCTION)
    """`(event)` → the `EventModel` without what must not leave the process."""
    timeout_s: float = setting("HOOK_TIMEOUT", 0.75, number(0.001, 60))
    """Seconds that the asynchronous functions have for one event, together; also the limit for reading a body
    ahead for a governance rule.
    """


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """Names and dotted paths whose values never leave the process."""

    request_headers: tuple[str, ...] = setting("REQUEST_HEADER_MASKS", (), HEADER_LIST)
    """Request headers whose values become `***`."""
    response_headers: tuple[str, ...] = setting("RESPONSE_HEADER_MASKS", (), HEADER_LIST)
    """Response headers whose values become `***`."""
    request_body: tuple[str, ...] = setting("REQUEST_BODY_MASKS", (), list_of(BODY_MASKS))
    """Fields of JSON and form request bodies whose values become `***`: `password` at any depth,
    `user.password` from the root.
    """
    response_body: tuple[str, ...] = setting("RESPONSE_BODY_MASKS", (), list_of(BODY_MASKS))
    """The same for response bodies."""
    request_query: tuple[str, ...] = setting("REQUEST_QUERY_MASKS", (), list_of(PARAMETERS))
    """Query parameters whose values become `***`."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The worker's ring: what waits for the shipper's acknowledgement."""

    max_events: int = setting("EVENT_QUEUE_SIZE", 1_000_000, integer(1, 100_000_000))
    """Most events that wait in a worker; at this bound new ones are dropped and counted."""
    max_bytes: int = setting("EVENT_QUEUE_BYTES", 32 * 2**20, integer(1_000, 2**40), shown="32 MiB")
    """The same in bytes; whichever is met first."""
    shutdown_timeout_s: float = setting("SHUTDOWN_TIMEOUT", 5.0, number(0, 600))
    """Seconds that a stopping worker waits for its events to be delivered."""


@dataclass(frozen=True, slots=True)
class ShipperSettings:
    """Which shipper takes the events, and how an embedded one behaves."""

    transport: Transport = setting("TRANSPORT", Transport.AUTO, one_of(Transport))
    """`auto`: the socket if one listens on SHIPPER_SOCKET, else an embedded shipper; `unix`: the socket;
    `queue`: the queue of a shipper that the server's master started; `memory`: nowhere, for tests.
    """
    socket: str = setting("SHIPPER_SOCKET", "/run/moesif/shipper.sock", SOCKET_PATH)
    """The standalone shipper's socket."""
    handle: Any = setting("SHIPPER", None, HANDLE)
    """What `moesifasgi.start_shipper(settings)` returned in the server's master, for `queue`. If not set, the
    last one that the master started.
    """
    linger_s: float = setting("SHIPPER_LINGER", 10.0, number(0, 20))
    """Seconds that an embedded shipper outlives its last worker, if it still has events."""
    durability: Durability = setting("DURABILITY", Durability.NORMAL, one_of(Durability))
    """An embedded shipper's: `normal` survives the death of every process, `full` a loss of power. A
    standalone shipper has its own, `full`.
    """
    spool_dir: str | None = setting("SPOOL_DIR", None, ABSOLUTE_PATH, shown="per-user state directory")
    """Where an embedded shipper spools."""
    spool_max_bytes: int = setting("SPOOL_MAX_BYTES", 2**30, SPOOL_BYTES, shown="1 GiB")
    """Bound of an embedded shipper's spool in bytes, and of what workers leave on disk for one.

    At this bound new events are dropped and counted.
    """
    spool_min_free_bytes: int = setting("SPOOL_MIN_FREE_BYTES", 256 * 2**20, FREE_BYTES, shown="256 MiB")
    """Neither of these grows further below this much free disk, in bytes."""
    offline_file: str | None = setting("OFFLINE_FILE", None, PATH)
    """Write events there instead of shipping them, as NDJSON: a line for each, as Moesif would get it."""


@dataclass(frozen=True, slots=True)
class OutgoingSettings:
    """Calls that the application itself makes to other APIs."""

    capture: bool = setting("CAPTURE_OUTGOING_REQUESTS", False, BOOLEAN)
    """Whether calls that the application makes are recorded: through requests, httpx, aiohttp or urllib3."""
    log_body: bool = setting("LOG_BODY_OUTGOING", True, BOOLEAN)
    """Whether their bodies are recorded."""
    skip: Hook | None = setting("SKIP_OUTGOING", None, FUNCTION)
    """`(request, response)` of the client library → True for a call not to be recorded."""
    identify_user: Hook | None = setting("IDENTIFY_USER_OUTGOING", None, FUNCTION)
    """`(request, response)` → the user's id. Without one, the user is that of the request being served."""
    identify_company: Hook | None = setting("IDENTIFY_COMPANY_OUTGOING", None, FUNCTION)
    """`(request, response)` → the company's id; else that of the request being served."""
    get_metadata: Hook | None = setting("GET_METADATA_OUTGOING", None, FUNCTION)
    """`(request, response)` → a dict, stored with the event."""
    get_session_token: Hook | None = setting("GET_SESSION_TOKEN_OUTGOING", None, FUNCTION)
    """`(request, response)` → the session's token; else that of the request being served."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one middleware."""

    delivery: DeliverySettings
    interpretation: InterpretationSettings
    capture: CaptureSettings
    hooks: HookSettings
    masks: MaskSettings
    queue: QueueSettings
    shipper: ShipperSettings
    outgoing: OutgoingSettings
    warnings: tuple[str, ...] = ()
    """What the user should know, though it is no fault: one line for each key that has no effect."""

    @classmethod
    def load(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Settings from the user's dict and, for keys that it does not hold, from ``MOESIF_<KEY>``.

        Raises SettingsError with every fault.
        """
        if not isinstance(settings, Mapping):
            raise SettingsError([f"settings: expected a dict, got {type(settings).__name__}"])
        values, faults = _parse(settings, environ)
        faults += _check(values)
        warnings = tuple(_keys_without_effect(settings))
        if faults:
            raise SettingsError([*faults, *warnings])
        sections = {
            name: section(**{f.name: values[entry_of(f).key] for f in fields(section)})
            for name, section in SECTIONS.items()
        }
        return cls(**sections, warnings=warnings)

    def event_settings(self) -> EventSettings:
        """What travels in each record of these settings."""
        return EventSettings(*(getattr(self.interpretation, name) for name in EventSettings._fields))

    def application(self) -> Application:
        """What HELLO carries of these settings."""
        application = Application(**{f.name: getattr(self.delivery, f.name) for f in fields(Application)})
        if self.shipper.offline_file is None:
            return application
        return replace(application, base_uri=Path(self.shipper.offline_file).absolute().as_uri())


SECTIONS: dict[str, Any] = {
    name: section for name, section in Settings.__annotations__.items() if name != "warnings"
}
"""The sections of Settings, by the name of their field."""
ENTRIES = {entry_of(f).key: entry_of(f) for section in SECTIONS.values() for f in fields(section)}
"""Every key that the dict may hold."""


def _parse(settings: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    faults: list[str] = []
    for key, entry in ENTRIES.items():
        default = values.get(entry.follows, entry.default) if entry.follows else entry.default
        try:
            values[key] = entry.value(settings, environ, default)
        except Fault as fault:
            faults.append(str(fault))
    return values, faults


def _check(values: Mapping[str, Any]) -> Iterator[str]:
    """Faults of values that are right each, but not together. A key that did not parse is not there."""
    queue_bytes, body_bytes = values.get("EVENT_QUEUE_BYTES"), values.get("MAX_BODY_SIZE")
    if queue_bytes is not None and body_bytes is not None and queue_bytes < 2 * body_bytes:
        yield (
            f"EVENT_QUEUE_BYTES: expected room for two bodies of MAX_BODY_SIZE ({2 * body_bytes:_}),"
            f" got {queue_bytes:_}"
        )
    transport = values.get("TRANSPORT")
    if values.get("SHIPPER") is not None and transport in (Transport.UNIX, Transport.MEMORY):
        yield f"SHIPPER: expected only with TRANSPORT 'auto' or 'queue', got it with '{transport}'"
    if values.get("OFFLINE_FILE") is not None and transport not in (Transport.AUTO, None):
        yield f"OFFLINE_FILE: expected only with TRANSPORT 'auto', got it with '{transport}'"


def _keys_without_effect(keys: Iterable[object]) -> Iterator[str]:
    for key in keys:
        if key in RETIRED:
            yield f"{key} has no effect: {RETIRED[str(key)]}"
        elif key not in ENTRIES:
            yield f"unknown setting {reprlib.repr(key)} has no effect{nearest(str(key).upper(), ENTRIES)}"
