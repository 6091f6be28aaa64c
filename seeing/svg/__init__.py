"""Drawings of networks as text of SVG; `forms` chooses that of the paper.

Belongs here: where the boxes of `seeing.architecture` stand and how they look.
Needs no package.
"""
