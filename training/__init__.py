"""The state of training and what changes it.

Belongs here: the state, the train step, where parameters come from at the
start, what is done between passes and after the last step. Does not: the loop,
its logs and its checkpoints (`train_lib`).

May import `evaluation`, `experiment` and everything below them.
"""
