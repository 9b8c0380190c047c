"""Processes that are measured. They run in the published package's environment too: no import of our own here
but where a variant needs it.
"""
