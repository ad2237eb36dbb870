"""Treadle: one description per model, and a loop that closes by itself."""

__version__ = "0.1.0"
