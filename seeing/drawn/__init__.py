"""Figures of one kind each; computes nothing, as `seeing.drawing`.

Belongs here: how the numbers of the module of the same name in `seeing` are
laid out with matplotlib. What several kinds share is in `seeing.drawing`.
"""
