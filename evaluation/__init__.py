"""How a trained network is measured and used.

Belongs here: exact evaluation, the papers' test protocols, networks with
variables and ensembles of them, files of results, predictions. Does not: what
trains (`training`), and printing of pages and tables (`tools`).

May import `experiment` and everything below it.
"""
