"""Whatever lies before and after the middleware in Starlette: nothing changes, and one event a call."""

import gzip

from exchanges import JSON, Laboratory, content
from lab.verbatim import Call, converse

PACKED = (("Accept-Encoding", "gzip"), ("Origin", "http://example.com"))
PREFLIGHT = (("Origin", "http://example.com"), ("Access-Control-Request-Method", "POST"))
PACKING = ("/outermost", "/between", "/innermost")
MOUNTS = (*PACKING, "/inside")
BESIDE = Call("beside", "GET", "/text")
WORDS = {"words": ["lamp"] * 500}


def packed(mount: str) -> Call:
    return Call(f"packed-{mount[1:]}", "GET", f"{mount}/words", PACKED)


def packed_stream(mount: str) -> Call:
    return Call(f"stream-{mount[1:]}", "GET", f"{mount}/streamed", PACKED)


def visit(mount: str) -> Call:
    return Call(f"visit-{mount[1:]}", "POST", f"{mount}/visit", JSON, (b'{"name": "lamp"}',))


def preflight(mount: str) -> Call:
    return Call(f"preflight-{mount[1:]}", "OPTIONS", f"{mount}/words", PREFLIGHT)


def calls_under(mount: str) -> tuple[Call, ...]:
    return (
        *(packed(mount), packed_stream(mount), visit(mount), preflight(mount)),
        Call(f"exception-{mount[1:]}", "GET", f"{mount}/boom"),
        Call(f"missing-{mount[1:]}", "GET", f"{mount}/missing"),
    )


CALLS = (*(call for mount in MOUNTS for call in calls_under(mount)), BESIDE)
# What lies further out answers a preflight itself; what lies beside the mounts is not the middlewares'.
SEEN = [call for call in CALLS if call not in (preflight("/between"), preflight("/innermost"), BESIDE)]


def test_among_other_middlewares_and_inside_a_mount_nothing_changes_and_each_call_has_one_event(
    laboratory: Laboratory,
):
    with laboratory.serving("starlette_layers_app", "bare") as server:
        expected = [converse(server, [call]) for call in CALLS]
    with laboratory.serving("starlette_layers_app", "wrap") as server:
        found = [converse(server, [call]) for call in CALLS]
    for call, with_middleware, without in zip(CALLS, found, expected, strict=True):
        assert with_middleware.raw == without.raw, call

    events = laboratory.events()
    events.assert_one_each(SEEN)
    for call, conversation in zip(CALLS, found, strict=True):
        if call in SEEN:
            event, (answer,) = events.of(call), conversation.answers
            assert (event["request"]["uri"], event["response"]["status"]) == (call.url, answer.status)
    for mount in MOUNTS:
        visited = events.of(visit(mount))
        assert content(visited["request"]) == {"name": "lamp"}
        assert content(visited["response"]) == {"visits": 1, "body": {"name": "lamp"}}


def test_a_body_is_stored_without_the_coding_that_another_middleware_put_on_it(laboratory: Laboratory):
    with laboratory.serving("starlette_layers_app", "wrap") as server:
        streams = {
            mount: converse(server, [packed(mount), packed_stream(mount)]).answers[1] for mount in PACKING
        }
    events = laboratory.events()
    for mount, stream in streams.items():
        assert dict(stream.headers)[b"content-encoding"] == b"gzip"
        assert content(events.of(packed(mount))["response"]) == WORDS
        assert content(events.of(packed_stream(mount))["response"]) == gzip.decompress(stream.body)
    outermost = events.of(packed("/outermost"))["response"]["headers"]
    assert outermost["content-encoding"] == "gzip"
