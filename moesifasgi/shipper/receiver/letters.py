"""What a tool is answered about dead letters. Knows no peer and no socket."""

from moesifasgi.shipper.letters import facts_of
from moesifasgi.shipper.spool import Spool, SpoolError
from moesifasgi.wire.messages import (
    DecideLetters,
    LetterPart,
    Letters,
    LettersDecided,
    ListLetters,
    Message,
    ReadLetter,
    Refused,
)

PAGE_LETTERS = 20
"""Each is read whole from the spool: a page has to take less time than a busy worker's ring has room."""
PART_BYTES = 256 * 1024


def answered(spool: Spool, question: ListLetters | ReadLetter | DecideLetters) -> Message:
    """The answer; Refused where the spool cannot give it now. For the intake thread."""
    try:
        match question:
            case ListLetters(after):
                page = spool.dead_letters(PAGE_LETTERS, after)
                return Letters([facts_of(kept).to_wire() for kept in page])
            case ReadLetter(session, sequence, offset):
                return _part(spool, session, sequence, offset)
            case DecideLetters(retry, keys):
                decide = spool.retry_dead_letters if retry else spool.discard_dead_letters
                return LettersDecided(decide([(session, sequence) for session, sequence in keys]))
    except SpoolError as error:
        return Refused(str(error))


def _part(spool: Spool, session: bytes, sequence: int, offset: int) -> LetterPart:
    kept = spool.dead_letter((session, sequence))
    if kept is None:
        return LetterPart(0, b"")
    start = max(0, offset)
    return LetterPart(len(kept.letter.payload), kept.letter.payload[start : start + PART_BYTES])
