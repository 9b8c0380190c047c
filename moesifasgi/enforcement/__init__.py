"""The dashboard's policy in the worker: which calls are recorded, which are let through, with which headers.

``moesifasgi.policy`` decides, without an event loop, a clock or a socket; this is what asks it, and obeys.
"""
