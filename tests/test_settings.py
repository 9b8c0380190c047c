"""The user's dict: what is accepted, what is refused and how that is said, and what README has to show."""

import math
import re
from dataclasses import MISSING, FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from moesifasgi.errors import MoesifError, SettingsError
from moesifasgi.setting import ENVIRONMENT_PREFIX
from moesifasgi.settings import (
    ENTRIES,
    SECTIONS,
    DeliverySettings,
    SamplingOrder,
    Settings,
    Transport,
)
from moesifasgi.settings_table import markdown_table
from moesifasgi.shared_shapes import Durability
from moesifasgi.wire.application import Application

README = Path(__file__).parent.parent / "README.md"
README_MARKER = "<!-- settings -->"
KEYS = re.findall(
    "[A-Z_]+",
    """
    APPLICATION_ID SKIP IDENTIFY_USER IDENTIFY_COMPANY GET_METADATA GET_SESSION_TOKEN MASK_EVENT_MODEL DEBUG
    LOG_BODY BATCH_SIZE EVENT_BATCH_TIMEOUT EVENT_QUEUE_SIZE AUTHORIZATION_HEADER_NAME BASE_URI API_VERSION
    AUTHORIZATION_USER_ID_FIELD CAPTURE_OUTGOING_REQUESTS GET_METADATA_OUTGOING SKIP_OUTGOING
    IDENTIFY_USER_OUTGOING IDENTIFY_COMPANY_OUTGOING GET_SESSION_TOKEN_OUTGOING LOG_BODY_OUTGOING
    DISABLED_TRANSACTION_ID EVENT_WORKER_COUNT

    TRANSPORT SHIPPER_SOCKET SHIPPER_LINGER DURABILITY SHIPPER SPOOL_DIR SPOOL_MAX_BYTES SPOOL_MIN_FREE_BYTES
    EVENT_QUEUE_BYTES MAX_BODY_SIZE LOG_REQUEST_BODY LOG_RESPONSE_BODY REQUEST_HEADER_MASKS
    RESPONSE_HEADER_MASKS REQUEST_BODY_MASKS RESPONSE_BODY_MASKS REQUEST_QUERY_MASKS TRUSTED_PROXIES
    HOOK_TIMEOUT SAMPLING SAMPLE_RATE EXCLUDE_METHODS EXCLUDE_PATHS LOG_CONTENT_TYPES OFFLINE_FILE
    USER_AGENT_SUFFIX HTTP_PROXY CA_BUNDLE SHUTDOWN_TIMEOUT
    """,
)
"""The published package's keys, then those of this one."""


def load(environ: dict[str, str] | None = None, /, **given: Any) -> Settings:
    return Settings.load({"APPLICATION_ID": "an-id", **given}, environ or {})


