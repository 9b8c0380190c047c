"""When a shipper may be started again: at once where one was killed, later where it cannot serve."""

RETRY_FIRST_S = 0.25
RETRY_LONGEST_S = 60.0
SERVED_S = 5.0
"""A shipper that is gone sooner than that is short-lived: it may not be able to serve at all."""
SHORT_LIVES = 3
"""So many of them in a row are replaced at once, since somebody may have killed them."""
SHORT_LIVED_RETRY_S = 0.5
"""The pause before each one after these; even a killed one is then replaced within two seconds."""


class Retries:
    """``now``: by a clock that only goes forward."""

    def __init__(self) -> None:
        self._due_at = 0.0
        self._pause_s = RETRY_FIRST_S
        """After the next start that fails."""
        self._came_at: float | None = None
        """Since when one answers."""
        self._short_lives = 0

    def is_due(self, now: float) -> bool:
        """Whether one may be started."""
        return now >= self._due_at

    def failed(self, now: float) -> None:
        """A start came to nothing."""
        self._due_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, RETRY_LONGEST_S)

    def came(self, now: float) -> None:
        """One answers; said once or more often."""
        if self._came_at is None:
            self._came_at = now

    def missed(self, now: float) -> None:
        """None answers; said once or more often. Whoever did is gone."""
        came_at, self._came_at = self._came_at, None
        if came_at is None:
            return
        if now - came_at >= SERVED_S:
            self._short_lives, self._pause_s = 0, RETRY_FIRST_S
            return
        self._short_lives += 1
        if self._short_lives > SHORT_LIVES:
            self._due_at = max(self._due_at, now + SHORT_LIVED_RETRY_S)
