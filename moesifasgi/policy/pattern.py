"""A pattern's text: its tokens, and other forms of it that find the same."""

import re
from collections.abc import Sequence
from typing import Final

TOKEN: Final = re.compile(
    r"""
      (?P<comment>    \(\?\#[^)]*\) )
    | (?P<flags>      \(\?[aiLmsux]+\) )
    | (?P<strange>    \(\?\( | \(\?P= | \(\?[aiLmsux]*(?:x|-)[aiLmsux-]*: | \\[1-9] )
    | (?P<lookaround> \(\?<?[=!] )
    | (?P<open>       \( (?: \? (?: P<\w+> | > | [aiLmsu]*: ) )? )
    | (?P<close>      \) )
    | (?P<bar>        \| )
    | (?P<quantifier> (?: [*+?] | \{(?=[\d,])\d*,?\d*\} ) [?+]? )
    | (?P<atom>       \\. | \[\^?\]?(?:\\.|[^\]\\])*\] | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPED_OR_BRACKET = re.compile(r"(\\.)|\[", re.DOTALL)
_ANYTHING = (".*", ".*?")


def literal_of(pattern: str) -> str | None:
    """The text that a pattern of mere letters stands for; None: it is more than that."""
    letters = [_letter(match.lastgroup, match.group()) for match in TOKEN.finditer(pattern)]
    found = [letter for letter in letters if letter is not None]
    return "".join(found) if len(found) == len(letters) else None


def _letter(kind: str | None, text: str) -> str | None:
    if kind != "atom" or text in (".", "^", "$") or len(text) > 2 or text[0] == "[":
        return None
    return text if len(text) == 1 else None if text[1].isalnum() else text[1]


def without_idle_ends(pattern: str) -> str:
    """``pattern`` without a ``.*`` at its beginning or end.

    Where only *whether* it is found matters, they do nothing but multiply the time of the search.
    """
    tokens = [(match.lastgroup, match.group()) for match in TOKEN.finditer(pattern)]
    if any(kind in ("bar", "flags", "strange", "comment") for kind, _ in tokens):
        return pattern
    texts = [text for _, text in tokens]
    while len(texts) >= 2 and "".join(texts[:2]) in _ANYTHING and texts[0] == ".":
        texts = texts[2:]
    while _ends_idly(texts):
        texts = texts[:-2]
    return "".join(texts)


def plain_for_regex(pattern: str) -> str:
    """``pattern`` so that ``regex`` reads it as ``re`` does.

    ``regex`` takes ``{e<=1}`` for a fuzzy match, stumbles over other braces, as in a GraphQL query, and knows
    ``[[:alpha:]]``; for ``re`` these are letters.
    """
    return "".join(_plain(match.group()) for match in TOKEN.finditer(pattern))


def _plain(token: str) -> str:
    if token == "{":
        return r"\{"
    if token.startswith("[") and len(token) > 1:
        return "[" + _ESCAPED_OR_BRACKET.sub(lambda found: found[1] or r"\[", token[1:])
    return token


def _ends_idly(texts: Sequence[str]) -> bool:
    return len(texts) >= 2 and texts[-2] == "." and texts[-1] in ("*", "*?")
