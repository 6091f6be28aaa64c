"""Commands beside training: python -m tools.NAME --help.

Belongs here: thin commands over the wings. Does not: what another wing could
use; only `benchmarks` imports this one.
"""
