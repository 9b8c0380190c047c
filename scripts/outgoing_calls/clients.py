"""The client libraries, each used as its documentation says, behind one asynchronous face."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import aiohttp
import httpx
import httpx2
import requests
import urllib3

from moesifasgi.outgoing.urllib3_calls import Urllib3Request


class Answer(NamedTuple):
    """What an application gets."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application asks."""

    url: str
    method: str = "GET"
    body: Any = None
    """Bytes, or an iterable of them."""
    headers: dict[str, str] | None = None
    timeout_s: float = 30.0


class Client(Protocol):
    name: str
    request_type: type
    """What functions get."""
    response_type: type

    async def call(self, asked: Asked) -> Answer:
        """The whole answer, redirects followed."""

    def parts(self, asked: Asked) -> AsyncIterator[bytes]:
        """The answer as it comes; whoever leaves the iteration closes it."""

    async def forget(self, asked: Asked) -> None:
        """Get the head of an answer, and let go of the rest without closing it."""


class Requests:
    name = "requests"
    request_type = requests.PreparedRequest
    response_type = requests.Response

    async def call(self, asked: Asked) -> Answer:
        with requests.Session() as session:
            response = session.request(asked.method, asked.url, **self._named(asked))
            return Answer(response.status_code, response.content)

    async def parts(self, asked: Asked) -> AsyncIterator[bytes]:
        with (
            requests.Session() as session,
            session.request(asked.method, asked.url, stream=True, **self._named(asked)) as response,
        ):
            for part in response.iter_content(None if "/parts" in asked.url else 65_536):
                yield part

    async def forget(self, asked: Asked) -> None:
        # Without a session, that nothing else holds the connection.
        requests.request(asked.method, asked.url, stream=True, **self._named(asked))  # noqa: ASYNC210

    def _named(self, asked: Asked) -> dict[str, Any]:
        return {"data": asked.body, "headers": asked.headers, "timeout": asked.timeout_s}


class Urllib3:
    name = "urllib3"
    request_type = Urllib3Request
    response_type = urllib3.HTTPResponse

    async def call(self, asked: Asked) -> Answer:
        with urllib3.PoolManager() as pool:
            response = pool.request(asked.method, asked.url, retries=self._retries(), **self._named(asked))
            return Answer(response.status, response.data)

    async def parts(self, asked: Asked) -> AsyncIterator[bytes]:
        with urllib3.PoolManager() as pool:
            response = pool.request(asked.method, asked.url, preload_content=False, **self._named(asked))
            try:
                for part in response.stream(65_536):
                    yield part
            finally:
                response.close()

    async def forget(self, asked: Asked) -> None:
        with urllib3.PoolManager() as pool:
            pool.request(asked.method, asked.url, preload_content=False, **self._named(asked))

    def _retries(self) -> urllib3.Retry:
        # A failure is to be seen as it is, and redirects are followed.
        return urllib3.Retry(connect=0, read=0, redirect=5)

    def _named(self, asked: Asked) -> dict[str, Any]:
        return {"body": asked.body, "headers": asked.headers, "timeout": asked.timeout_s}


class Httpx:
    def __init__(self, module: Any) -> None:
        self._httpx = module
        self.name = module.__name__
        self.request_type = module.Request
        self.response_type = module.Response

    async def call(self, asked: Asked) -> Answer:
        with self._httpx.Client(follow_redirects=True, **self._named(asked)) as client:
            response = client.request(asked.method, asked.url, content=asked.body, headers=asked.headers)
            return Answer(response.status_code, response.content)

    async def parts(self, asked: Asked) -> AsyncIterator[bytes]:
        with (
            self._httpx.Client(**self._named(asked)) as client,
            client.stream(asked.method, asked.url, content=asked.body, headers=asked.headers) as response,
        ):
            for part in response.iter_raw():
                yield part

    async def forget(self, asked: Asked) -> None:
        client = self._httpx.Client(**self._named(asked))
        client.send(client.build_request(asked.method, asked.url), stream=True)

    def _named(self, asked: Asked) -> dict[str, Any]:
        # To load all certificates for each client would take most of the time.
        return {"timeout": asked.timeout_s, "verify": False}


class AsyncHttpx(Httpx):
    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.name = f"{module.__name__}, asynchronous"

    async def call(self, asked: Asked) -> Answer:
        async with self._httpx.AsyncClient(follow_redirects=True, **self._named(asked)) as client:
            response = await client.request(
                asked.method, asked.url, content=_awaited(asked.body), headers=asked.headers
            )
            return Answer(response.status_code, response.content)

    async def parts(self, asked: Asked) -> AsyncIterator[bytes]:
        async with (
            self._httpx.AsyncClient(**self._named(asked)) as client,
            client.stream(
                asked.method, asked.url, content=_awaited(asked.body), headers=asked.headers
            ) as response,
        ):
            async for part in response.aiter_raw():
                yield part

    async def forget(self, asked: Asked) -> None:
        client = self._httpx.AsyncClient(**self._named(asked))
        await client.send(client.build_request(asked.method, asked.url), stream=True)


class Aiohttp:
    name = "aiohttp"
    request_type = aiohttp.RequestInfo
    response_type = aiohttp.ClientResponse

    async def call(self, asked: Asked) -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.request(asked.method, asked.url, **self._named(asked)) as response,
        ):
            return Answer(response.status, await response.read())

    async def parts(self, asked: Asked) -> AsyncIterator[bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(asked.method, asked.url, **self._named(asked)) as response,
        ):
            async for part, _ in response.content.iter_chunks():
                # Whether the end of a chunk comes with it or by itself, as nothing, is chance.
                if part:
                    yield part

    async def forget(self, asked: Asked) -> None:
        async with aiohttp.ClientSession() as session:
            await session.request(asked.method, asked.url, **self._named(asked))

    def _named(self, asked: Asked) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=asked.timeout_s)
        return {"data": _awaited(asked.body), "headers": asked.headers, "timeout": timeout}


def _awaited(body: Any) -> Any:
    """An iterable as asynchronous clients want it."""
    if body is None or isinstance(body, bytes):
        return body
    return _iterated(body)


async def _iterated(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


CLIENTS: tuple[Client, ...] = (
    Requests(),
    Httpx(httpx),
    AsyncHttpx(httpx),
    Httpx(httpx2),
    AsyncHttpx(httpx2),
    Aiohttp(),
    Urllib3(),
)
