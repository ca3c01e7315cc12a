"""Visually grounded speech: which words name which things, from pictures and spoken captions alone."""

__version__ = "0.1.0"
