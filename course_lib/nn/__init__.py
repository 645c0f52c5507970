"""Attention, positions and the layers of a transformer: tensors in, tensors out.

Nothing here knows what a token is or how a model is trained. Read `attention`, `positions`, `layers` in that
order: it is the order of lessons 02 to 05.
"""
