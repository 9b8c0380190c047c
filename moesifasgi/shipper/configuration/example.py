"""The example file: every key with its meaning and a value. Printed by ``moesif-shipper check --example``."""

import textwrap
from collections.abc import Iterator

from moesifasgi.shipper.configuration.key import Key, keys_of
from moesifasgi.shipper.configuration.load import SECTIONS
from moesifasgi.shipper.configuration.values import DEFAULT_FILE, ApplicationSection, Configuration

WIDTH = 100
_HEAD = f"""\
# moesif-shipper: {DEFAULT_FILE}, or the file that --config names.
#
# Every key is optional. What is set in the environment as MOESIF_SHIPPER_<KEY> wins over this file, and an
# option of the command wins over both. "moesif-shipper check" looks at all of it; SIGHUP makes a running
# shipper read it again. A file that holds an application's id must be closed to others: chmod 0640.
"""
_APPLICATION = """\
# One section for each application whose events are not to be delivered as its workers say. What is not set
# here is as above, else as the worker says.
"""


def example() -> str:
    """The whole file; all keys are commented out."""
    lines = [_HEAD]
    lines += [_entry(key) for _, key in keys_of(Configuration)]
    lines += [_APPLICATION, f"# [[{SECTIONS}]]\n"]
    lines += [_entry(key) for _, key in keys_of(ApplicationSection)]
    return "\n".join(lines)


def _entry(key: Key) -> str:
    return "".join(f"{line}\n" for line in (*_comment(key), f"# {key.name} = {key.example}"))


def _comment(key: Key) -> Iterator[str]:
    meaning = key.meaning + ("" if key.live else " A change needs a restart.")
    yield from (f"# {line}" for line in textwrap.wrap(meaning, WIDTH))
