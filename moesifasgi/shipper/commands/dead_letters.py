"""``moesif-shipper dead-letters``: what the collector refused for good, and what a person makes of it."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from moesifasgi.shipper.commands.exits import NO_SHIPPER, UNHEALTHY, shipper_answers
from moesifasgi.shipper.commands.options import PATH, socket_meant
from moesifasgi.shipper.commands.progress import progress

if TYPE_CHECKING:
    from moesifasgi.shipper.letter_boxes import LetterBox
    from moesifasgi.shipper.letters import Facts

AT_ONCE = 200
"""Letters decided on in one step: a transaction of some milliseconds."""


@click.group("dead-letters")
def dead_letters() -> None:
    """See, save, retry or discard what Moesif refused for good.

    A dead letter is an item that the collector will not take, however often it is uploaded: 400, 413, or one
    that cannot be encoded. It is kept with the reason; the oldest go when there are more than 10,000.

    \b
    moesif-shipper dead-letters list
    moesif-shipper dead-letters show 3f9c2a1b-17
    moesif-shipper dead-letters retry 3f9c2a1b-17
    """


def box_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--spool-dir`` and ``--socket``, of which at most one may be given."""
    for option in (
        click.option("--socket", type=PATH, help="The shipper's socket. Default: the one that runs."),
        click.option("--spool-dir", type=PATH, help="Instead of asking, look into this spool."),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@dead_letters.command("list")
@box_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def list_letters(as_json: bool, **where: Path | None) -> None:
    """List all dead letters, oldest first: id, time, application, stream, code and reason."""
    with _opened(**where) as box:
        for letter in box.letters():
            click.echo(json.dumps(letter.to_json(), ensure_ascii=False) if as_json else _line(letter))


@dead_letters.command()
@box_options
@click.argument("letter_id", metavar="ID")
@json_option
def show(letter_id: str, as_json: bool, **where: Path | None) -> None:
    """Show one dead letter with all that is in it: the event as it would be uploaded."""
    with _opened(**where) as box:
        (letter,) = _meant(box, [letter_id])
        whole = _whole(box, letter)
    if as_json:
        click.echo(json.dumps(whole, ensure_ascii=False))
        return
    for name, value in whole.items():
        shown = json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else value
        click.echo(f"{name}: {shown}")


@dead_letters.command()
@box_options
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
def export(file: Path, as_json: bool, **where: Path | None) -> None:
    """Write all dead letters into a new FILE that only you can read ("-": stdout), one JSON object a line."""
    with _opened(**where) as box:
        letters = list(box.letters())
        with _new_file(file) as output, progress(len(letters), "letters") as done:
            for letter in letters:
                output.write(json.dumps(_whole(box, letter), ensure_ascii=False) + "\n")
                done(1)
    told = json.dumps({"exported": len(letters)}) if as_json else f"exported {len(letters)} dead letters"
    click.echo(told, err=True)


@dead_letters.command()
@box_options
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask before all are retried.")
@json_option
def retry(ids: tuple[str, ...], yes: bool, as_json: bool, **where: Path | None) -> None:
    """Put dead letters back into the spool, to be delivered with the ids that they have; without an ID, all.

    An update of a user or company counts as if it came now: it can undo a newer one.
    """
    _decide(ids, yes, as_json, where, retry=True)


@dead_letters.command()
@box_options
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask before all are discarded.")
@json_option
def discard(ids: tuple[str, ...], yes: bool, as_json: bool, **where: Path | None) -> None:
    """Delete dead letters for good; without an ID, all. They are counted as dropped: discarded."""
    _decide(ids, yes, as_json, where, retry=False)


def _decide(
    ids: tuple[str, ...], yes: bool, as_json: bool, where: dict[str, Path | None], *, retry: bool
) -> None:
    verb, done = ("retry", "retried") if retry else ("discard", "discarded")
    with _opened(**where) as box:
        letters = _meant(box, ids) if ids else list(box.letters())
        if letters and not ids and not yes:
            click.confirm(f"{verb} all {len(letters)} dead letters?", abort=True, err=True)
        decided = 0
        try:
            with progress(len(letters), "letters") as advance:
                for some in _handfuls(letters):
                    decided += box.decide([letter.key for letter in some], retry=retry)
                    advance(len(some))
        finally:
            told = f"{done} {decided} of {len(letters)} dead letters"
            click.echo(json.dumps({done: decided, "meant": len(letters)}) if as_json else told)
    if decided < len(letters):
        sys.exit(UNHEALTHY)


@contextmanager
def _opened(socket: Path | None = None, spool_dir: Path | None = None) -> "Iterator[LetterBox]":
    """The box that is meant. One line and an exit code where it cannot be had."""
    from moesifasgi.shipper.letter_boxes import RunningShipper, SpoolAtRest
    from moesifasgi.shipper.spool import SpoolError, SpoolInUse

    if socket is not None and spool_dir is not None:
        raise click.UsageError("expected --socket or --spool-dir, not both")
    try:
        with shipper_answers("--spool-dir looks into the spool of one that is stopped"):
            yield RunningShipper(socket_meant(socket)) if spool_dir is None else SpoolAtRest(spool_dir)
    except SpoolError as error:
        hint = "; --socket asks the shipper" if isinstance(error, SpoolInUse) else ""
        click.echo(f"{error}{hint}", err=True)
        sys.exit(NO_SHIPPER)


def _meant(box: "LetterBox", ids: Iterable[str]) -> "list[Facts]":
    from moesifasgi.shipper.letters import meant

    try:
        return meant(ids, box.letters())
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _whole(box: "LetterBox", letter: "Facts") -> dict[str, Any]:
    from moesifasgi.shipper.letters import content_of

    payload = box.payload(letter)
    inside = {"content": None} if payload is None else content_of(letter.kind, payload)
    return {**letter.to_json(), **inside}


def _line(letter: "Facts") -> str:
    facts = (letter.id, letter.refused_at_text, letter.application, letter.stream, letter.code, letter.reason)
    return "  ".join(facts)


def _handfuls(letters: "list[Facts]") -> "Iterator[list[Facts]]":
    left = iter(letters)
    while some := list(islice(left, AT_ONCE)):
        yield some


@contextmanager
def _new_file(file: Path) -> Iterator[IO[str]]:
    """A file that was not there, closed to others: what is in a dead letter was meant for Moesif alone."""
    if str(file) == "-":
        yield sys.stdout
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file}: expected a name for a new file: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        yield output
