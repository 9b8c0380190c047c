"""A worker in this process, the policy that it is pushed, and a server of one request."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab.one_worker import OneWorker

Push = Callable[..., None]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[OneWorker]:
    """Its every event must have a fate at the end of the test, and nothing of ours may have failed."""
    made = OneWorker(tmp_path)
    yield made
    assert made.difference == 0
    assert made.counted("governance_failed") == 0
    assert made.counted("dropped.internal_error") == 0


@pytest.fixture
def push(worker: OneWorker) -> Push:
    """``push(rules=[...], sample_rate=30)``: a new policy for all applications; the rest is its config."""

    def pushed(*, rules: list[dict[str, Any]] | None = None, **config: Any) -> None:
        for key, _ in enumerate(worker.channel.applications):
            worker.channel.push(key, {"config": config, "rules": rules or []})

    return pushed
