"""What any long job on many machines needs, whatever it computes.

Belongs here: the workdir, checkpoints, logs, progress, paths in buckets, the
processes and devices of a run, signals, the compilation cache, flags. Does not:
anything that knows of networks, data sets or recipes.

May import `errors` alone.
"""
