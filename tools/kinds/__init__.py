"""The kinds of pictures that `tools.visualize` draws, one a file.

Belongs here: what a kind asks of the command line, where its images come from,
what it prints, and `KIND`, its entry of the table in `tools.visualize`; what
several share is in `kind`, `options` and `inputs`. Does not: the numbers under
a picture, and how it is drawn (`seeing`).
"""
