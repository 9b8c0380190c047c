"""The HTTP client of the shipper: ``requests`` with pooled connections, and a total deadline per request.

Proxy: the HTTP_PROXY setting wins; only where it is None do HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the
environment count (so do REQUESTS_CA_BUNDLE and the CA_BUNDLE setting). Credentials of a .netrc are never
used, cookies never kept, redirects never followed, and nothing is retried in here: ``delivery`` decides.
"""

import io
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
from requests import exceptions as fault
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError

from moesifasgi.shipper.deadline import Deadlines, Limit
from moesifasgi.shipper.named_file import content_of
from moesifasgi.shipper.resolving import Resolver, Unresolved

MAX_RESPONSE_BYTES = 65_536
"""What is kept of the answer to an upload, which is a few hundred bytes. The rest closes the connection."""

CONNECT_S = 5.0
"""The usual limit for resolving a name, and for connecting."""


MAX_BUNDLE_BYTES = 4 << 20
"""Of a CA bundle; that of all public authorities has 0.3 MB."""
_CERTIFICATE = re.compile("-----BEGIN (X509 )?CERTIFICATE-----")
_TRUSTED = "-----BEGIN TRUSTED CERTIFICATE-----"
"""OpenSSL's own form, which it takes from files only."""
SEND_BYTES = 128 * 1024
"""What is given to the socket at once: each piece has the time that connecting has, not the whole body."""


class NoAuthorities(ValueError):
    """The CA bundle cannot be used; the text says why. (An OSError would become a failed connection.)"""


class NoAnswer(Exception):
    """The request got no complete answer; the text says why, without any content."""

    def __init__(self, reason: str, *, reached: bool = False, too_slow: bool = False) -> None:
        super().__init__(reason)
        self.reached = reached
        """Somebody was connected to."""
        self.too_slow = too_slow
        """Its time ran out with the connection in use: what was sent may still be on its way."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of one request, in seconds."""

    connect_s: float = CONNECT_S
    read_s: float = 10.0
    """The longest silence between two reads."""
    total_s: float = 30.0
    """From the call to the last byte of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, or the beginning of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    """False: the body was longer than what was asked for, and is cut."""


class Http:
    """One client for one proxy and CA bundle. Any number of threads may call it at once."""

    def __init__(
        self,
        *,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        connections: int = 8,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._deadlines = Deadlines()
        self._session = requests.Session()
        self._session.auth = _anonymous
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(ca_bundle, pool_connections=connections, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            "proxies": {"http": proxy, "https": proxy} if proxy else None,
            "stream": True,
            "timeout": (self._timeouts.connect_s, self._timeouts.read_s),
            "verify": ca_bundle or True,
        }

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return self.request("POST", url, headers, body)

    def get(self, url: str, headers: Mapping[str, str], max_bytes: int = MAX_RESPONSE_BYTES) -> Answer:
        return self.request("GET", url, headers, max_bytes=max_bytes)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Answer:
        """One request and its answer, within the total deadline. Raises NoAnswer.

        ``max_bytes`` is what is kept of the answer's body, as it comes: nothing is decompressed here.
        """
        with self._deadlines.limit(self._timeouts.total_s) as limit:
            _current.limit = limit
            try:
                answer = self._answer(method, url, headers, body, max_bytes)
            except (OSError, ValueError, HTTPError, HTTPException) as error:
                too_slow = limit.expired or isinstance(error, fault.ReadTimeout)
                reason = _reason(error, limit, self._timeouts.total_s)
                raise NoAnswer(reason, reached=limit.in_use, too_slow=too_slow) from error
            finally:
                _current.limit = None
            if limit.expired:
                # To the parser a shutdown looks like the end of an answer that ends with its connection.
                raise NoAnswer(_overdue(self._timeouts.total_s), reached=True, too_slow=True)
            return answer

    def close(self) -> None:
        """Cut off requests under way, and release the connections. May be called twice."""
        self._deadlines.close()
        self._session.close()

    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, max_bytes: int
    ) -> Answer:
        data = io.BytesIO(body) if body else body
        response = self._session.request(method, url, data=data, headers=dict(headers), **self._options)
        raw = response.raw
        try:
            kept = raw.read(max_bytes, decode_content=False)
            # Reading to the end is what hands the connection back to the pool.
            whole = not raw.read(1)
        except BaseException:
            raw.close()
            raise
        if not whole:
            raw.close()
        return Answer(response.status_code, response.headers, kept, whole)


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (fault.ProxyError, "the proxy failed"),
    (fault.SSLError, "TLS failed"),
    (fault.ConnectTimeout, "connecting timed out"),
    (fault.Timeout, "reading timed out"),
    (fault.ConnectionError, "the connection failed"),
    (fault.InvalidURL, "the address is not valid"),
    (fault.InvalidSchema, "the address is not valid"),
    (fault.MissingSchema, "the address is not valid"),
    (HTTPError, "the answer broke off"),
    (HTTPException, "the answer broke off"),
)


def _reason(error: Exception, limit: Limit, total_s: float) -> str:
    if limit.expired:
        return _overdue(total_s)
    if isinstance(error, NoAuthorities):
        return str(error)
    return next((word for kind, word in _WORDS if isinstance(error, kind)), type(error).__name__)


def _overdue(total_s: float) -> str:
    return f"no answer within {total_s:g} s"


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stands where ``requests`` would otherwise look for credentials in a .netrc file."""
    return request