def faults_of(given: Any, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(given, environ or {})
    return caught.value.faults


def value_of(settings: Settings, key: str) -> Any:
    """What became of a key, wherever it is kept."""
    for name, section in SECTIONS.items():
        for field in fields(section):
            if field.metadata["entry"].key == key:
                return getattr(getattr(settings, name), field.name)
    raise KeyError(key)


def test_an_application_id_is_enough():
    settings = load()

    assert settings.delivery.application_id == "an-id"
    assert settings.warnings == ()


def test_every_key_of_the_interface_is_known_and_no_other():
    assert set(ENTRIES) == set(KEYS)


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("BASE_URI", "https://api.moesif.net"),
        ("BATCH_SIZE", None),
        ("EVENT_BATCH_TIMEOUT", 1),
        ("EVENT_QUEUE_SIZE", 1_000_000),
        ("EVENT_QUEUE_BYTES", 33_554_432),
        ("EVENT_WORKER_COUNT", 4),
        ("AUTHORIZATION_HEADER_NAME", ("authorization",)),
        ("AUTHORIZATION_USER_ID_FIELD", "sub"),
        ("LOG_BODY", True),
        ("LOG_BODY_OUTGOING", True),
        ("CAPTURE_OUTGOING_REQUESTS", False),
        ("DEBUG", False),
        ("TRANSPORT", Transport.AUTO),
        ("SHIPPER_SOCKET", "/run/moesif/shipper.sock"),
        ("SHIPPER_LINGER", 10),
        ("DURABILITY", Durability.NORMAL),
        ("SPOOL_MAX_BYTES", 1_073_741_824),
        ("SPOOL_MIN_FREE_BYTES", 268_435_456),
        ("MAX_BODY_SIZE", 100_000),
        ("TRUSTED_PROXIES", None),
        ("HOOK_TIMEOUT", 0.75),
        ("SAMPLING", SamplingOrder.DOCUMENTED),
        ("SAMPLE_RATE", 100),
        ("SHUTDOWN_TIMEOUT", 5),
    ],
)
def test_a_key_that_is_not_given_has_the_documented_default(key: str, default: object):
    assert value_of(load(), key) == default


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_every_default_fits_its_own_shape(entry: Any):
    if entry.default is not MISSING and entry.default is not None:
        assert entry.shape.parse(entry.default) == entry.default


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        ("BASE_URI", "http://localhost:9500/collector/", "http://localhost:9500/collector"),
        ("BASE_URI", "https://[::1]:8025", "https://[::1]:8025"),
        ("AUTHORIZATION_HEADER_NAME", "X-Api-Key, Authorization", ("x-api-key", "authorization")),
        ("AUTHORIZATION_HEADER_NAME", ["X-Api-Key"], ("x-api-key",)),
        ("REQUEST_HEADER_MASKS", ["Authorization", "Cookie"], ("authorization", "cookie")),
        ("REQUEST_BODY_MASKS", ("user.Password", "pin"), ("user.Password", "pin")),
        ("REQUEST_QUERY_MASKS", ["user[token]"], ("user[token]",)),
        ("EXCLUDE_METHODS", ["options"], ("OPTIONS",)),
        ("EXCLUDE_PATHS", ["/health*", "*.ico"], ("/health*", "*.ico")),
        ("LOG_CONTENT_TYPES", ["Application/JSON", "text/*"], ("application/json", "text/*")),
        ("EVENT_BATCH_TIMEOUT", 2, 2.0),
        ("SAMPLE_RATE", 0, 0.0),
        ("SHUTDOWN_TIMEOUT", 0, 0.0),
        ("TRANSPORT", "queue", Transport.QUEUE),
        ("TRANSPORT", Transport.UNIX, Transport.UNIX),
        ("DURABILITY", "full", Durability.FULL),
        ("SAMPLING", "first-match", SamplingOrder.FIRST_MATCH),
        ("SPOOL_DIR", Path("/var/lib/moesif"), "/var/lib/moesif"),
        ("OFFLINE_FILE", "events.ndjson", "events.ndjson"),
        ("HTTP_PROXY", "http://user:pw@proxy:3128", "http://user:pw@proxy:3128"),
    ],
)
def test_a_value_is_kept_in_one_form(key: str, given: object, kept: object):
    assert value_of(load(**{key: given}), key) == kept


