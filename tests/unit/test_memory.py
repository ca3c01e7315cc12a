"""Freed memory goes back to the system where the C library can; elsewhere nothing fails."""

import ctypes

from vgs_lib import memory


def test_it_asks_the_library_that_can_and_no_other(monkeypatch):
    asked = []

    class Library:
        def __init__(self, name):
            pass

    monkeypatch.setattr(ctypes, "CDLL", Library)
    memory.give_back()
    Library.mallopt = lambda self, *values: asked.append(values)
    Library.malloc_trim = lambda self, keep: asked.append(("trim", keep))
    memory.give_back()
    assert asked[-1] == ("trim", 0) and (-3, 1 << 17) in asked


def test_trimming_changes_no_setting(monkeypatch):
    asked = []

    class Library:
        def __init__(self, name):
            pass

    monkeypatch.setattr(ctypes, "CDLL", Library)
    memory.trim()
    Library.mallopt = lambda self, *values: asked.append(values)
    Library.malloc_trim = lambda self, keep: asked.append(("trim", keep))
    memory.trim()
    assert asked == [("trim", 0)]


def test_it_works_here():
    memory.give_back()
    memory.trim()
