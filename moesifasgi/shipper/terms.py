"""On what terms a shipper serves, as far as they can change while it runs."""

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from moesifasgi.shipper.configuration.values import ApplicationSection, Configuration, Unknown
from moesifasgi.shipper.gate import Pace
from moesifasgi.shipper.overrides import Overrides
from moesifasgi.shipper.receiver.admission import ROOT, Admission
from moesifasgi.shipper.spool import Limits
from moesifasgi.wire.application import Application

_FOR_ALL = ("base_uri", "http_proxy", "ca_bundle")
_APPLICATION_FIELDS = frozenset(f.name for f in fields(Application)) - {"application_id"}


def _own_admission() -> Admission:
    return Admission(frozenset({os.geteuid(), ROOT}))


@dataclass(frozen=True, slots=True)
class Terms:
    """A reload brings new ones. Sizes in bytes, times in seconds. The defaults are an embedded shipper's."""

    admission: Admission = field(default_factory=_own_admission)
    overrides: Overrides = field(default_factory=Overrides)
    limits: Limits = field(default_factory=Limits)
    socket_mode: int = 0o600
    socket_gid: int | None = None
    drain_s: float = 10.0
    """How long a stopping shipper goes on delivering."""
    log_level: str | None = None
    """None: as it is."""

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        """A standalone shipper's."""
        users, groups = configuration.allowed_users, configuration.allowed_groups
        return cls(
            admission=replace(_own_admission(), uids=frozenset(users), gids=frozenset(groups)),
            overrides=_overrides(configuration),
            limits=Limits(
                max_bytes=configuration.spool_max_bytes,
                min_free_bytes=configuration.spool_min_free_bytes,
                quotas={
                    application_id: section.spool_max_bytes
                    for application_id, section in _by_id(configuration).items()
                    if section.spool_max_bytes is not None
                },
            ),
            socket_mode=configuration.socket_mode,
            socket_gid=configuration.socket_group,
            drain_s=configuration.drain_timeout_s,
            log_level=configuration.log_level.upper(),
        )


def _overrides(configuration: Configuration) -> Overrides:
    sections = _by_id(configuration)
    return Overrides(
        of_all=_given(configuration, _FOR_ALL),
        own={each: _given(section, _APPLICATION_FIELDS) for each, section in sections.items()},
        paces={
            each: Pace(probe_s=section.probe_interval_s)
            for each, section in sections.items()
            if section.probe_interval_s is not None
        },
        refuse_others=configuration.unknown_applications is Unknown.REFUSE,
    )


def _by_id(configuration: Configuration) -> dict[str, ApplicationSection]:
    return {each.application_id: each for each in configuration.applications if each.application_id}


def _given(section: object, names: "frozenset[str] | tuple[str, ...]") -> dict[str, Any]:
    """Those of the named fields that were set."""
    values = {name: getattr(section, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
