"""The channels of this process: one for each shipper, shared by all middlewares that name the same one."""

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from moesifasgi.channel import Channel
from moesifasgi.channel.dial import AutoDialer, EmbeddedDialer, PathDialer, StateDirectory
from moesifasgi.channel.launcher import ShipperOptions
from moesifasgi.channel.memory import MemoryChannel
from moesifasgi.channel.unix import UnixChannel
from moesifasgi.errors import SettingsError
from moesifasgi.quiet import say
from moesifasgi.settings import Settings, ShipperSettings, Transport

if TYPE_CHECKING:
    from moesifasgi.channel.started import ShipperHandle

_lock = threading.Lock()
_channels: dict[tuple[object, ...], Channel] = {}


def channel_for(settings: Settings) -> Channel:
    """The channel that these settings name. The first middleware's bounds and options count for all.

    SettingsError where they name a shipper that was not started.
    """
    shipper = settings.shipper
    handle = _handle(shipper)
    # A file is written by the user's own shipper alone, whether a standalone one listens or not.
    target = "" if shipper.offline_file else shipper.socket
    key: tuple[object, ...] = (shipper.transport, target, shipper.spool_dir)
    if handle is not None:
        key = (Transport.QUEUE, handle.directory)
    with _lock:
        if key not in _channels:
            channel = _channels[key] = _made(settings, handle)
            if isinstance(channel, UnixChannel):
                atexit.register(_leave, channel, settings.queue.shutdown_timeout_s)
        return _channels[key]


def _start_afresh() -> None:
    """In a forked child: another thread of the parent may have been at it."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_start_afresh)


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


def _handle(shipper: ShipperSettings) -> "ShipperHandle | None":
    """The shipper that was started before; None where none is asked for."""
    if shipper.handle is None and shipper.transport is not Transport.QUEUE:
        return None
    # Loaded here: few start their shipper themselves.
    from moesifasgi.channel.started import ShipperHandle, inherited

    handle = shipper.handle if shipper.handle is not None else inherited()
    if isinstance(handle, ShipperHandle):
        return handle
    got = "nothing" if handle is None else type(handle).__name__
    raise SettingsError(
        [
            "SHIPPER: for TRANSPORT 'queue' expected what moesifasgi.start_shipper(settings) returned in the"
            f" process that forked this one, got {got}; see docs/transports.md"
        ]
    )


def _made(settings: Settings, handle: "ShipperHandle | None") -> Channel:
    shipper, queue = settings.shipper, settings.queue
    if handle is not None:
        return UnixChannel(handle.dialer(), queue.max_events, queue.max_bytes, handle)
    if shipper.transport is Transport.MEMORY:
        return MemoryChannel(queue.max_events, queue.max_bytes)
    options = shipper_options(settings)
    state = StateDirectory(shipper.spool_dir, options.left_bounds)
    standalone = PathDialer(Path(shipper.socket), state)
    if shipper.transport is Transport.UNIX:
        return UnixChannel(standalone, queue.max_events, queue.max_bytes)
    embedded = EmbeddedDialer(state, options)
    if shipper.offline_file:
        return UnixChannel(embedded, queue.max_events, queue.max_bytes)
    return UnixChannel(AutoDialer(standalone, embedded), queue.max_events, queue.max_bytes)


def shipper_options(settings: Settings) -> ShipperOptions:
    """How an embedded shipper is to behave, by these settings."""
    shipper = settings.shipper
    return ShipperOptions(
        linger_s=shipper.linger_s,
        durability=shipper.durability,
        spool_max_bytes=shipper.spool_max_bytes,
        spool_min_free_bytes=shipper.spool_min_free_bytes,
        debug=settings.capture.debug,
    )
