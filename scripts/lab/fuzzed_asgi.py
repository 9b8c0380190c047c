"""ASGI exchanges that no server and no application should make, each from a seed.

``fuzzed(seed)`` makes the same exchange each time, of fresh objects. Some are *plain*: hostile content, but
of the types that ASGI promises, as a client can bring them about on a real server. In the others a few values
are anything at all. ``driven_asgi`` lets them happen.
"""

import json
import random
import zlib
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]

BOMB = zlib.compress(bytes(3_000_000))
_NESTED: Any = None
for _ in range(300):
    _NESTED = [_NESTED]
_TEXTS = ("", "x", "é", "\ud800", "\x00", "a b\r\nc", "x" * 5_000, "/a/../b", "%zz", "evil", "::1%eth0", "-1")
_BYTES = (b"", b"x", b"\xff\xfe", b"a=1&a=2&=", b"%ff%zz", b"evil", b"y" * 5_000, b"1" * 5_000, b"Basic \xff")
_BODIES = (
    *(b"", b"{", b'{"a": NaN}', b'{"a": 1e999, "b": "\\ud800"}', b"[" * 5_000, b"[" * 200 + b"]" * 200),
    *(b"\xff\xfe{\x00}\x00", b"1" * 5_000, b"null", b' {"a":1}', b"a=1&a=2&%ff=%zz", b"\xef\xbb\xbf{}", BOMB),
    *(b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--", b"z" * 5_000, BOMB[:100]),
)
_HEADER_NAMES = (
    *(b"host", b"content-type", b"content-encoding", b"content-length", b"authorization", b"cookie", b""),
    *(b"x-forwarded-for", b"forwarded", b"x-client-ip", b"X-Odd", b"\xff", b"transfer-encoding", b"referer"),
    b"x-moesif-transaction-id",
)
_HEADER_VALUES = (
    *(b"application/json", b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded", b"gzip"),
    *(b"deflate", b"br, gzip, zstd", b"application/json; charset=utf-7", b'for="[::1]:x', b"evil, 1.2.3.4"),
    *(b"Bearer a.b.c", b"Bearer eyJzdWIiOiAiYW5uIn0", b"Basic YTpi", b"a b:c", b"[::1]:8000", *_BYTES),
)
START, BODY = "http.response.start", "http.response.body"
_KINDS = (
    *(START, BODY, "http.response.trailers", "http.response.pathsend", "http.response.zerocopysend"),
    *("http.request", "http.disconnect", "http.unheard-of", ""),
)


class Touchy:
    """Raises whenever it is looked at."""

    def _no(self, *_: object) -> Any:
        raise RuntimeError("not to be looked at")

    __bool__ = __len__ = __iter__ = __eq__ = __getitem__ = __str__ = _no  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Touchy()"


@dataclass(slots=True)
class Fuzzed:
    """What both ends do in one exchange."""

    scope: Message
    given: list[Any]
    """What the server's ``receive`` answers, in turn; then that the client has left."""
    steps: list[Any]
    """What the application does, in turn: awaits ``receive`` (None), raises (an exception), or sends."""
    plain: bool
    strict: bool
    """Whether the server refuses messages that are wrong, as uvicorn does."""
    leaves_after: int
    """After so many messages the server's ``send`` says that the client has left."""
    persists: bool
    """Whether the application goes on after an error of ``receive`` or ``send``."""


def fuzzed(seed: int) -> Fuzzed:
    """The exchange of this seed."""
    return _Fuzzer(random.Random(seed)).exchange()


class _Fuzzer:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._pick = rng.choice

    def exchange(self) -> Fuzzed:
        plain = self._likely(0.4)
        scope, given, steps = self._scope(), self._given(), self._steps()
        if not plain:
            self._break(scope, given, steps)
        return Fuzzed(
            scope=scope,
            given=given,
            steps=steps,
            plain=plain,
            strict=self._likely(0.5),
            leaves_after=self._pick((0, 1, 2, 99, 99, 99)),
            persists=self._likely(0.3),
        )

    def _likely(self, share: float) -> bool:
        return self._rng.random() < share

    def _scope(self) -> Message:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self._pick(("1.0", "1.1", "2")),
            "method": self._pick(("GET", "POST", "HEAD", "", "M" * 300, "é")),
            "scheme": self._pick(("http", "https", "javascript")),
            "path": self._pick(_TEXTS),
            "raw_path": self._pick((None, *_BYTES)),
            "query_string": self._pick(_BYTES),
            "root_path": self._pick(_TEXTS),
            "headers": self._headers(),
            "client": self._pick((None, ("evil", 0), ("::1%eth0", 1), ["1.2.3.4", 5], ("", 70_000))),
            "server": self._pick((None, ("testserver", 80), ("/run/x.sock", None), ["::1", 8000])),
            "state": {},
        }

    def _headers(self) -> list[Any]:
        count = self._pick((0, 1, 3, 8, 100))
        return [(self._pick(_HEADER_NAMES), self._pick(_HEADER_VALUES)) for _ in range(count)]

    def _given(self) -> list[Any]:
        bodies = [self._pick(_BODIES) for _ in range(self._pick((1, 1, 2, 5)))]
        given: list[Any] = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
        given[-1]["more_body"] = self._likely(0.2)
        return given

    def _steps(self) -> list[Any]:
        start = {
            "type": START,
            "status": self._pick((100, 200, 204, 404, 599)),
            "headers": self._headers(),
        }
        bodies = [{"type": BODY, "body": self._pick(_BODIES), "more_body": True} for _ in range(2)]
        steps: list[Any] = [None] * self._pick((0, 1, 3)) + [start, *bodies]
        if self._likely(0.8):
            steps.append({"type": BODY, "body": self._pick(_BODIES)})
        if self._likely(0.1):
            steps.insert(
                self._rng.randrange(len(steps) + 1), self._pick((ValueError(), OSError(), KeyError()))
            )
        return steps

    def _break(self, scope: Message, given: list[Any], steps: list[Any]) -> None:
        """A few wrong things, anywhere."""
        messages = [each for each in (*given, *steps) if isinstance(each, dict)]
        for _ in range(self._pick((1, 1, 2, 4))):
            self._pick((self._break_value, self._break_value, self._break_order))(
                self._pick((scope, self._pick(messages))), self._pick((given, steps))
            )

    def _break_value(self, target: Message, _: list[Any]) -> None:
        if not target:
            return
        key = self._pick(list(target))
        if self._likely(0.2) and key != "type":
            del target[key]
        elif key == "type":
            target[key] = self._pick(_KINDS)
        elif key == "headers":
            target[key] = self._odd_headers()
        else:
            target[key] = self._odd()

    def _break_order(self, _: Message, messages: list[Any]) -> None:
        if self._likely(0.5):
            self._rng.shuffle(messages)
        else:
            wrong: tuple[Any, ...] = (
                self._odd(),
                {"type": self._pick(_KINDS), "body": self._odd()},
                {},
                OSError("gone"),
            )
            messages.insert(self._rng.randrange(len(messages) + 1), self._pick(wrong))

    def _odd_headers(self) -> Any:
        pairs = self._headers()
        return self._pick(
            (
                *(None, 5, "text", b"bytes", Touchy(), {b"a": b"b"}, {"abc": 1}, [b"ab"], [None], [(b"a",)]),
                *([(b"a", b"b", b"c")], [("text", "text")], [(b"a", None)], [(1, 2)], [[b"a", b"b"]]),
                *(tuple(pairs), iter(pairs), (pair for pair in [*pairs, (b"a", b"b", b"c")])),
                *(
                    [*pairs, (bytearray(b"a"), memoryview(b"b"))],
                    [(Touchy(), Touchy())],
                    [(b"a", b"b" * 70_000)],
                ),
            )
        )

    def _odd(self) -> Any:
        """A value of any type."""
        return self._pick(
            (
                *(
                    None,
                    True,
                    False,
                    0,
                    -1,
                    200,
                    10**30,
                    1.5,
                    float("nan"),
                    "",
                    "text",
                    "\ud800",
                    b"",
                    b"\xff",
                ),
                *(bytearray(b"ab"), memoryview(b"abcd"), memoryview(b"abcdefgh").cast("I"), [], [1, 300], {}),
                *(
                    (),
                    ("a",),
                    ("a", "b", "c"),
                    {"a": 1},
                    {1: object},
                    set(),
                    object,
                    _NESTED,
                    Touchy(),
                    range(9),
                ),
                *("x" * 20_000, b"x" * 20_000, ValueError, json.JSONDecodeError, iter(()), 2**64, -(2**63)),
            )
        )
