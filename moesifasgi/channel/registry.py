"""The channels of this process: one for each shipper, shared by all middlewares that name the same one."""

import atexit
import threading
from pathlib import Path

from moesifasgi.channel import Channel
from moesifasgi.channel.dial import AutoDialer, EmbeddedDialer, PathDialer, StateDirectory
from moesifasgi.channel.launcher import ShipperOptions
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.errors import SettingsError
from moesifasgi.quiet import say
from moesifasgi.settings import Settings, ShipperSettings, Transport

_lock = threading.Lock()
_channels: dict[tuple[str, ...], Channel] = {}


def channel_for(settings: Settings) -> Channel:
    """The channel that these settings name. The first middleware's bounds and options count for all.

    SettingsError for what this version cannot obey.
    """
    if faults := settings.unavailable():
        raise SettingsError(faults)
    shipper = settings.shipper
    if shipper.transport is Transport.QUEUE:
        raise SettingsError(["TRANSPORT: 'queue' is not available yet; expected 'auto' or 'unix'"])
    # A file is written by the user's own shipper alone, whether a standalone one listens or not.
    target = "" if shipper.offline_file else shipper.socket
    key = (shipper.transport, target, shipper.spool_dir or "")
    with _lock:
        if key not in _channels:
            channel = _channels[key] = _made(settings)
            if isinstance(channel, UnixChannel):
                atexit.register(_leave, channel, settings.queue.shutdown_timeout_s)
        return _channels[key]


def channels() -> list[Channel]:
    """All channels of this process."""
    with _lock:
        return list(_channels.values())


def _leave(channel: Channel, timeout_s: float) -> None:
    """The exit hook, for scripts. A worker has drained at the end of its lifespan, or was killed."""
    drained = channel.drain(timeout_s, give_up=True)
    channel.close()
    if not drained.delivered:
        say("not drained", "at exit not all events were delivered: %s", drained.reason)


def _made(settings: Settings) -> Channel:
    shipper, queue = settings.shipper, settings.queue
    if shipper.transport is Transport.MEMORY:
        return MemoryChannel(queue.max_events, queue.max_bytes)
    state = StateDirectory(shipper.spool_dir)
    standalone = PathDialer(Path(shipper.socket), state)
    if shipper.transport is Transport.UNIX:
        return UnixChannel(standalone, queue.max_events, queue.max_bytes)
    embedded = EmbeddedDialer(state, _options(shipper, debug=settings.capture.debug))
    if shipper.offline_file:
        return UnixChannel(embedded, queue.max_events, queue.max_bytes)
    return UnixChannel(AutoDialer(standalone, embedded), queue.max_events, queue.max_bytes)


def _options(shipper: ShipperSettings, *, debug: bool) -> ShipperOptions:
    return ShipperOptions(
        linger_s=shipper.linger_s,
        durability=shipper.durability,
        spool_max_bytes=shipper.spool_max_bytes,
        spool_min_free_bytes=shipper.spool_min_free_bytes,
        debug=debug,
    )
