"""The state of training and what changes it.

Belongs here: the state, the train step, the loop of steps, where parameters
come from at the start, what is done between passes and after the last step.
Does not: a run as a whole, from its config to its results (`train_lib`).

May import `evaluation`, `experiment` and everything below them.
"""