def test_trusted_proxies_are_networks_and_an_empty_list_believes_nobody():
    """A16: a forwarding header is believed only from where the user says so."""
    settings = load(TRUSTED_PROXIES=["10.0.0.0/8", "192.168.1.7/24", "2001:db8::1"])
    assert settings.interpretation.trusted_proxies == (
        "10.0.0.0/8",
        "192.168.1.0/24",
        "2001:db8::1/128",
    )
    assert load(TRUSTED_PROXIES=[]).interpretation.trusted_proxies == ()


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("APPLICATION_ID", ""),
        ("APPLICATION_ID", "an id"),
        ("APPLICATION_ID", "id\r\nX-Evil: 1"),
        ("APPLICATION_ID", b"an-id"),
        ("BASE_URI", "api.moesif.net"),
        ("BASE_URI", "ftp://api.moesif.net"),
        ("BASE_URI", "https://"),
        ("BASE_URI", "https://host:port"),
        ("BASE_URI", "https://host:70000"),
        ("BASE_URI", "https://host/?a=1"),
        ("BASE_URI", "https://ho st"),
        ("BASE_URI", "https://host\n/v1"),
        ("BASE_URI", "https://[::1"),
        ("BATCH_SIZE", 0),
        ("BATCH_SIZE", "25"),
        ("BATCH_SIZE", 25.0),
        ("BATCH_SIZE", True),
        ("EVENT_QUEUE_SIZE", -1),
        ("EVENT_BATCH_TIMEOUT", 0),
        ("EVENT_BATCH_TIMEOUT", True),
        ("EVENT_BATCH_TIMEOUT", math.nan),
        ("EVENT_BATCH_TIMEOUT", math.inf),
        ("HOOK_TIMEOUT", "0.75"),
        ("SAMPLE_RATE", 101),
        ("LOG_BODY", 1),
        ("LOG_BODY", "true"),
        ("SKIP", "not a function"),
        ("SKIP_OUTGOING", 3),
        ("API_VERSION", 2),
        ("AUTHORIZATION_HEADER_NAME", ""),
        ("AUTHORIZATION_HEADER_NAME", "X Api Key"),
        ("AUTHORIZATION_HEADER_NAME", 7),
        ("AUTHORIZATION_USER_ID_FIELD", "user..id"),
        ("REQUEST_HEADER_MASKS", "authorization"),
        ("REQUEST_HEADER_MASKS", [b"authorization"]),
        ("REQUEST_BODY_MASKS", ["user."]),
        ("REQUEST_QUERY_MASKS", [""]),
        ("EXCLUDE_PATHS", ["health"]),
        ("LOG_CONTENT_TYPES", ["json"]),
        ("TRUSTED_PROXIES", ["10.0.0.0/33"]),
        ("TRUSTED_PROXIES", [167772160]),
        ("TRANSPORT", "datagram"),
        ("TRANSPORT", ["unix"]),
        ("DURABILITY", "none"),
        ("SAMPLING", "first"),
        ("SHIPPER_SOCKET", "shipper.sock"),
        ("SHIPPER_SOCKET", "/" + "x" * 107),
        ("SHIPPER_SOCKET", "/run/\0"),
        ("SPOOL_DIR", "~/spool"),
        ("SPOOL_DIR", 3),
        ("CA_BUNDLE", b"/etc/ca.pem"),
        ("SHIPPER_LINGER", 21),
        ("USER_AGENT_SUFFIX", "a\nb"),
    ],
)
def test_a_wrong_value_is_one_fault_that_names_its_key(key: str, wrong: object):
    (fault,) = faults_of({"APPLICATION_ID": "an-id", key: wrong})

    assert fault.startswith(f"{key}: expected ")
    assert ", got " in fault


def test_every_fault_is_listed_at_once():
    given = {"BATCH_SIZE": "many", "LOG_BODY": 1, "SKIPP": print}

    with pytest.raises(SettingsError) as caught:
        Settings.load(given, {"MOESIF_SAMPLE_RATE": "half"})

    assert str(caught.value).splitlines() == [
        "wrong settings for Moesif:",
        "  - APPLICATION_ID: expected the Collector Application Id, without spaces, got nothing",
        "  - BATCH_SIZE: expected a whole number from 1 to 10_000, got 'many' (str)",
        "  - LOG_BODY: expected True or False, got 1 (int)",
        "  - MOESIF_SAMPLE_RATE (environment): expected a percentage from 0 to 100, got 'half' (str)",
        "  - unknown setting 'SKIPP' has no effect; did you mean SKIP?",
    ]


@pytest.mark.parametrize("given", [None, "APPLICATION_ID", ["APPLICATION_ID"], 3])
def test_settings_that_are_no_dict_are_refused(given: object):
    (fault,) = faults_of(given)

    assert fault == f"settings: expected a dict, got {type(given).__name__}"


def test_a_settings_error_is_a_value_error_and_one_of_ours():
    with pytest.raises(ValueError) as caught:
        Settings.load({}, {})

    assert isinstance(caught.value, MoesifError)


@pytest.mark.parametrize(
    ("key", "wrong", "secret"),
    [
        ("APPLICATION_ID", "very secret id", "secret"),
        ("HTTP_PROXY", "socks9://proxy/very-secret", "secret"),
        ("BASE_URI", "ftp://user:very-secret@host", "secret"),
        ("BASE_URI", "ftp://u:secret@" + "x" * 100, "u:secr"),
        ("AUTHORIZATION_HEADER_NAME", ["user:secret@"], "secret"),
        ("USER_AGENT_SUFFIX", "x" * 1000 + "\n", "x" * 40),
    ],
)
def test_a_message_shows_no_secret_and_no_long_value(key: str, wrong: str, secret: str):
    (fault,) = faults_of({"APPLICATION_ID": "an-id", key: wrong})

    assert secret not in fault


