"""The laboratory: real servers, real load and a way to wait, for tests, benchmarks and the demo.

Nothing here knows how moesifasgi works; it only starts what a user would start and counts what a client sees.
Programs reach it by having ``scripts`` on their path, tests by way of ``tests/conftest.py``.
"""
