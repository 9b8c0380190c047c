"""Headers, URLs, and what an event has besides."""

from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from recorded.case import LEFT_OUT, UUID, Call, Case, Section, Seen


def requested(name: str, uri: str, example: str | None = None, **call: Any) -> Case:
    return Case(name, Call(method="GET", **call), {"request.uri": uri}, example)


HEADERS = Section(
    "Headers",
    "One flat map, names in lower case. What a header says is stored unless a mask names it.",
    (
        Case("case", Call(headers=(("X-Request-ID", "Ab"),)), {"request.headers.x-request-id": "Ab"}),
        Case(
            "repeated",
            Call(headers=(("Accept", "a/b"), ("Accept", "c/d"))),
            {"request.headers.accept": "a/b, c/d"},
        ),
        Case(
            "cookies of a response",
            Call(response_headers=(("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"))),
            {"response.headers.set-cookie": "a=1; Path=/, b=2"},
        ),
        Case(
            "cookies of HTTP/2",
            Call(headers=(("cookie", "a=1"), ("cookie", "b=2"))),
            {"request.headers.cookie": "a=1; b=2"},
        ),
        Case(
            "not ASCII",
            Call(headers=(("X-Name", "é"),)),
            {"request.headers.x-name": "é"},
            "`X-Name: é` in Latin-1",
        ),
        Case(
            "masked",
            Call(headers=(("X-Api-Key", "secret"),), settings={"REQUEST_HEADER_MASKS": ["x-api-key"]}),
            {"request.headers.x-api-key": "***"},
        ),
    ),
)
HOST = ("Host", "api.example.com")
URLS = Section(
    "The URL",
    "Scheme, host and path as they reached the server; servers take the scheme from a proxy they trust.",
    (
        requested(
            "path and query",
            "https://api.example.com/a%20b?x=1&x=2",
            raw_path=b"/a%20b",
            path="/a b",
            query="x=1&x=2",
            headers=(HOST,),
        ),
        requested(
            "a port", "https://api.example.com:8443/orders", headers=(("Host", "api.example.com:8443"),)
        ),
        requested("IPv6", "https://[2001:db8::1]:8443/orders", headers=(("Host", "[2001:db8::1]:8443"),)),
        requested("no sane host", "https://10.0.0.5:8000/orders", headers=(("Host", "a b/c"),)),
        requested(
            "no host at all",
            "http://localhost/orders",
            "a server on a Unix socket",
            scheme="http",
            server=None,
        ),
        requested(
            "`root_path`",
            "https://api.example.com/v1/orders",
            "`--root-path /v1`",
            root_path="/v1",
            path="/v1/orders",
            headers=(HOST,),
        ),
        requested(
            "an application mounted in another",
            "https://api.example.com/v1/orders",
            'Starlette\'s `Mount("/v1", …)`',
            path="/v1/orders",
            headers=(HOST,),
            application=Starlette(
                routes=[Mount("/v1", routes=[Route("/orders", lambda request: Response())])]
            ),
        ),
        requested(
            "a mount whose name the client encodes in its own way",
            "https://api.example.com/ann%40x.com/orders",
            'Starlette\'s `Mount("/{user}", …)`, raw path `/ann%40x.com/orders`',
            root_path="/ann@x.com",
            path="/ann@x.com/orders",
            raw_path=b"/ann%40x.com/orders",
            headers=(HOST,),
        ),
        requested(
            "a server that leaves it out of the raw path",
            "https://api.example.com/v1/orders",
            "`root_path` = `/v1`, raw path `/orders`",
            root_path="/v1",
            path="/v1/orders",
            raw_path=b"/orders",
            headers=(HOST,),
        ),
        requested(
            "a target with scheme and host",
            "https://api.example.com/orders",
            "`GET http://api.example.com/orders`",
            raw_path=b"http://api.example.com/orders",
            headers=(HOST,),
        ),
        requested(
            "bytes that no URL has",
            "https://api.example.com/%FF%3C",
            "path of the bytes `ff 3c`",
            raw_path=b"/\xff<",
            headers=(HOST,),
        ),
        Case(
            "masked",
            Call(
                method="GET",
                query="token=secret&a=1",
                headers=(HOST,),
                settings={"REQUEST_QUERY_MASKS": ["token"]},
            ),
            {"request.uri": "https://api.example.com/orders?token=***&a=1"},
        ),
    ),
)
IDS = Section(
    "The event itself",
    "Times are in UTC with milliseconds; ids are strings.",
    (
        Case("transaction id", Call(), {"transaction_id": UUID}, "any call"),
        Case(
            "a client's own transaction id",
            Call(headers=(("X-Moesif-Transaction-Id", "00000000-0000-4000-8000-000000000000"),)),
            {
                "transaction_id": Seen(
                    "another one", lambda value: UUID.fits(value) and not value.startswith("00000000")
                )
            },
        ),
        Case("`API_VERSION`", Call(settings={"API_VERSION": "v2"}), {"request.api_version": "v2"}),
        Case("no `API_VERSION`", Call(), {"request.api_version": LEFT_OUT}, "any call"),
        Case(
            "anything else that makes it too large (900 kB)",
            Call(method="GET", query="a=" + "x" * 1_000_000, headers=(HOST,)),
            {
                "request.uri": Seen("its first 64000 characters", lambda value: len(value) == 64_000),
                "metadata.moesif.cut.fields": ["request.uri"],
                "metadata.moesif.cut.limit": 64_000,
            },
            "a URL of 1 MB",
        ),
        Case("direction and weight", Call(), {"direction": "Incoming", "weight": 1}, "any call"),
        Case(
            "metadata",
            Call(
                settings={"GET_METADATA": lambda request, response: {"plan": "free", "ratio": float("nan")}}
            ),
            {"metadata.plan": "free", "metadata.ratio": None},
            '`GET_METADATA` returns `{"plan": "free", "ratio": NaN}`',
        ),
    ),
)
SECTIONS = (HEADERS, URLS, IDS)
