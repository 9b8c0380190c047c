"""Events that the published package loses, with the reasons; see ``differences``."""

from differential.comparison import ABSENT
from differential.reasons import Reason, now_recorded

LOST = [
    Reason(
        "Exceptions are recorded",
        "event",
        "no event for a request that ends in an exception",
        "an event with status 500, the exception's class in `metadata.moesif.error`",
        "The failures that one most wants to see were missing. The exception's text may hold secrets, so it"
        " stays where it is (A4).",
        **now_recorded("metadata.moesif", raises={"ending": "failed", "error": "LookupError"}),
    ),
    Reason(
        "A request without a client address is served",
        r"event|client\.(status|body|headers\.content-type\[0\])",
        "answers 500 instead of the application",
        "an event without `ip_address`",
        "Over a Unix socket clients have no address (A3).",
        **now_recorded("request.ip_address", ip_none=ABSENT),
    ),
    Reason(
        "A mask that forgets to return fails closed",
        r"event|client\.(status|body|headers\.content-(type|length)\[0\])",
        "answers 500 instead of the application",
        "the application's answer, and an event without bodies, headers, query, metadata and session token",
        "A fault of a hook is nothing that a client should see, and what the mask meant to hide stays hidden"
        " (A6).",
        **now_recorded("metadata.moesif", mask_in_place={"withheld": True}),
    ),
    Reason(
        "A false X-Forwarded-For costs nothing",
        "event",
        "loses the whole batch: an address of 4 or 16 characters became bytes, which are no JSON",
        "an event with the connection's address",
        "Anyone could erase others' events with one header (A9).",
        **now_recorded("request.ip_address", ip_evil="127.0.0.1"),
    ),
    Reason(
        "Metadata may hold any value",
        "event",
        "loses the whole batch where a value is not JSON, such as a date",
        "the value as text",
        "One value of one event cost all events beside it (A10).",
        **now_recorded("metadata", hook_metadata_date={"on": "2024-02-29"}),
    ),
    Reason(
        "Bodies are made valid JSON",
        "event",
        "uploads NaN, Infinity and lone surrogates as they came; a strict collector refuses the whole batch",
        "null for what is no number, U+FFFD for what is no character",
        "Python reads and writes what JSON does not allow (B8).",
        **now_recorded("request.body", json_nan={"a": None, "b": None}, json_surrogate={"name": "\ufffd"}),
    ),
    Reason(
        "Numeric ids are text",
        "event",
        "uploads a number that IDENTIFY_USER returned; a strict collector refuses the event",
        "the number as text",
        "The collector's API has ids as strings (Events API).",
        **now_recorded("user_id", hook_number="12"),
    ),
    Reason(
        "A space in a path stays encoded",
        "event",
        "uploads a URI with a space in it; a strict collector refuses the event",
        "`%20`, as the client sent it",
        "A URI has no spaces (RFC 3986).",
        **now_recorded("request.uri", path_space="http://shop.example.com/echo/a%20b"),
    ),
]
