"""The absolute URI of a request, as its client saw it.

Every part can hold whatever a client chose to write, so each is percent-encoded (what is already encoded
stays as it is) or left out: the result is always ASCII text with a scheme, a host and a path.
"""

import re
from functools import lru_cache
from urllib.parse import quote, unquote

from moesifasgi.event.client_ip import parsed_address
from moesifasgi.event.record import Record

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_HOST = re.compile(
    r"(?:(?=[^:]{1,253}(?::|$))(?:[A-Za-z0-9_~-]+\.)*[A-Za-z0-9_~-]+\.?|\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\])"
    r"(?::([0-9]{1,5}))?"
)
_MAX_HOST_CHARACTERS = 260
"""What is longer is no host, and not cached."""
_MAX_PORT = 65_535
_ABSOLUTE_FORM = re.compile(rb"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
_PATH_SAFE = "/:@!$&'()*+,;=~"
_RAW_PATH_SAFE = _PATH_SAFE + "%"
_QUERY_SAFE = _RAW_PATH_SAFE + "?[]|"
_PLAIN = re.compile(rb"[A-Za-z0-9_.~/:@!$&'()*+,;=%-]*")
"""What needs no quoting: nearly every path and query. Quoting them anyway takes twice as long."""


def request_uri(record: Record, host_header: str | None) -> str:
    """``scheme://host/path?query``; the query is left out where it is empty."""
    scheme = record.scheme if record.scheme in _DEFAULT_PORTS else "http"
    uri = f"{scheme}://{_host(host_header, record.server, scheme)}{_path(record)}"
    query = record.query_string
    return f"{uri}?{_quoted(query, _QUERY_SAFE)}" if query else uri


def _host(header: str | None, server: tuple[str, int | str | None] | None, scheme: str) -> str:
    if header and _is_host(header):
        return header
    if server is None:
        return "localhost"
    name, port = server
    host = f"[{name}]" if ":" in name else name
    if port is not None and str(port) != _DEFAULT_PORTS[scheme]:
        host = f"{host}:{port}"
    # A server on a Unix socket has the socket's path as its name.
    return host if _is_host(host) else "localhost"


def _is_host(text: str) -> bool:
    return len(text) <= _MAX_HOST_CHARACTERS and _is_host_and_port(text)


@lru_cache(maxsize=256)
def _is_host_and_port(text: str) -> bool:
    """What a strict reader of URIs takes: a name, an IPv4 address or an IPv6 address in brackets."""
    found = _HOST.fullmatch(text)
    if found is None or int(found[2] or 0) > _MAX_PORT:
        return False
    return found[1] is None or parsed_address(found[1]) is not None


def _path(record: Record) -> str:
    """The whole path. ASGI has ``root_path`` in it already; some servers leave it out of ``raw_path``."""
    raw = record.raw_path
    if raw is None:
        path = quote(record.path, safe=_PATH_SAFE, errors="replace")
    else:
        path = _quoted(_origin_form(raw), _RAW_PATH_SAFE)
    if not path.startswith("/"):
        path = "/" + path
    root = record.root_path.strip("/")
    if not root:
        return path
    # A client may encode more than it must, and a server may be told of a root that is encoded already.
    for whole in (path, unquote(path)):
        if whole == f"/{root}" or whole.startswith(f"/{root}/"):
            return path
    return f"/{quote(root, safe=_PATH_SAFE, errors='replace')}{path}"


def _quoted(raw: bytes, safe: str) -> str:
    return raw.decode() if _PLAIN.fullmatch(raw) else quote(raw, safe=safe)


def _origin_form(raw_path: bytes) -> bytes:
    """Without a proxy request's scheme and host, and without the query that some servers leave in it."""
    if not raw_path.startswith(b"/"):
        raw_path = _ABSOLUTE_FORM.sub(b"", raw_path, count=1)
    return raw_path.partition(b"?")[0]
