"""Speed as a ratio against peers: python -m benchmarks.NAME --help.

Belongs here: measurements that anyone can repeat, both sides in one run. Does
not: assertions about time, which no test makes. Nothing imports this wing.
"""
