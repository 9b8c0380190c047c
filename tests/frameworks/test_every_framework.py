"""Each framework answers with the middleware what it answers without, byte for byte; each call arrives."""

from typing import NamedTuple

import pytest
from exchanges import CALLS, Laboratory, answered_in, assert_true, conversations
from lab.verbatim import Call

BACKGROUND = (Call("background", "GET", "/background"), Call("what-ran", "GET", "/ran"))
STARLETTE = (
    *BACKGROUND,
    Call("routed", "GET", "/routed/items/7"),
    Call("mounted", "GET", "/mounted/items/7"),
    Call("mounted-deeper", "GET", "/mounted/deeper/text"),
    Call("mounted-not-found", "GET", "/mounted/missing"),
    Call("mounted-exception", "GET", "/mounted/boom"),
)


class Subject(NamedTuple):
    """One framework, the place of the middleware, and the calls that only this application answers."""

    framework: str
    place: str = "wrap"
    more: tuple[Call, ...] = ()
    unseen: tuple[str, ...] = ()
    """Calls answered outside the middleware: by the server, or by Starlette's outermost layer."""

    @property
    def module(self) -> str:
        return f"{self.framework}_app"

    def __str__(self) -> str:
        return f"{self.framework}-{self.place}"


EXCEPTIONS = ("exception", "mounted-exception")
SUBJECTS = (
    Subject("bare", unseen=("exception",)),
    Subject("starlette", "wrap", (*STARLETTE, Call("state", "GET", "/greeting"))),
    Subject("starlette", "add", (*STARLETTE, Call("state", "GET", "/greeting")), ("exception",)),
    Subject("fastapi", "wrap", STARLETTE),
    Subject("fastapi", "add", STARLETTE, ("exception",)),
    Subject("litestar", more=BACKGROUND),
    Subject("quart", more=BACKGROUND),
    Subject("falcon", more=BACKGROUND),
    Subject("django"),
    Subject("blacksheep"),
)


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_responses_are_the_same_byte_for_byte_and_every_call_is_delivered_once(
    subject: Subject, laboratory: Laboratory
):
    calls = (*CALLS, *subject.more)
    with laboratory.serving(subject.module, "bare") as server:
        expected = conversations(server, calls)
    with laboratory.serving(subject.module, subject.place) as server:
        found = conversations(server, calls)

    for call, with_middleware, without in zip(calls, found, expected, strict=True):
        assert with_middleware.raw == without.raw, call
    events = laboratory.events()
    answered = answered_in(calls, found)
    events.assert_one_each([call for call, _ in answered])
    for call, answer in answered:
        assert_true(events.of(call), call, answer, unseen_body=call.name in subject.unseen)
