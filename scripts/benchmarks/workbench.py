"""The place where subjects take turns: how often and how much, a directory, and an end for all of them."""

import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.processes import bearing, kill_all, marked

SCRIPTS = Path(__file__).parent.parent
CLOSE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: ``rounds`` turns of each subject, ``count`` units of work in a turn."""

    rounds: int
    count: int

    def for_shippers(self) -> "Plan":
        """Fewer and larger turns: a shipper works in batches of up to 200."""
        return Plan(max(4, self.rounds // 3), self.count * 10)


FULL = Plan(rounds=40, count=500)
"""Many short turns: what disturbs a shared machine lasts longer than a round, so its figures stay pairs."""
QUICK = Plan(rounds=10, count=250)


class Subject:
    """Our end of a measured process: it reads a count of units a line, and answers what they cost in JSON."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_file: Path) -> None:
        self._log_file = log_file
        with log_file.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=SCRIPTS,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def turn(self, count: int) -> dict[str, Any]:
        """Do ``count`` units of work and tell what it cost. RuntimeError with its log if it cannot."""
        pipe = self._popen
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        with suppress(BrokenPipeError):
            pipe.stdin.write(f"{count}\n")
            pipe.stdin.flush()
        if not (line := pipe.stdout.readline()):
            log = self._log_file.read_text("utf-8", "replace")
            raise RuntimeError(f"{self._log_file.stem} failed:\n{log}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End of input, then wait until it has left."""
        self._popen.communicate(timeout=CLOSE_TIMEOUT_S)


class Workbench:
    """What a group of rows needs to measure. Subjects opened on it are closed with it."""

    def __init__(self, plan: Plan, directory: Path, environment: Mapping[str, str], stack: ExitStack) -> None:
        self.plan = plan
        self.directory = directory
        """Empty, short enough for Unix sockets, removed afterwards."""
        self.stack = stack
        self._environment = environment

    def subject(self, name: str, python: str, module: str, *arguments: str) -> Subject:
        """Start ``python -m module arguments…`` among our scripts as a subject."""
        command = [python, "-m", module, *arguments]
        opened = Subject(command, self._environment, self.directory / f"{name}.log")
        self.stack.callback(opened.close)
        return opened

    def answer(self, python: str, module: str) -> dict[str, Any]:
        """Run ``python -m module`` among our scripts to its end; what it printed is one JSON object."""
        done = subprocess.run(
            [python, "-m", module], cwd=SCRIPTS, env=self._environment, check=True, stdout=subprocess.PIPE
        )
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    def alternate(
        self, subjects: Mapping[str, Subject], warm_up: int = 1, plan: Plan | None = None
    ) -> dict[str, list[float]]:
        """CPU seconds a unit of each subject, one figure a round; all take one turn a round, in order."""
        plan = plan or self.plan
        rounds = [self._round(subjects, plan.count) for _ in range(warm_up + plan.rounds)][warm_up:]
        return {name: [each[name] for each in rounds] for name in subjects}

    def _round(self, subjects: Mapping[str, Subject], count: int) -> dict[str, float]:
        return {name: subject.turn(count)["cpu_s"] / count for name, subject in subjects.items()}


@contextmanager
def workbench(plan: Plan) -> Iterator[Workbench]:
    """A workbench; at its end all its subjects and whatever these started are gone."""
    environment, mark = marked()
    # Two virtual environments take part: a path meant for one of them would mislead the other.
    environment.pop("PYTHONPATH", None)
    # Where it is set, an import would be measured with the compiling that users pay for once.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp") as directory:
        try:
            with ExitStack() as stack:
                yield Workbench(plan, Path(directory), environment, stack)
        finally:
            kill_all(bearing(mark))


def added(samples: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """Median over the rounds of what ``name`` costs more than ``base`` did in the same round."""
    return statistics.median(a - b for a, b in zip(samples[name], samples[base], strict=True))
