"""Which client libraries are recorded how: each feature is a test over each library, and a row of a page
(docs/outgoing-calls.md).
"""
