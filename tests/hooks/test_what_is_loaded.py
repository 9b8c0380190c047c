"""Who sets no function does not pay for it at import."""

import subprocess
import sys

import pytest

CODE = """
import sys
from moesifasgi import MoesifMiddleware

async def app(scope, receive, send): ...
MoesifMiddleware(app, settings={{"APPLICATION_ID": "a", "TRANSPORT": "memory", {setting}}})
print(*{{name.partition(".")[0] for name in sys.modules}})
"""


@pytest.mark.parametrize(
    ("setting", "loaded"),
    [
        ("", set()),
        ('"REQUEST_BODY_MASKS": ["password"]', set()),
        ('"IDENTIFY_USER": print', {"starlette"}),
        ('"MASK_EVENT_MODEL": print', {"moesifapi"}),
    ],
)
def test_starlette_and_moesifapi_are_loaded_where_a_function_needs_them(setting: str, loaded: set[str]):
    code = CODE.format(setting=setting)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert {"starlette", "moesifapi"} & set(done.stdout.split()) == loaded
