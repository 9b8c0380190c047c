"""An application's id, wherever it is kept: in the section itself, in a file, or with systemd."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from moesifasgi.shapes import APPLICATION_ID, Fault, parsed
from moesifasgi.shipper.configuration.values import ApplicationSection
from moesifasgi.shipper.named_file import content_of

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd has put the credentials that it loaded for a service; only the service is told."""
MAX_ID_BYTES = 4096


class OutOfSight(Fault):
    """The id is one of systemd's credentials, and this process is not the service that has them."""


def with_id(place: str, section: ApplicationSection, environ: Mapping[str, str]) -> ApplicationSection:
    """The section with its id. Raises Fault."""
    if section.id_file is None or section.application_id is not None:
        return section
    path = id_path(section.id_file, environ)
    if path is None:
        raise OutOfSight(
            f"{place}: id_file {section.id_file}: expected ${CREDENTIALS_VARIABLE}, since a name alone is a"
            " credential that systemd loads for the service"
        )
    where = f"{place}: id_file {path}"
    try:
        text = content_of(path, MAX_ID_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise Fault(f"{where}: expected a file with the id, {_why(error)}") from error
    return replace(section, application_id=parsed(where, APPLICATION_ID, text, secret=True))


def out_of_sight(section: ApplicationSection) -> ApplicationSection:
    """The section with something in place of the id that nobody here can know: no id has a space."""
    return replace(section, application_id=f"credential {section.id_file}")


def id_path(id_file: str, environ: Mapping[str, str]) -> Path | None:
    """Where an id's file is: a name alone is one of systemd's credentials. None: of which there are none."""
    if Path(id_file).is_absolute():
        return Path(id_file)
    credentials = environ.get(CREDENTIALS_VARIABLE)
    return Path(credentials, id_file) if credentials else None


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or "found no text")
