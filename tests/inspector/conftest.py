"""What the inspector's tests share: valid items, and an HTTP client that is not ours."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from moesifasgi.inspector import Collector


class Client:
    """A client of one application."""

    def __init__(self, url: str, application_id: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-Moesif-Application-Id"] = application_id

    def post(self, path: str, document: Any, **more: Any) -> requests.Response:
        return self.session.post(self.url + path, json=document, timeout=10, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=10, **more)

    def put(self, path: str, document: Any, **more: Any) -> requests.Response:
        return self.session.put(self.url + path, json=document, timeout=10, **more)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.url + path, timeout=10)


@pytest.fixture
def client_of() -> Iterator[Callable[..., Client]]:
    """A maker of clients for a URL and an application; closes them."""
    with ExitStack() as stack:

        def made(url: str, application_id: str = "application-of-the-tests-1234") -> Client:
            client = Client(url, application_id)
            stack.callback(client.session.close)
            return client

        yield made


@pytest.fixture
def client(collector: Collector, client_of: Callable[..., Client]) -> Client:
    return client_of(collector.url)


@pytest.fixture
def other_client(collector: Collector, client_of: Callable[..., Client]) -> Client:
    return client_of(collector.url, "another-application-5678")


@pytest.fixture
def event() -> Any:
    """A maker of valid events; keywords replace top-level fields."""

    def made(**fields: Any) -> dict[str, Any]:
        return {
            "transaction_id": str(uuid.uuid4()),
            "direction": "Incoming",
            "request": {
                "time": "2099-01-01T10:00:00.123",
                "uri": "https://api.example.com/orders?page=2",
                "verb": "GET",
                "headers": {"accept": "*/*"},
                "ip_address": "2001:db8::1",
            },
            "response": {"time": "2099-01-01T10:00:00.223Z", "status": 200, "headers": {}},
            **fields,
        }

    return made
