"""The benchmark: what is measured (``rows``), on what (``subjects``), and how (the rest).

A subject is a process of its own that does a slice of work when it is told to and answers what that cost, so
that things which cannot live in one process, or one virtual environment, still take turns in one run.
"""
