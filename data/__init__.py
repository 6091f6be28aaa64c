"""Where examples come from, up to what a network sees.

Belongs here: data sets by name and the readers of their files (`sources` has
the table), photographs and the crops of them, the mean image, and what turns
uint8 pixels into a network's input. Does not: what a recipe does to pixels in
training (`recipe.augment`), and the order of examples (`input_pipeline`).

May import `runtime` and `errors`.
"""
