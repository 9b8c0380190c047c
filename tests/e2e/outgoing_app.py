"""An application whose every answer takes a call to another API, by a client library that the path names."""

import os
from typing import Any

import aiohttp
import httpx
import requests
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from moesifasgi import MoesifMiddleware

UPSTREAM = os.environ["UPSTREAM"]


def identify(request: Any, response: Any) -> str | None:
    return request.headers.get("x-user")


app = FastAPI()
app.add_middleware(MoesifMiddleware, settings={"IDENTIFY_USER": identify})


@app.get("/{library}/{number}")
async def call(library: str, number: int) -> int:
    url = f"{UPSTREAM}/echo?n={number}"
    if library == "httpx":
        async with httpx.AsyncClient(verify=False) as client:
            return (await client.get(url)).status_code
    if library == "aiohttp":
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            await response.read()
            return response.status
    return (await run_in_threadpool(requests.get, url, timeout=10)).status_code
