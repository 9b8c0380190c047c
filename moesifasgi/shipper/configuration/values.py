"""Every key of the configuration, once: its default, its shape and its meaning. Times are in seconds.

The fields of ``ApplicationSection`` that are named like those of ``wire.application.Application`` win over
what a worker says of its application.
"""

import os
import re
from dataclasses import dataclass
from enum import StrEnum

from moesifasgi.shapes import (
    ABSOLUTE_PATH,
    APPLICATION_ID,
    TEXT,
    URL,
    Shape,
    is_absolute_path,
    is_path,
    is_word,
    list_of,
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
from moesifasgi.shipper.configuration.accounts import group_id, user_id
from moesifasgi.shipper.configuration.key import key
from moesifasgi.shipper.liveness import STANDSTILL_S
from moesifasgi.shipper.monitor_address import EXPECTED, MonitorAddress, is_monitor_address, parse_address

DEFAULT_FILE = "/etc/moesif/shipper.toml"
DEFAULT_SOCKET = "/run/moesif/shipper.sock"
DEFAULT_SPOOL_DIR = "/var/lib/moesif"

_MODE = re.compile(r"0?[0-7]{3}")


class Unknown(StrEnum):
    """What becomes of an application that the configuration does not name."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def is_file_or_credential(given: object) -> bool:
    return is_absolute_path(given) or (is_word(given) and "/" not in str(given) and given not in (".", ".."))


_PLACE = Shape("a path", is_path, os.path.abspath, str)
_ACCOUNT = "by name or number"
_USERS = list_of(Shape(f"users of this system, {_ACCOUNT}", lambda given: True, user_id))
_GROUPS = list_of(Shape(f"groups of this system, {_ACCOUNT}", lambda given: True, group_id))
_GROUP = Shape(f"a group of this system, {_ACCOUNT}", lambda given: True, group_id, str)
_FILE_MODE = Shape(
    "a mode in quotes, such as '0660'",
    lambda given: isinstance(given, str) and _MODE.fullmatch(given) is not None,
    lambda given: int(given, 8),
    str,
)
_CREDENTIAL = Shape("an absolute path, or the name of a systemd credential", is_file_or_credential, str)
_MONITOR_ADDRESS = Shape(EXPECTED, is_monitor_address, parse_address, str)
_PROBE = number(1, 86_400)


@dataclass(frozen=True, slots=True)
class ApplicationSection:
    """One ``[[application]]``: what holds for this application, whatever its workers say."""

    application_id: str | None = key(
        "id",
        None,
        APPLICATION_ID,
        "The Collector Application Id that Moesif shows under API Keys. It is a secret: keep this file closed"
        " to others, or use id_file.",
        example='"YOUR_APPLICATION_ID"',
        secret=True,
    )
    id_file: str | None = key(
        "id_file",
        None,
        _CREDENTIAL,
        "A file that holds nothing but the id, in place of id; a name without a slash is one of"
        " $CREDENTIALS_DIRECTORY (systemd's LoadCredential).",
        example='"/etc/moesif/shop.id"',
    )
    base_uri: str | None = key(
        "base_uri",
        None,
        URL,
        "Where its events go: Moesif, or a Secure Proxy, whose URL may carry a path.",
        example='"https://api.moesif.net"',
    )
    batch_size: int | None = key("batch_size", None, BATCH_SIZE, "Most events in one upload.", example="25")
    batch_timeout_s: float | None = key(
        "batch_timeout",
        None,
        BATCH_TIMEOUT,
        "Longest time in seconds that an event waits for its batch to fill.",
        example="1.0",
    )
    concurrent_uploads: int | None = key(
        "concurrent_uploads",
        None,
        CONCURRENT_UPLOADS,
        "Uploads of its events that may be under way at once.",
        example="4",
    )
    user_agent_suffix: str | None = key(
        "user_agent_suffix", None, TEXT, "Added to the uploads' User-Agent.", example='"shop"'
    )
    http_proxy: str | None = key(
        "http_proxy",
        None,
        URL,
        "Proxy for its uploads; the URL may carry user and password.",
        example='"http://proxy.example:3128"',
        secret=True,
    )
    ca_bundle: str | None = key(
        "ca_bundle",
        None,
        ABSOLUTE_PATH,
        "File of certificates that its uploads trust instead of the usual ones.",
        example='"/etc/ssl/certs/ca-certificates.crt"',
    )
    spool_max_bytes: int | None = key(
        "spool_max_bytes",
        None,
        SPOOL_BYTES,
        "Its part of the spool in bytes, beside the share that leaves room for the others; at this bound its"
        " new events are dropped and counted as quota_full.",
        example="268435456",
    )
    probe_interval_s: float | None = key(
        "probe_interval",
        None,
        _PROBE,
        "Seconds between two probes while the collector takes nothing from it (parked): 401, 402, 403, 404,"
        " 407, 410, or a refusal of whatever is uploaded.",
        example="60.0",
    )


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a standalone shipper is told."""

    socket: str = key(
        "socket",
        DEFAULT_SOCKET,
        _PLACE,
        "The Unix socket that workers and tools connect to.",
        example=f'"{DEFAULT_SOCKET}"',
        live=False,
    )
    socket_mode: int = key(
        "socket_mode",
        0o600,
        _FILE_MODE,
        'Who can reach the socket at all. With workers of other users: "0660" and socket_group.',
        example='"0600"',
    )
    socket_group: int | None = key(
        "socket_group",
        None,
        _GROUP,
        "The group that the socket belongs to, by name or number. Default: the shipper's own.",
        example='"moesif"',
    )
    allowed_users: tuple[int, ...] = key(
        "allowed_users",
        (),
        _USERS,
        "Users, by name or number, that may send and ask for status, beside the shipper's own and root.",
        example='["www-data", 1001]',
    )
    allowed_groups: tuple[int, ...] = key(
        "allowed_groups",
        (),
        _GROUPS,
        "Groups, by name or number, whose members may do the same; primary and supplementary groups both"
        " count, as the kernel knows them of the process that connected.",
        example='["moesif"]',
    )
    unknown_applications: Unknown = key(
        "unknown_applications",
        Unknown.ACCEPT,
        one_of(Unknown),
        "What becomes of an application that no [[application]] names: accept, or refuse its workers, which"
        " then keep what their queues hold.",
        example='"accept"',
    )
    spool_dir: str = key(
        "spool_dir",
        DEFAULT_SPOOL_DIR,
        _PLACE,
        "The directory of the spool: closed to others, on a local disk, for this shipper alone.",
        example=f'"{DEFAULT_SPOOL_DIR}"',
        live=False,
    )
    spool_max_bytes: int = key(
        "spool_max_bytes",
        2**30,
        SPOOL_BYTES,
        "Bound of the spool in bytes; at this bound new events are dropped and counted as spool_full.",
        example="1073741824",
    )
    spool_min_free_bytes: int = key(
        "spool_min_free_bytes",
        256 * 2**20,
        FREE_BYTES,
        "The spool stops growing below this much free disk, in bytes.",
        example="268435456",
    )
    durability: Durability = key(
        "durability",
        Durability.FULL,
        one_of(Durability),
        "What an acknowledgement means: full, it survives a loss of power; normal, the death of every"
        " process.",
        example='"full"',
        live=False,
    )
    base_uri: str | None = key(
        "base_uri",
        None,
        URL,
        "Where events go, whatever the workers say. Default: what each worker says.",
        example='"https://api.moesif.net"',
    )
    http_proxy: str | None = key(
        "http_proxy",
        None,
        URL,
        "Proxy for all uploads, whatever the workers say; the URL may carry user and password.",
        example='"http://proxy.example:3128"',
        secret=True,
    )
    ca_bundle: str | None = key(
        "ca_bundle",
        None,
        ABSOLUTE_PATH,
        "File of certificates that all uploads trust instead of the usual ones, whatever the workers say.",
        example='"/etc/ssl/certs/ca-certificates.crt"',
    )
    drain_timeout_s: float = key(
        "drain_timeout",
        10.0,
        number(0, 3600),
        "Seconds that a stopping shipper goes on delivering; what is left stays in the spool.",
        example="10.0",
    )
    metrics: MonitorAddress | None = key(
        "metrics",
        None,
        _MONITOR_ADDRESS,
        "Where /metrics (Prometheus) and /healthz answer: a loopback address, or unix: and a path. Default:"
        " nowhere.",
        example='"127.0.0.1:9464"',
        live=False,
    )
    standstill_timeout_s: float = key(
        "standstill_timeout",
        STANDSTILL_S,
        number(1, 3600),
        "Seconds without the end of any attempt, though events are due, after which the shipper ends to be"
        " started afresh. An upload takes 30 at most: with less than 33 an outage is a standstill too.",
        example=f"{STANDSTILL_S}",
        live=False,
    )
    log_level: LogLevel = key(
        "log_level", LogLevel.INFO, one_of(LogLevel), "The least that is logged.", example='"info"'
    )
    applications: tuple[ApplicationSection, ...] = ()
    """Each ``[[application]]``, with its id, wherever that was."""