_resolver = Resolver()
"""One for all clients: a name that is not answered holds one thread, however many want to know."""
_current = threading.local()
"""``limit``: the Limit of the request that this thread is making."""


class _Watched(HTTPConnection):
    """A connection whose socket is known to the limit of whichever request uses it."""

    def _new_conn(self) -> socket.socket:
        self._resolve()
        # Here, before TLS takes the socket: a handshake can hang too.
        sock = super()._new_conn()
        _watch(sock)
        return sock

    def _resolve(self) -> None:
        """As connecting would, but within the time that connecting has."""
        timeout_s = self.timeout if isinstance(self.timeout, (int, float)) else CONNECT_S
        try:
            # A dot at the end, which makes a name whole, is in this one only.
            _resolver.require(self._dns_host, self.port, timeout_s)
        except Unresolved as error:
            raise ConnectTimeoutError(self, str(error)) from error
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _watch(self.sock)
        super().request(*args, **kwargs)


def _watch(sock: socket.socket) -> None:
    limit: Limit | None = getattr(_current, "limit", None)
    if limit is not None:
        limit.attach(sock)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        """Trust what is in the CA bundle now. It is read here: OpenSSL would wait for a pipe."""
        bundle = self.ca_certs
        if bundle is not None:
            self.ca_cert_data, self.ca_certs = authorities(Path(bundle)), None
        try:
            super().connect()
        finally:
            self.ca_certs = bundle


def authorities(bundle: Path) -> str:
    """The certificates in a CA bundle, as text. Raises NoAuthorities."""
    try:
        content = content_of(bundle, MAX_BUNDLE_BYTES)
    except OSError as error:
        raise NoAuthorities(f"CA bundle {bundle}: expected a file, {error.strerror}") from error
    # Comments may hold names in any encoding.
    text = content.decode("ascii", "ignore")
    if _CERTIFICATE.search(text) is None:
        found = "TRUSTED CERTIFICATE (openssl x509 makes it plain)" if _TRUSTED in text else "none"
        raise NoAuthorities(f"CA bundle {bundle}: expected certificates (PEM), found {found}")
    return text


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """An adapter whose pools, direct or through a proxy, make watched connections."""

    def __init__(self, ca_bundle: str | None, **options: Any) -> None:
        self._ca_bundle = ca_bundle
        super().__init__(**options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """A bundle that is given to us is a file, whatever is there now; one of the environment as usual."""
        if verify != self._ca_bundle or not url.lower().startswith("https:"):
            try:
                super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # types-requests
            except OSError as error:
                raise NoAuthorities(f"REQUESTS_CA_BUNDLE {verify}: expected a file, found nothing") from error
            return
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", verify, None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, blocksize=SEND_BYTES)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs, blocksize=SEND_BYTES)
        manager.pool_classes_by_scheme = _POOLS
        return manager
