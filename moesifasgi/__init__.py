"""Moesif API analytics for ASGI applications, shipped from a process of its own.

Names are loaded on first use, so that ``import moesifasgi`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moesifasgi.api import (
        flush,
        send_action,
        send_actions_batch,
        stats,
        update_companies_batch,
        update_company,
        update_subscription,
        update_subscriptions_batch,
        update_user,
        update_users_batch,
    )
    from moesifasgi.channel.started import ShipperHandle, start_shipper
    from moesifasgi.errors import MoesifError, SettingsError
    from moesifasgi.middleware import MoesifMiddleware
    from moesifasgi.version import VERSION as __version__

_HOMES = {
    "MoesifMiddleware": "middleware",
    "MoesifError": "errors",
    "SettingsError": "errors",
    "ShipperHandle": "channel.started",
    "flush": "api",
    "send_action": "api",
    "send_actions_batch": "api",
    "start_shipper": "channel.started",
    "stats": "api",
    "update_companies_batch": "api",
    "update_company": "api",
    "update_subscription": "api",
    "update_subscriptions_batch": "api",
    "update_user": "api",
    "update_users_batch": "api",
}

__all__ = [
    "MoesifError",
    "MoesifMiddleware",
    "SettingsError",
    "ShipperHandle",
    "__version__",
    "flush",
    "send_action",
    "send_actions_batch",
    "start_shipper",
    "stats",
    "update_companies_batch",
    "update_company",
    "update_subscription",
    "update_subscriptions_batch",
    "update_user",
    "update_users_batch",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("moesifasgi.version").VERSION
    if name not in _HOMES:
        raise AttributeError(f"module 'moesifasgi' has no attribute {name!r}")
    value = getattr(import_module(f"moesifasgi.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
