"""One request of the recorded traffic as bytes, and the tokens that some carry. Pure."""

import json
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, replace
from typing import Any

NAME_HEADER = "x-call"
PROFILE_HEADER = "x-profile"
HOST = "shop.example.com"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, on a connection of its own."""

    name: str
    method: str = "GET"
    target: str = "/echo"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    profile: str = "plain"
    """Of the settings around the application; see ``application``."""
    over_unix: bool = False
    """Over a Unix socket, where clients have no address."""
    leaves: bool = False
    """The client leaves after the first bytes of the response body."""
    meanwhile: "Call | None" = None
    """Sent while this one is in the application, and answered before it."""
    skipped: bool = False
    """SKIP says that it is not to be recorded."""

    def raw(self) -> bytes:
        """As it goes over the wire. Header values are written in Latin-1."""
        names = [name.lower() for name, _ in self.headers]
        fields = [(NAME_HEADER, self.name), (PROFILE_HEADER, self.profile), ("connection", "close")]
        if "host" not in names:
            fields.insert(0, ("host", HOST))
        if self.body is not None and "transfer-encoding" not in names:
            fields.append(("content-length", str(len(self.body))))
        head = [f"{self.method} {self.target} HTTP/1.1", *(f"{n}: {v}" for n, v in [*fields, *self.headers])]
        return "\r\n".join([*head, "", ""]).encode("latin-1") + (self.body or b"")


def quarantined(call: Call) -> Call:
    """The call to an application of its own, so that nobody else's event shares its batch."""
    return replace(call, profile=f"{call.profile}#{call.name}")


def posted(name: str, content_type: str | None, body: bytes, *headers: tuple[str, str]) -> Call:
    declared = () if content_type is None else (("content-type", content_type),)
    return Call(name, "POST", headers=(*declared, *headers), body=body)


def with_headers(name: str, *headers: tuple[str, str], profile: str = "plain") -> Call:
    return Call(name, headers=headers, profile=profile)


def jwt(claims: dict[str, Any], *, padded: bool = False) -> str:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode()
    return f"eyJhbGciOiJub25lIn0.{payload if padded else payload.rstrip('=')}.c2ln"


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
