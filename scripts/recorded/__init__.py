"""What is recorded of which call: cases that are data, how each is run, and the page that is made of them.

Programs reach it by having ``scripts`` on their path, tests by way of ``tests/conftest.py``.
"""
