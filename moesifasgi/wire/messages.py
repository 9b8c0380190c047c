"""The messages of the wire, as values. ``codec`` says how they look as bytes.

    worker → shipper   HELLO, EVENT, STATS, REPORT, DRAIN, BYE
    shipper → worker   WELCOME, ACK, POLICY, DRAINED, REFUSED
    tool → shipper     STATUS, DRAIN, TAKE_OVER, LIST_LETTERS, READ_LETTER, DECIDE_LETTERS
    shipper → tool     STATUS_REPLY, DRAINED, LEAVING, LETTERS, LETTER_PART, LETTERS_DECIDED, REFUSED
    master → shipper   ATTACH                   shipper → master ATTACHED, REFUSED
    successor → embedded shipper                SUPERSEDE

A connection starts with HELLO and its answer WELCOME (or REFUSED); a tool may ask without HELLO. HELLO,
REFUSED and SUPERSEDE keep their first fields in every version of the wire: by them two versions find out
about each other.
"""

from enum import IntEnum
from typing import Any, NamedTuple

WIRE_VERSION = 1
"""The newest version of the wire this code speaks."""
OLDEST_WIRE_VERSION = 1
"""The oldest one it still speaks."""
SESSION_BYTES = 16
"""Length of a session's id: the bytes of a uuid4."""
MAX_LETTER_KEYS = 1000
"""In one DECIDE_LETTERS."""
MAX_REPORT_LINES = 20
MAX_REPORT_LINE_CHARS = 200


class Kind(IntEnum):
    """What an EVENT frame carries; the shipper's endpoint follows from it."""

    RECORD = 0
    """A ``Record``; the shipper builds the event."""
    EVENT = 1
    """A finished event object, because a mask or a rule needed it in the worker."""
    USER = 2
    COMPANY = 3
    SUBSCRIPTION = 4
    ACTION = 5


class Hello(NamedTuple):
    """Who is speaking. May be sent only once on a connection."""

    oldest_version: int
    newest_version: int
    session: bytes
    """One worker process's life on the wire: 16 random bytes, new after a fork."""
    base: int
    """The first sequence that is not acknowledged; the worker will resend from here."""
    pid: int
    sdk_version: str
    applications: list[dict[str, Any]]
    """``Application.to_wire()`` of each; the index is the key that EVENT frames use."""
    bequeathed: bool = False
    """A dead worker's, read from the file that it left: what it says of its applications may be outdated."""


class Welcome(NamedTuple):
    version: int
    last: int
    """The last sequence of this session that is in the spool; the worker resumes after it."""
    pid: int
    sdk_version: str


class Event(NamedTuple):
    kind: int
    key: int
    sequence: int
    payload: bytes
    """One msgpack object: an array (``Record``) or a map. Not decoded here."""


class Ack(NamedTuple):
    sequence: int
    """The shipper has taken responsibility for all frames up to and including this one."""


class Policy(NamedTuple):
    """What the dashboard decided for one application."""

    key: int
    document: bytes
    """A packed map (``policy_document``): packed once for all workers, and not decoded here."""


class Stats(NamedTuple):
    ring_events: int
    ring_bytes: int
    counters: dict[str, int]


class Report(NamedTuple):
    """What the worker has to say about the policy that it enforces; replaces what it said before."""

    key: int
    lines: list[str]


class Drain(NamedTuple):
    """Deliver now all that came before; ``token`` comes back in the answer."""

    token: int
    give_up: bool
    """True (a leaving worker): answer at once if the collector is known to fail. False (flush): wait."""


class Drained(NamedTuple):
    token: int
    delivered: bool
    """False: what is left stays in the spool, for ``reason``."""
    reason: str


class Bye(NamedTuple):
    """The session is over: it will not come back, its row can go."""

    final_sequence: int


class Refused(NamedTuple):
    """The shipper will not serve this peer; the connection closes after it."""

    reason: str
    newest_version: int = WIRE_VERSION
    """The newest version of the wire that it speaks."""


class Supersede(NamedTuple):
    """A newer version's shipper is there: leave in good order, though workers are connected.

    REFUSED where it is no newer.
    """

    sdk_version: str


class StatusRequest(NamedTuple):
    pass


class StatusReply(NamedTuple):
    status: dict[str, Any]


class Attach(NamedTuple):
    """Read this queue too: the read end of a pipe comes beside the message (SCM_RIGHTS). See ``pieces``."""


class Attached(NamedTuple):
    """It is read from now on, until all who can write to it are gone."""

    pid: int


class TakeOver(NamedTuple):
    """Leave soon: another shipper goes on with socket and spool. For the shipper's own user and root."""


class Leaving(NamedTuple):
    """The answer to it."""

    pid: int


class ListLetters(NamedTuple):
    """What dead letters are there? For the shipper's own user and root, as are all that ask about them."""

    after: int
    """Only those with a larger number: the page before ended with this one."""


class Letters(NamedTuple):
    """The answer: one page, oldest first; empty at the end."""

    letters: list[dict[str, Any]]


class ReadLetter(NamedTuple):
    """What is in this dead letter, from this byte on?"""

    session: bytes
    sequence: int
    offset: int


class LetterPart(NamedTuple):
    """The answer: some of its bytes, and how many it has; none where there is no such letter."""

    size: int
    part: bytes


class DecideLetters(NamedTuple):
    """Retry these dead letters, or (False) discard them."""

    retry: bool
    keys: list[list[Any]]
    """Session and sequence of each."""


class LettersDecided(NamedTuple):
    """The answer: how many of them there were."""

    decided: int


Message = (
    Hello
    | Welcome
    | Event
    | Ack
    | Policy
    | Stats
    | Report
    | Drain
    | Drained
    | Bye
    | Refused
    | Supersede
    | StatusRequest
    | StatusReply
    | TakeOver
    | Leaving
    | ListLetters
    | Letters
    | ReadLetter
    | LetterPart
    | DecideLetters
    | LettersDecided
    | Attach
    | Attached
)
