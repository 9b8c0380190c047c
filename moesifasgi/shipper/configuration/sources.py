"""What was given, and where: the file, the environment, the options. Nothing is judged here but the form."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from moesifasgi.errors import SettingsError
from moesifasgi.shipper.configuration.values import DEFAULT_FILE
from moesifasgi.shipper.named_file import content_of

MAX_FILE_BYTES = 1 << 20
CONFIG_VARIABLE = "MOESIF_SHIPPER_CONFIG"


class Sources(NamedTuple):
    """All that was given. A later one wins over an earlier one, key by key."""

    file: Path | None
    """None: there is none, and none was named."""
    content: Mapping[str, Any]
    environ: Mapping[str, str]
    options: Mapping[str, str]
    """By the names of their keys; only those that were given."""


def gather(file: Path | None, environ: Mapping[str, str], options: Mapping[str, str]) -> Sources:
    """Read the file that is named, or the usual one if it is there. Raises SettingsError."""
    named = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    path = named or Path(DEFAULT_FILE)
    try:
        content = _content(path)
    except FileNotFoundError:
        if named is not None:
            raise SettingsError([f"{path}: expected a TOML file, found nothing"]) from None
        return Sources(None, {}, environ, options)
    except OSError as error:
        raise SettingsError([f"{path}: expected a TOML file, {error.strerror}"]) from error
    return Sources(path, content, environ, options)


def _content(path: Path) -> dict[str, Any]:
    # What is no file could make a reload wait, or never end.
    data = content_of(path, MAX_FILE_BYTES)
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: expected UTF-8"]) from None
    except RecursionError:
        raise SettingsError([f"{path}: expected a TOML file, found brackets without end"]) from None
    except ValueError as error:
        raise SettingsError([f"{path}: expected a TOML file: {error}"]) from None