def test_settings_never_show_their_secrets():
    settings = load(HTTP_PROXY="http://user:hunter2@proxy:3128", APPLICATION_ID="very-secret-id")

    assert "hunter2" not in repr(settings)
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in repr(settings.application())


def test_the_environment_fills_in_what_the_dict_does_not_hold():
    environ = {
        "MOESIF_APPLICATION_ID": "from-outside",
        "MOESIF_BASE_URI": "http://proxy:9500/",
        "MOESIF_BATCH_SIZE": "50",
        "MOESIF_HOOK_TIMEOUT": "0.5",
        "MOESIF_LOG_BODY": "False",
        "MOESIF_DEBUG": "1",
        "MOESIF_REQUEST_HEADER_MASKS": "Cookie, X-Api-Key,",
        "MOESIF_SHIPPER_SOCKET": "/tmp/s.sock",
        "MOESIF_DURABILITY": "full",
        "MOESIF_TRUSTED_PROXIES": "10.0.0.1",
    }

    settings = Settings.load({}, environ)

    assert settings.delivery.application_id == "from-outside"
    assert settings.delivery.base_uri == "http://proxy:9500"
    assert settings.delivery.batch_size == 50
    assert settings.interpretation.trusted_proxies == ("10.0.0.1/32",)
    assert settings.hooks.timeout_s == 0.5
    assert settings.capture.log_body is False
    assert settings.capture.debug is True
    assert settings.masks.request_headers == ("cookie", "x-api-key")
    assert settings.shipper.socket == "/tmp/s.sock"
    assert settings.shipper.durability is Durability.FULL


def test_the_dict_wins_over_the_environment():
    assert load({"MOESIF_BATCH_SIZE": "50"}, BATCH_SIZE=10).delivery.batch_size == 10


def test_none_and_an_empty_variable_count_as_not_given():
    settings = load(
        {"MOESIF_BATCH_SIZE": "50", "MOESIF_BASE_URI": ""}, BATCH_SIZE=None, SKIP=None, BASE_URI=None
    )

    assert settings.delivery.batch_size == 50
    assert settings.hooks.skip is None
    assert settings.delivery.base_uri == "https://api.moesif.net"


@pytest.mark.parametrize("text", ["yes", "2", "on"])
def test_a_boolean_from_the_environment_is_true_false_1_or_0_only(text: str):
    (fault,) = faults_of({"APPLICATION_ID": "an-id"}, {"MOESIF_LOG_BODY": text})

    assert fault == f"MOESIF_LOG_BODY (environment): expected True or False, got {text!r} (str)"


def test_a_function_cannot_come_from_the_environment():
    environ = {ENVIRONMENT_PREFIX + key: "builtins.print" for key in ("SKIP", "MASK_EVENT_MODEL", "SHIPPER")}

    settings = load(environ)

    assert settings.hooks.skip is None
    assert settings.hooks.mask_event_model is None
    assert settings.shipper.handle is None


def test_the_two_body_switches_follow_log_body_unless_they_are_set():
    assert load(LOG_BODY=False).capture.log_request_body is False
    assert load(LOG_BODY=False).capture.log_response_body is False
    assert load(LOG_BODY=False, LOG_RESPONSE_BODY=True).capture.log_response_body is True
    assert load({"MOESIF_LOG_BODY": "0"}).capture.log_request_body is False


@pytest.mark.parametrize(
    ("key", "warning"),
    [
        ("SKIPP", "unknown setting 'SKIPP' has no effect; did you mean SKIP?"),
        ("log_body", "unknown setting 'log_body' has no effect; did you mean LOG_BODY?"),
        (
            "DISABLE_TRANSACTION_ID",
            "unknown setting 'DISABLE_TRANSACTION_ID' has no effect; did you mean DISABLED_",
        ),
        ("ZZZ", "unknown setting 'ZZZ' has no effect"),
        (7, "unknown setting 7 has no effect"),
    ],
)
def test_an_unknown_key_is_a_warning_that_names_the_nearest(key: object, warning: str):
    (given,) = Settings.load({"APPLICATION_ID": "an-id", key: 1}, {}).warnings

    assert given.startswith(warning)


