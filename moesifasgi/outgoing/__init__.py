"""Calls that the application makes to other APIs, recorded as they pass (CAPTURE_OUTGOING_REQUESTS).

``capture`` patches the client libraries that the application uses, when it imports them; one file each
(``*_calls``) knows one library, and tells an ``OutgoingCall`` what passes. The call goes as it would without
us: nothing is read that the application does not read, and what is raised is the library's. At its end the
record takes the way of every other, through the same pipeline.

Only with the setting is any of this loaded (but for ``dropped``).
"""
