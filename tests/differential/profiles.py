"""Settings of the compared applications, by profile. Runs in either environment, as ``application`` does.

What a hook says of a request is written in the request's own headers, ``x-say-<hook>``.
"""

import datetime
from typing import Any


def identify_user(request: Any, response: Any) -> str | int | None:
    said = request.headers.get("x-say-user")
    if said == "raise":
        raise LookupError("no such user")
    if said is not None and said.isdecimal():
        return int(said)
    return said


async def identify_company(request: Any, response: Any) -> str | None:
    return request.headers.get("x-say-company")


def get_session_token(request: Any, response: Any) -> str | None:
    return request.headers.get("x-say-session")


def get_metadata(request: Any, response: Any) -> dict[str, Any] | None:
    said = request.headers.get("x-say-metadata")
    if said == "date":
        return {"on": datetime.date(2024, 2, 29)}
    if said == "status":
        return {
            "status": response.status_code,
            "type": response.headers["content-type"],
            "nested": {"a": [1, True]},
        }
    return None


def skip(request: Any, response: Any) -> bool:
    return "x-say-skip" in request.headers


def mask(eventmodel: Any) -> Any:
    """As the published README shows it, for both bodies."""
    if "password" in eventmodel.request.body:
        eventmodel.request.body["password"] = None
    if "password" in eventmodel.response.body:
        eventmodel.response.body["password"] = None
    return eventmodel


def mask_request(eventmodel: Any) -> Any:
    eventmodel.request.body["password"] = None
    eventmodel.request.headers.pop("x-secret", None)
    return eventmodel


def mask_in_place(eventmodel: Any) -> Any:
    """Forgets to return the event where it has changed it."""
    if eventmodel.request.headers.pop("x-secret", None) is None:
        return eventmodel
    return None


PROFILES: dict[str, dict[str, Any]] = {
    "plain": {},
    "hooks": {
        "IDENTIFY_USER": identify_user,
        "IDENTIFY_COMPANY": identify_company,
        "GET_SESSION_TOKEN": get_session_token,
        "GET_METADATA": get_metadata,
        "SKIP": skip,
    },
    "tokens": {
        "AUTHORIZATION_HEADER_NAME": "X-Token, Authorization",
        "AUTHORIZATION_USER_ID_FIELD": "User_Id",
        "API_VERSION": "2024-02",
    },
    "dotted": {"AUTHORIZATION_USER_ID_FIELD": "user.id"},
    "bodiless": {"LOG_BODY": False},
    "no-id": {"DISABLED_TRANSACTION_ID": True},
    "masked": {"MASK_EVENT_MODEL": mask},
    "masked-request": {"MASK_EVENT_MODEL": mask_request},
    "masked-in-place": {"MASK_EVENT_MODEL": mask_in_place},
}
