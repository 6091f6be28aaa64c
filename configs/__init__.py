"""What is run: one file a paper, and the fields that all of them share.

Belongs here: the values of a recipe, each with its section of the paper;
`default.py` has every field and its meaning, `arguments.py` the grammar of
--config=FILE.py:ARGUMENTS. Does not: code that a run executes.

May import `zoo` and `errors`.
"""
