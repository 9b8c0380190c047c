"""What a standalone shipper is told: a TOML file, then the environment, then options.

Three steps stay apart: ``sources`` finds what was given and where, ``load`` makes each value what its key
says and looks at how they go together, and the daemon acts upon the result. Every fault is told at once. All
keys are fields in ``values``; options, the environment, the example file and the documents follow from them.
"""
