"""Two middlewares of one application, each with settings of its own; SERVICE names the process."""

import os

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from moesifasgi import MoesifMiddleware


def part(name: str) -> Mount:
    own = f"{os.environ['SERVICE']}.{name}"
    settings = {"API_VERSION": own, "AUTHORIZATION_USER_ID_FIELD": own}
    return Mount(f"/{name}", MoesifMiddleware(PlainTextResponse(own), settings))


app = Starlette(routes=[part("a"), part("b")])
