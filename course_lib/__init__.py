"""The library behind the lessons of *From Attention to GPT and BERT*.

Importing this package loads nothing else: each lesson imports the parts it uses.
"""

__version__ = "0.1.0"
