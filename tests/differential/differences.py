"""Every difference between the events of the published package and ours, with its reason.

A reason ends with what it rests on: a fault of the published package by its id (A12; regression tests have
the same ids), a standard, the collector's API, or a decision of this project (by design).
"""

from collections.abc import Collection

from differential.body_differences import BODIES
from differential.comparison import ABSENT, Difference
from differential.lost_differences import LOST
from differential.reasons import Reason, calls, is_left_out, now, values

_ID_HEADER = r"response\.headers\.[Xx]-[Mm]oesif-[Tt]ransaction-[Ii]d"
_FORGED = calls("headers-own-id headers-own-garbage-id")

PRIVACY = [
    Reason(
        "Masks see the response body",
        r"response\.body\.password",
        "attaches the response body after MASK_EVENT_MODEL has run: what it should hide is uploaded",
        "runs the mask over the complete event",
        "The published README's own example did not hide what it names (A1).",
        calls("mask"),
        values("hunter2", None),
    ),
]
TRANSACTION_ID = [
    Reason(
        "The client gets the transaction id",
        r"client\.headers\.x-moesif-transaction-id",
        "the header is only in the event, never in the response",
        "`X-Moesif-Transaction-Id` on each response, unless DISABLED_TRANSACTION_ID is set",
        "With it a client's complaint can be found in Moesif (A2).",
        holds=values(ABSENT, ["UUID"]),
    ),
    Reason(
        "Request headers are the client's",
        r"request\.headers\.X-Moesif-Transaction-Id",
        "adds a header to the event that the client has not sent",
        "only what the client has sent",
        "The event's `transaction_id` says it already (A2).",
        holds=values("UUID 2", ABSENT),
    ),
    Reason(
        "The transaction id in the headers is the event's",
        _ID_HEADER,
        "`X-Moesif-Transaction-Id` in the event's response headers is another id than its `transaction_id`",
        "`x-moesif-transaction-id` is the event's `transaction_id`",
        "Header and event belong together only if they share the id. Names are in lower case, as those of"
        " all headers (A2).",
        holds=lambda each: (
            each.call not in _FORGED
            and (each.published, each.ours) in (("UUID 2", ABSENT), (ABSENT, "UUID 1"))
        ),
    ),
    Reason(
        "Concurrent requests keep their ids",
        _ID_HEADER,
        "a request gets the id of one that began after it",
        "each its own",
        "The id was kept in an object that all requests share (A2).",
        calls("overlapped"),
        values("UUID 3", ABSENT),
    ),
    Reason(
        "A client cannot choose the transaction id",
        _ID_HEADER,
        "takes over whatever the client has sent in that header",
        "an id of its own",
        "The collector takes a second event with the same id for a repetition: callers could suppress each"
        " other's events (by design).",
        _FORGED,
        lambda each: (
            (each.published, each.ours) in (("UUID 2", ABSENT), ("not an id", ABSENT), (ABSENT, "UUID 1"))
        ),
    ),
]
HEADERS = [
    Reason(
        "Repeated headers are all kept",
        r"(request|response)\.headers\.(set-cookie|cookie|x-tag|x-forwarded-for)",
        "the first of them",
        "all, joined by a comma; cookies by a semicolon",
        "HTTP allows lists to be sent in several lines, and there is no other way to set two cookies (A12).",
        **now(
            headers_repeated="a, b",
            headers_cookies="a=1; b=2",
            ip_lines="203.0.113.7, 203.0.113.8",
            cookies="a=1; Path=/; SameSite=lax, b=2; Path=/; SameSite=lax",
        ),
    ),
]
WHEN = [
    Reason(
        "A response ends with its last byte",
        r"response\.time",
        "the time when the response's headers were there",
        "the time when its last byte was sent",
        "A stream of a minute seemed to take a millisecond (A11).",
        calls("stream-slow"),
        values("TIME", "TIME after the last byte"),
    ),
    Reason(
        "An event says how its response ended",
        "metadata",
        "a response that broke off looks complete",
        "`metadata.moesif.ending`: `failed` with the exception's class, or `disconnected`",
        "Half a body should not be taken for a whole one (A4, A5).",
        **now(
            raises_midway={"moesif": {"ending": "failed", "error": "LookupError"}},
            client_leaves={"moesif": {"ending": "disconnected"}},
        ),
    ),
]
WHO = [
    Reason(
        "IPv6 with brackets or port, and Forwarded",
        r"request\.ip_address",
        "the proxy's address",
        "the client's",
        "Proxies write `[2001:db8::1]:4711`, `203.0.113.7:4711` and `Forwarded: for=…` (RFC 7239) (A16).",
        **now(
            ip6_brackets="2001:db8::1",
            ip6_port="2001:db8::1",
            ip6_rfc7239="2001:db8::1",
            ip_rfc7239="203.0.113.7",
            ip_client_port="203.0.113.7",
        ),
    ),
    Reason(
        "An address has one spelling",
        r"request\.ip_address",
        "as the header spells it",
        "IPv6 compressed and without zone, IPv4 within IPv6 as IPv4",
        "Two spellings of one address would count as two clients (A16).",
        **now(ip6_long="2001:db8::1", ip6_mapped="203.0.113.7", ip6_zone="fe80::1"),
    ),
    Reason(
        "URL-safe tokens name their user",
        "user_id",
        "nobody, where the token's base64 has `-` or `_`",
        "the user",
        "JWTs are URL-safe base64 (A15).",
        calls("bearer-urlsafe"),
        values(None, "ada"),
    ),
    Reason(
        "More credentials name their user",
        "user_id",
        "nobody for an unsigned token's two parts, Basic without padding, a field within a map, or where the"
        " first of several headers names nobody",
        "the user",
        "AUTHORIZATION_HEADER_NAME is a list in order, and AUTHORIZATION_USER_ID_FIELD a path (A15).",
        **now(bearer_unsigned="ada", basic_unpadded="adaa", dotted="ada", token_useless_then_bearer="bob"),
    ),
    Reason(
        "A user id is a text or a number",
        "user_id",
        "`None`, `True` or a list, written as Python does",
        "nobody",
        "All callers with such a token would be one user of that name (Events API).",
        **now(bearer_list=ABSENT, bearer_null=ABSENT, bearer_true=ABSENT),
    ),
    Reason(
        "An empty id is nobody",
        "user_id|company_id",
        "an empty text",
        "no field",
        "Moesif would show all of them as one user without a name (Events API).",
        calls("basic-garbage hook-empty"),
        values("", ABSENT),
    ),
]
URI = [
    Reason(
        "The URI is the client's",
        r"request\.uri",
        "decoded: `%2F` becomes a slash, letters beyond ASCII appear as they are",
        "percent-encoded as the client has sent it",
        "A decoded path can be another one (RFC 3986).",
        **now(
            path_unicode="http://shop.example.com/echo/Gr%C3%BC%C3%9Fe",
            path_encoded="http://shop.example.com/echo/a%2Fb%3Fd",
            path_encoded_plain="http://shop.example.com/echo/%61bc",
        ),
    ),
]
FORM = [
    Reason(
        "What is not there is left out",
        r"((request|response)\.)?(api_version|blocked_by|body|company_id|ip_address|metadata|session_token|tags"
        r"|transfer_encoding|user_id)",
        "null",
        "no field",
        "It means the same, in fewer bytes (Events API).",
        holds=is_left_out,
    ),
]
SECTIONS: dict[str, list[Reason]] = {
    "Events that were lost, and answers that were changed": LOST,
    "Masks": PRIVACY,
    "Transaction id": TRANSACTION_ID,
    "Bodies": BODIES,
    "Headers": HEADERS,
    "Time and ending": WHEN,
    "Users and addresses": WHO,
    "URI": URI,
    "Form of the event": FORM,
}
ALL = [reason for section in SECTIONS.values() for reason in section]


def unexplained(found: Collection[Difference]) -> list[tuple[Difference, list[str]]]:
    """Differences that no reason explains, or several, with the titles of those that do."""
    explained = [(each, [why.title for why in ALL if why.explains(each)]) for each in found]
    return [(each, titles) for each, titles in explained if len(titles) != 1]


def stale(found: Collection[Difference]) -> list[str]:
    """Reasons that explain nothing, and calls that a reason names in vain."""
    without = [why.title for why in ALL if not any(map(why.explains, found))]
    in_vain = [
        f"{why.title}: {call}"
        for why in ALL
        for call in sorted(why.calls - {each.call for each in found if why.explains(each)})
    ]
    return [*without, *in_vain]
