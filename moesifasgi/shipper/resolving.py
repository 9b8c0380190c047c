"""Name resolution with a time limit, which ``getaddrinfo`` lacks.

Where no name server answers, that call holds its thread for up to a minute. No deadline of ours could end it,
and an outage would look like a shipper that stands still.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any

Resolve = Callable[..., list[Any]]


class Unresolved(OSError):
    """No answer in time."""


class Resolver:
    """Asks for a name once at a time, whoever wants to know. Any thread."""

    def __init__(self, resolve: Resolve = socket.getaddrinfo) -> None:
        self._resolve = resolve
        self._lock = threading.Lock()
        self._asking: dict[tuple[str, int], _Question] = {}

    def require(self, host: str, port: int, timeout_s: float) -> None:
        """Return once the name has addresses; what is known then is asked again at little cost.

        Raises Unresolved, or the ``socket.gaierror`` that the resolver came to.
        """
        question = self._question(host, port)
        if not question.answered.wait(timeout_s):
            raise Unresolved(f"{host} was not resolved within {timeout_s:g} s")
        if question.fault is not None:
            raise question.fault

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._asking)

    def _question(self, host: str, port: int) -> "_Question":
        with self._lock:
            found = self._asking.get((host, port))
            if found is None:
                found = self._asking[host, port] = _Question()
                work = threading.Thread(
                    target=self._ask, args=(host, port, found), name="moesif-resolver", daemon=True
                )
                work.start()
        return found

    def _ask(self, host: str, port: int, question: "_Question") -> None:
        try:
            self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            question.fault = error
        finally:
            with self._lock:
                del self._asking[host, port]
            question.answered.set()


class _Question:
    """One that is under way."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.fault: OSError | UnicodeError | None = None
