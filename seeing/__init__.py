"""What pictures of networks and runs are made of.

Belongs here: functions that turn a trained network and images into the numbers
under a figure of the papers, one kind of figure a file, and `drawing`, which
turns those into pictures and computes nothing. Does not: commands and their
flags (`tools.visualize`), errors over a whole split (`evaluation`).

May import `evaluation`, `experiment` and everything below them.
"""
