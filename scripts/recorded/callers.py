"""Who called, and from where."""

from typing import Any

from recorded.case import LEFT_OUT, Call, Case, Section

# {"sub":"ann","user":{"id":7}}
JWT = "e30.eyJzdWIiOiJhbm4iLCJ1c2VyIjp7ImlkIjo3fX0.c2ln"
# {"sub":"~~~???>>>ÿÿ"} has - and _ in its base64, and lacks its padding.
URL_SAFE_JWT = "e30.eyJzdWIiOiJ-fn4_Pz8-Pj7Dv8O_In0.c2ln"
HIDDEN = 'for="[2001:db8::1]:4711";proto=https, for=_hidden'


def identified(
    name: str, authorization: str, user_id: Any, header: str = "Authorization", **settings: Any
) -> Case:
    return Case(name, Call(headers=((header, authorization),), settings=settings), {"user_id": user_id})


def behind(name: str, header: str, value: str, address: Any, *proxies: str) -> Case:
    settings = {"TRUSTED_PROXIES": list(proxies)} if proxies else {}
    return Case(name, Call(headers=((header, value),), settings=settings), {"request.ip_address": address})


IDENTITIES = Section(
    "The user",
    "`IDENTIFY_USER` comes first. Without it the headers of `AUTHORIZATION_HEADER_NAME` are read, in their\n"
    "order. No signature is checked: that is the application's job. The JWT of the examples holds\n"
    '`{"sub": "ann", "user": {"id": 7}}`.',
    (
        identified("a JWT", f"Bearer {JWT}", "ann"),
        identified("base64 for URLs, without padding", f"Bearer {URL_SAFE_JWT}", "~~~???>>>ÿÿ"),
        identified("a field within a field", f"Bearer {JWT}", "7", AUTHORIZATION_USER_ID_FIELD="user.id"),
        identified("user name and password", "Basic YW5uOnNlY3JldA==", "ann"),
        identified("a token that says nothing", "Bearer opaque", LEFT_OUT),
        identified(
            "an API key, which is no user",
            "sk_live_1",
            LEFT_OUT,
            "X-Api-Key",
            AUTHORIZATION_HEADER_NAME="x-api-key",
        ),
        Case(
            "the first header that names one",
            Call(
                headers=(("X-Token", "opaque"), ("Authorization", "Basic Ym9iOng="), ("X-User", JWT)),
                settings={"AUTHORIZATION_HEADER_NAME": "x-token, x-user, authorization"},
            ),
            {"user_id": "ann"},
        ),
        Case(
            "`IDENTIFY_USER`",
            Call(
                headers=(("Authorization", "Basic Ym9iOng="),),
                settings={"IDENTIFY_USER": lambda request, response: 7},
            ),
            {"user_id": "7"},
            "`IDENTIFY_USER` returns `7`",
        ),
    ),
)
ADDRESSES = Section(
    "The client's address",
    "Without `TRUSTED_PROXIES` anyone's forwarding headers are believed, in the order of the published\n"
    "package. With it, hops are walked from the socket on, as long as each is trusted: those of\n"
    "X-Forwarded-For, or of Forwarded where that is absent. Let your proxy write one and remove the other,\n"
    "for what it lets pass from a client is believed like its own. What is no address never becomes one.\n"
    "The socket's peer is 203.0.113.7 here.",
    (
        Case(
            "no header",
            Call(client=("203.0.113.7", 1)),
            {"request.ip_address": "203.0.113.7"},
            "no forwarding header",
        ),
        Case("a Unix socket", Call(client=None), {"request.ip_address": LEFT_OUT}, "no peer"),
        behind("a chain of proxies", "X-Forwarded-For", "198.51.100.1, 10.0.0.1", "198.51.100.1"),
        behind("a port", "X-Real-IP", "198.51.100.1:8080", "198.51.100.1"),
        behind("IPv6", "X-Forwarded-For", "2001:DB8:0::1", "2001:db8::1"),
        behind("IPv6 with a port", "X-Forwarded-For", "[2001:db8::1]:4711", "2001:db8::1"),
        behind("IPv6 with a zone", "X-Forwarded-For", "fe80::1%eth0", "fe80::1"),
        behind("IPv4 within IPv6", "X-Forwarded-For", "::ffff:198.51.100.1", "198.51.100.1"),
        behind("RFC 7239", "Forwarded", HIDDEN, "2001:db8::1"),
        behind("no address", "X-Forwarded-For", "evil", "203.0.113.7"),
        Case(
            "several headers",
            Call(headers=(("X-Real-IP", "198.51.100.2"), ("X-Client-IP", "198.51.100.1"))),
            {"request.ip_address": "198.51.100.1"},
        ),
        behind(
            "a trusted proxy", "X-Forwarded-For", "192.0.2.9, 198.51.100.1", "198.51.100.1", "203.0.113.0/24"
        ),
        behind("a proxy of nobody's", "X-Forwarded-For", "198.51.100.1", "203.0.113.7", "10.0.0.0/8"),
        behind(
            "a name within a quoted text",
            "Forwarded",
            'for=198.51.100.1;host="a, for=192.0.2.9"',
            "203.0.113.7",
            "203.0.113.0/24",
        ),
        behind(
            "a quote within a quoted text",
            "Forwarded",
            r'host="a\";for=192.0.2.9;b=\"";for=198.51.100.1',
            "198.51.100.1",
            "203.0.113.0/24",
        ),
        behind(
            "a header that a proxy may have let pass",
            "X-Real-IP",
            "192.0.2.9",
            "203.0.113.7",
            "203.0.113.0/24",
        ),
        Case(
            "X-Forwarded-For beside Forwarded",
            Call(
                headers=(("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=192.0.2.9")),
                settings={"TRUSTED_PROXIES": ["203.0.113.0/24"]},
            ),
            {"request.ip_address": "198.51.100.1"},
        ),
    ),
)
SECTIONS = (IDENTITIES, ADDRESSES)