def test_local_debug_is_accepted_and_does_not_change_where_events_go():
    """D6: in the published package this key rewrites the address of the whole process."""
    settings = load(LOCAL_DEBUG=True)

    assert settings.delivery.base_uri == "https://api.moesif.net"
    assert settings.warnings == (
        "LOCAL_DEBUG has no effect: set BASE_URI to the address of a local collector instead",
    )


def test_two_applications_in_one_process_do_not_share_settings():
    """B5: what one middleware is given never reaches the other."""
    first = load(BASE_URI="http://first").application()
    second = load(APPLICATION_ID="other-id").application()

    assert (first.application_id, first.base_uri) == ("an-id", "http://first")
    assert (second.application_id, second.base_uri) == ("other-id", "https://api.moesif.net")


def test_settings_cannot_be_changed_afterwards():
    given = {"APPLICATION_ID": "an-id", "REQUEST_BODY_MASKS": ["pin"]}
    settings = Settings.load(given, {})
    given["REQUEST_BODY_MASKS"].clear()  # type: ignore[attr-defined]  # the user's own list

    assert settings.masks.request_body == ("pin",)
    with pytest.raises(FrozenInstanceError):
        settings.delivery.base_uri = "http://elsewhere"  # type: ignore[misc]  # it is what must fail


def test_a_ring_that_cannot_hold_one_event_is_refused():
    (fault,) = faults_of({"APPLICATION_ID": "an-id", "EVENT_QUEUE_BYTES": 150_000})

    assert fault == "EVENT_QUEUE_BYTES: expected room for two bodies of MAX_BODY_SIZE (200_000), got 150_000"
    assert load(EVENT_QUEUE_BYTES=150_000, MAX_BODY_SIZE=75_000).queue.max_bytes == 150_000


@pytest.mark.parametrize("transport", ["unix", "memory"])
def test_the_handle_of_a_queue_with_another_transport_is_refused(transport: str):
    (fault,) = faults_of({"APPLICATION_ID": "an-id", "SHIPPER": object(), "TRANSPORT": transport})

    assert fault.startswith("SHIPPER: expected only with TRANSPORT 'auto' or 'queue'")
    handle = object()
    assert load(SHIPPER=handle, TRANSPORT="queue").shipper.handle is handle


def test_what_hello_carries_is_all_of_the_delivery_settings():
    assert [field.name for field in fields(Application)] == [field.name for field in fields(DeliverySettings)]
    assert load().application() == Application("an-id")

    settings = load(
        BATCH_SIZE=7, AUTHORIZATION_HEADER_NAME="A,B", TRUSTED_PROXIES=["10.0.0.0/8"], CA_BUNDLE="/ca"
    )
    application = settings.application()

    assert application.batch_size == 7
    assert Application.from_wire(application.to_wire()) == application


def undocumented(text: str) -> set[str]:
    """Keys without a row of their own in a Markdown table."""
    rows = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")}
    return {key for key in ENTRIES if f"`{key}`" not in rows}


@pytest.fixture(scope="module")
def table() -> str:
    return markdown_table()


def test_the_table_has_a_row_with_default_and_meaning_for_every_key(table: str):
    assert undocumented(table) == set()
    assert undocumented(table.replace("| `SKIP` |", "| |")) == {"SKIP"}
    for row in table.splitlines():
        _, key, default, meaning, _ = row.split("|")
        assert key.strip()
        assert default.strip()
        assert meaning.strip()


@pytest.mark.parametrize(
    "row",
    [
        "| `APPLICATION_ID` | required | ",
        "| `BATCH_SIZE` | 25 | ",
        "| `EVENT_QUEUE_SIZE` | `1_000_000` | ",
        "| `EVENT_QUEUE_BYTES` | 32 MiB | ",
        "| `LOG_REQUEST_BODY` | `LOG_BODY` | ",
        "| `TRANSPORT` | `auto` | ",
        "| `EXCLUDE_PATHS` | `[]` | ",
        "| `AUTHORIZATION_HEADER_NAME` | `authorization` | ",
        "| `SKIP` | `None` | ",
    ],
)
def test_the_table_shows_defaults_as_a_reader_would_write_them(table: str, row: str):
    assert any(line.startswith(row) for line in table.splitlines())


def test_readme_documents_every_setting():
    """README says with a marker where its table of settings starts."""
    _before, marker, after = README.read_text("utf-8").partition(README_MARKER)

    assert not marker or undocumented(after) == set(), "run scripts/readme.py again"
