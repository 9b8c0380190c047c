"""What a worker says beside its events: what waits, what is said again, and what only once."""

from moesifasgi.channel.control import Control
from moesifasgi.wire.codec import decode
from moesifasgi.wire.frame import PREFIX
from moesifasgi.wire.messages import Message, Report, Stats

ONE, TWO = Report(0, ["one"]), Report(1, ["two"])


def stats(events: int) -> Stats:
    return Stats(events, 0, {})


def said(control: Control) -> list[Message]:
    return [decode(framed[PREFIX.size :]) for framed in control.take()]


def test_statistics_that_were_not_taken_are_replaced_by_newer_ones_and_questions_stay():
    control = Control()
    control.tell(control.news(stats(1), []))
    control.ask(control.news(stats(99), [])[0])
    control.tell(control.news(stats(2), []))
    control.tell(control.news(stats(3), []))
    assert said(control) == [stats(99), stats(3)]
    assert len(control) == 0


def test_a_report_is_said_once_and_a_changed_one_again():
    control = Control()
    changed = Report(1, ["two, changed"])
    control.tell(control.news(stats(1), [ONE, TWO]))
    control.tell(control.news(stats(1), [ONE, changed]))
    assert said(control) == [ONE, TWO, stats(1), changed]


def test_a_new_connection_is_asked_and_told_everything_again():
    control = Control()
    (question,) = control.news(stats(7), [])
    control.tell(control.news(stats(1), [ONE]))
    control.start_over([question])
    control.tell(control.news(stats(2), [ONE]))
    assert said(control) == [stats(7), stats(2), ONE]
