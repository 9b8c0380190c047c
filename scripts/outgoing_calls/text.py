"""What the page says around its table."""

HEAD = """# Outgoing calls

With `CAPTURE_OUTGOING_REQUESTS` the calls that your application makes to other APIs are recorded too, as
events with the direction `Outgoing`. They take the same way as all others: through the worker's socket, the
shipper and its spool.

```python
from fastapi import FastAPI

from moesifasgi import MoesifMiddleware


def skip_outgoing(request, response):
    return request.method == "OPTIONS"


app = FastAPI()
app.add_middleware(
    MoesifMiddleware,
    settings={
        "APPLICATION_ID": "YOUR_APPLICATION_ID",
        "CAPTURE_OUTGOING_REQUESTS": True,
        "SKIP_OUTGOING": skip_outgoing,
    },
)
```

Recording begins when the middleware is made: at the server's start, or under Starlette and FastAPI with the
server's first message. A library is patched when the application has imported it, whether that is before or
after.

## What is recorded of which library

Each cell is a test. (`python scripts/readme.py` writes this page from `scripts/outgoing_calls`.)
"""
NOTES = """
A Moesif library for Python, boto3 and many others make their calls by requests or urllib3, the SDKs of most
APIs by httpx: they are recorded as those are. What is not: `urllib.request`, `http.client`, other
libraries, WebSockets; calls in tests that reach no network (Starlette's `TestClient`, httpx's transports
for ASGI, WSGI and mocks); and aiohttp before 3.12, which a warning in the log says.

## What a call is

One request and its response on the wire. So each hop of a redirect is an event, and each step of a login by
digest. What urllib3 tries again by itself (`Retry`), also below requests, and httpx's `retries`, are part
of the one call; what aiohttp tries again, since a kept connection turned out to be closed, is another
event.

The call stays as it is. Nothing is read that the application does not read: of a streamed response is
recorded what passes, up to `MAX_BODY_SIZE`, and the event leaves when the response has ended or was closed.
What is raised is the library's own exception; the event has its class in `metadata.moesif.error`, never its
text. In `metadata.moesif.ending`:

| ending | |
|---|---|
| `failed` | the library raised; without a response if none had begun |
| `disconnected` | the application closed the response before its end, or cancelled the call |
| `abandoned` | the application let go of the response, neither read nor closed; recorded a little later |

aiohttp follows a redirect without reading the redirect's own body: where it has one, the hop is
`disconnected` too, whatever comes of the next.

## Whose call it is

Where no function of yours says otherwise, a call that is made while a request is served has that request's
user, company and session token: those of your `IDENTIFY_USER`, `IDENTIFY_COMPANY` and `GET_SESSION_TOKEN`,
or the user that the authorization header names. That holds in tasks and threads that the request starts, as
far as context variables reach, until the application has returned from the request. A call of a task that
lives longer is nobody's: it may be made for anyone. So are the calls of WebSocket handlers and of the
lifespan. A request that is itself not recorded (excluded, sampled out, skipped) has only the user of its
header.

Those functions run after the response. A call that ends earlier waits for them, in the worker: at most
1,000 calls of a process, and 16 MiB of their bodies. What has no room leaves with the user of the
authorization header. The credentials of the call itself name nobody, for they are the application's own.

With several middlewares in a process, a call belongs to the one that serves the request; without one, to
the first with `CAPTURE_OUTGOING_REQUESTS`. (Behind several around one application, to the innermost.)

## Functions

`SKIP_OUTGOING`, `IDENTIFY_USER_OUTGOING`, `IDENTIFY_COMPANY_OUTGOING`, `GET_METADATA_OUTGOING` and
`GET_SESSION_TOKEN_OUTGOING` get `(request, response)` of the library that made the call, and run once, when
it has ended (where it waits for its request, after that).

| library | request | response |
|---|---|---|
| requests | `PreparedRequest` | `Response` |
| httpx, httpx2 | `Request` | `Response` |
| aiohttp | `RequestInfo`, without the body | `ClientResponse`, to be read with `await` |
| urllib3 | an object with `method`, `url`, `headers`, `body` | `HTTPResponse` |

They are copies, made of what was recorded: to read them takes nothing from the application. A body that was
not recorded whole cannot be read (urllib3's is empty). The response is `None` where there was none. Calls
that such a function makes itself are not recorded.

Asynchronous functions need an event loop of asyncio: the running one, or for a synchronous client in a
thread that of the request that is served. Where there is none (scripts, trio), the event leaves without
their answers, and `hook_timed_out` counts it.

`MASK_EVENT_MODEL` and the masks by name look at these events as at all others; mind that your own
credentials are in their headers: `REQUEST_HEADER_MASKS: ["authorization"]`. `MAX_BODY_SIZE` and
`LOG_CONTENT_TYPES` hold for both directions; `LOG_BODY_OUTGOING` is for these alone. `EXCLUDE_PATHS` and
`EXCLUDE_METHODS` are about your own API: for calls to others there is `SKIP_OUTGOING`. `SAMPLE_RATE` and
the dashboard's sampling hold for both; governance rules for incoming calls only.
"""
