"""Where an event says in what it shows less than what happened: its metadata, under one key."""

from typing import Any

NOTES_KEY = "moesif"
"""A user's own map there is kept, and added to."""


def notes_in(event: dict[str, Any]) -> dict[str, Any]:
    """The event's notes, to be added to."""
    return _map_in(_map_in(event, "metadata"), NOTES_KEY)


def body_note_in(event: dict[str, Any], side: str) -> dict[str, Any]:
    """The note about the body of ``request`` or ``response``, to be added to."""
    return _map_in(notes_in(event), f"{side}_body")


def _map_in(parent: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(parent.get(key), dict):
        parent[key] = {}
    child: dict[str, Any] = parent[key]
    return child
