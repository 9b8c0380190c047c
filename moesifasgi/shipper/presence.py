"""When an embedded shipper may leave. Pure: it is told the time and what there is to do."""

GRACE_S = 2.0
"""With nothing to deliver it stays so long without workers: a reload brings new ones within it."""
FIRST_WORKER_S = 5.0
"""How long it waits for its first worker, which is connecting already when it starts."""


class Presence:
    """Times are monotonic seconds. ``linger_s``: how long it goes on delivering without a worker."""

    def __init__(self, linger_s: float, now: float) -> None:
        self._linger_s = linger_s
        self._last_worker = now
        self._served = False
        self._asked_to_leave = False

    def ask_to_leave(self) -> None:
        """SIGTERM: heeded once no worker is connected; a supervisor may signal a whole group at once."""
        self._asked_to_leave = True

    def may_leave(self, workers: int, idle: bool, now: float) -> bool:
        """Whether nothing is left to do here, or what is left can wait in the spool."""
        if workers:
            self._last_worker, self._served = now, True
            return False
        alone_s = now - self._last_worker
        if idle:
            return self._asked_to_leave or alone_s >= (GRACE_S if self._served else FIRST_WORKER_S)
        return alone_s >= max(self._linger_s, 0.0 if self._served else FIRST_WORKER_S)
