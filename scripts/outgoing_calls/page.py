"""The features as a page for people: docs/outgoing-calls.md."""

from outgoing_calls.clients import CLIENTS
from outgoing_calls.features import FEATURES, Feature
from outgoing_calls.text import HEAD, NOTES


def page() -> str:
    """The whole page, as Markdown."""
    names = [client.name for client in CLIENTS]
    lines = ["| |" + "".join(f" {name} |" for name in names), "|---|" + "---|" * len(names)]
    lines += [_row(feature, names) for feature in FEATURES]
    return "\n".join([HEAD, *lines, "", NOTES])


def _row(feature: Feature, names: list[str]) -> str:
    return f"| {feature.name} |" + "".join(f" {_cell(feature, name)} |" for name in names)


def _cell(feature: Feature, name: str) -> str:
    return feature.instead[name].words if name in feature.instead else "yes"
