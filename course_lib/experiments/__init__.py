"""Experiments of the lessons that are too long for a cell: each stores its results and the command that repeats it."""
