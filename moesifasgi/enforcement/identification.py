"""Who makes a call, by IDENTIFY_USER and IDENTIFY_COMPANY, asked before the application runs.

That is early for them: what the application puts into the request's state is not there, nor is a response
(they get None). One that raises over it leaves the user unknown, which is not the same as unidentified. This
module loads Starlette, so it is loaded when one of the two is set.
"""

from starlette.requests import Request

from moesifasgi.channel import Channel
from moesifasgi.exchange import Answered, Message, Scope, copy_of
from moesifasgi.hooks import id_of
from moesifasgi.policy.governance import Governance
from moesifasgi.policy.identity import Identity
from moesifasgi.settings import HookSettings
from moesifasgi.steps import Steps
from moesifasgi.user_function import UserFunction


class Identification:
    """At least one of the functions is set."""

    def __init__(self, settings: HookSettings, channel: Channel) -> None:
        self._user = _prepared("IDENTIFY_USER", settings, channel)
        self._company = _prepared("IDENTIFY_COMPANY", settings, channel)

    def answers(self, governance: Governance, scope: Scope, body: bytes | None) -> Steps[Answered]:
        """Ask for whom a rule needs to know. ``body`` is the whole one; with None, reading it fails."""
        user = yield from _asked(self._user if governance.by_user else None, scope, body)
        company = yield from _asked(self._company if governance.by_company else None, scope, body)
        return Answered(user, company)


def _prepared(key: str, settings: HookSettings, channel: Channel) -> UserFunction | None:
    function = getattr(settings, key.lower())
    return None if function is None else UserFunction(key, function, settings.timeout_s, channel)


def _asked(function: UserFunction | None, scope: Scope, body: bytes | None) -> Steps[Identity]:
    if function is None:
        return None
    return (yield from function.answer(id_of, _request(scope, body), None))


def _request(scope: Scope, body: bytes | None) -> Request:
    """A request of the hook's own. Without a body, reading it raises ClientDisconnect."""
    left = [{"type": "http.request", "body": body, "more_body": False}] if body is not None else []

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    return Request(copy_of(scope), receive)
