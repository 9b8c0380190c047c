"""What worker and shipper say to each other over a byte stream.

Pure: bytes and values in, bytes and values out. No socket, no clock, no thread, no lock. ``frame`` cuts a
stream into payloads, ``codec`` turns payloads into ``messages`` and back, ``ring`` is the worker's memory of
what is not acknowledged, ``application`` is what a worker tells the shipper about an application.
"""
