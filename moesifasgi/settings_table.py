"""README's table of settings, from the settings themselves. Read by people only: no worker loads this."""

import ast
import inspect
from dataclasses import MISSING, fields
from itertools import pairwise

from moesifasgi.setting import Entry, entry_of
from moesifasgi.settings import ENTRIES, SECTIONS


def markdown_table() -> str:
    """Every key with its default and meaning, as README shows it."""
    meanings = _meanings()
    rows = [f"| `{key}` | {_shown_default(entry)} | {meanings[key]} |" for key, entry in ENTRIES.items()]
    return "\n".join(("| key | default | meaning |", "|---|---|---|", *rows))


def _meanings() -> dict[str, str]:
    """The docstring under each field, by key: documentation that nobody pays for at run time."""
    found = {}
    for section in SECTIONS.values():
        (tree,) = ast.parse(inspect.getsource(section)).body
        assert isinstance(tree, ast.ClassDef)
        keys = {f.name: entry_of(f).key for f in fields(section)}
        for statement, following in pairwise(tree.body):
            match statement, following:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[keys[name]] = " ".join(text.split())
    return found


def _shown_default(entry: Entry) -> str:
    if entry.default is MISSING:
        return "required"
    if entry.shown or entry.follows:
        return entry.shown or f"`{entry.follows}`"
    if isinstance(entry.default, tuple):
        return f"`{', '.join(entry.default) or '[]'}`"
    return f"`{entry.default:_}`" if type(entry.default) is int else f"`{entry.default}`"
