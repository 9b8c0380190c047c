"""Which client libraries are patched, when, and to whose recorder their calls go.

A library is patched once a process, when the application has imported it: at once if that was before, else
right after. A call belongs to the middleware that serves the request in whose course it is made; without one,
to the first that was made with CAPTURE_OUTGOING_REQUESTS. A forked child goes on with what its parent had.
"""

import atexit
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from wrapt import register_post_import_hook

from moesifasgi.enforcement.in_force import PolicyInForce
from moesifasgi.outgoing.call import OutgoingCall, Sent
from moesifasgi.outgoing.dropped import record_dropped
from moesifasgi.outgoing.outgoing_recorder import OutgoingRecorder, within_functions
from moesifasgi.outgoing.patches import Patches
from moesifasgi.outgoing.serving import serving_now
from moesifasgi.quiet import say
from moesifasgi.recorder import Recorder, collectors
from moesifasgi.settings import Settings

T = TypeVar("T")

LIBRARIES = {
    "requests": "requests_calls",
    "httpx": "httpx_calls",
    "httpx2": "httpx_calls",
    "aiohttp": "aiohttp_calls",
    "urllib3": "urllib3_calls",
}
"""Our file for each module that an application may import."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Library(Protocol):
    """What a ``*_calls`` file has."""

    def patch(self, module: ModuleType, patches: Patches) -> None:
        """Wrap what makes calls in the library's module. May raise where it is not built as we know it."""


class _Capture:
    """What of this process is patched, and for whom."""

    def __init__(self) -> None:
        self.first: OutgoingRecorder | None = None
        """The others are their middlewares' alone, and go with them."""
        self.patches: Patches | None = None


_capture = _Capture()
_END = object()
_below: ContextVar[bool] = ContextVar("moesifasgi_below", default=False)


def start(settings: Settings, recorder: Recorder, in_force: PolicyInForce) -> OutgoingRecorder:
    """Record outgoing calls from now on, for one more middleware."""
    made = OutgoingRecorder(settings, recorder, in_force)
    if _capture.first is None:
        _capture.first = made
    if _capture.patches is None:
        patches = _capture.patches = Patches()
        atexit.register(record_dropped)
        for name, file in LIBRARIES.items():
            _wait_for_import(name)
            register_post_import_hook(partial(_patch, patches, file), name)
    return made


def stop() -> None:
    """Record no outgoing calls any more, and leave the libraries as they were. For tests, mostly."""
    if _capture.patches is not None:
        _capture.patches.undo()
        _capture.patches = None
    _capture.first = None


def begin(describe: Callable[..., Sent], *arguments: object) -> OutgoingCall | None:
    """A call goes out, as ``describe(*arguments)`` says; None if it is not recorded. Never raises."""
    first = _capture.first
    if within_functions.get() or _below.get() or first is None:
        return None
    record_dropped()
    serving = serving_now()
    owner = first if serving is None else serving.owner
    try:
        sent = describe(*arguments)
        return None if _goes_to_a_collector(sent) else owner.begin(sent, serving)
    except Exception as error:  # noqa: BLE001  (the application's call goes on)
        owner.lost(error)
        return None


def below(function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
    """Call a library's function. What it does by means of another library is not recorded again."""
    if _below.get():
        return function(*args, **kwargs)
    token = _below.set(True)
    try:
        return function(*args, **kwargs)
    finally:
        _below.reset(token)


def above(function: Callable[..., T], *args: Any) -> T:
    """Within a library's function, call what is the application's own: the calls that it makes are calls."""
    if not _below.get():
        return function(*args)
    token = _below.set(False)
    try:
        return function(*args)
    finally:
        _below.reset(token)


def parts_above(parts: Iterable[T]) -> Iterator[T]:
    """The parts of the application's own body, each made as ``above`` says."""
    own = above(iter, parts)
    while (part := above(next, own, _END)) is not _END:
        yield cast(T, part)


def _wait_for_import(name: str) -> None:
    """Where another thread is just importing the library, there is not all of it to patch yet."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if getattr(spec, "_initializing", False):
        # That thread holds the module's lock; should it fail, the application is told there.
        with suppress(Exception):
            import_module(name)


def _patch(patches: Patches, file: str, module: ModuleType) -> None:
    if patches is not _capture.patches:
        return  # It was undone before the library was imported.
    try:
        cast(Library, import_module(f"moesifasgi.outgoing.{file}")).patch(module, patches)
    except Exception as error:  # noqa: BLE001  (the application's import goes on)
        say(
            f"no calls of {module.__name__}",
            "calls made with this version of %s are not recorded (%s)",
            module.__name__,
            type(error).__name__,
        )


def _goes_to_a_collector(sent: Sent) -> bool:
    port = sent.port or _DEFAULT_PORTS.get(sent.scheme)
    return any(_is_below(base_uri, sent.host, port, sent.target) for base_uri in collectors())


def _is_below(base_uri: str, host: str, port: int | None, target: bytes) -> bool:
    base = urlsplit(base_uri)
    if base.hostname != host.lower() or (base.port or _DEFAULT_PORTS[base.scheme]) != port:
        return False
    path, root = target.partition(b"?")[0], base.path.rstrip("/").encode()
    return path == root or path.startswith(root + b"/")
