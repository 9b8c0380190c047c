"""Calls that do not end as they should."""

from typing import Any

from recorded.case import Call, Case, Receive, Section, Send, base64

ENDING, ERROR = "metadata.moesif.ending", "metadata.moesif.error"
START = {"type": "http.response.start", "status": 200, "headers": []}


async def raises(scope: Any, receive: Receive, send: Send) -> None:
    raise ValueError("a secret")


async def raises_late(scope: Any, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"[1,", "more_body": True})
    raise ValueError("a secret")


async def never_answers(scope: Any, receive: Receive, send: Send) -> None:
    await receive()


async def streams_on(scope: Any, receive: Receive, send: Send) -> None:
    tick = {"type": "http.response.body", "body": b"tick", "more_body": True}
    await send(START)
    await send(tick)
    await _gone(receive)
    await send(tick)


async def sees_the_client_leave(scope: Any, receive: Receive, send: Send) -> None:
    await _gone(receive)


async def reads_a_part(scope: Any, receive: Receive, send: Send) -> None:
    await receive()
    await send(START)
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def ended(name: str, application: Any, stored: dict[str, Any], example: str, **call: Any) -> Case:
    return Case(name, Call(application=application, **call), stored, example)


SECTIONS = (
    Section(
        "Calls that end otherwise",
        "They are recorded like any other, with a note. The text of an exception is never recorded.",
        (
            ended(
                "the application raised",
                raises,
                {"response.status": 500, ENDING: "failed", ERROR: "ValueError"},
                'raises `ValueError("a secret")`',
            ),
            ended(
                "it raised within its response",
                raises_late,
                {
                    "response.status": 200,
                    "response.body": base64(b"[1,"),
                    ENDING: "failed",
                    ERROR: "ValueError",
                },
                "sends `[1,`, then raises",
            ),
            ended(
                "it returned without an answer",
                never_answers,
                {"response.status": 500, ENDING: "abandoned"},
                "no response",
            ),
            ended(
                "the client left before the answer",
                sees_the_client_leave,
                {"response.status": 499, ENDING: "disconnected"},
                "`http.disconnect`",
            ),
            ended(
                "the client left an endless stream",
                streams_on,
                {
                    "response.status": 200,
                    "response.body": base64(b"tick" * 2, "what was sent, in base64"),
                    ENDING: "disconnected",
                },
                "server-sent events",
            ),
            ended(
                "the application left the request unread",
                reads_a_part,
                {
                    "request.body": base64(b"{", "what it read, in base64"),
                    "metadata.moesif.request_body": {"read_bytes": 1},
                },
                "answers after the first byte of ten",
                headers=(("Content-Length", "10"),),
                body=b"{",
            ),
        ),
    ),
)
