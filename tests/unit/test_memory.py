"""Freed memory goes back to the system where the C library can; elsewhere nothing fails."""

import ctypes

import psutil
import pytest

from vgs_lib import memory


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [(memory.give_back, [(-3, 1 << 17), (-8, 1), ("trim", 0)]), (memory.trim, [("trim", 0)])],
)
def test_each_asks_the_library_that_can_and_no_other(ask, wanted, monkeypatch):
    asked = []

    class Library:
        def __init__(self, name):
            pass

    monkeypatch.setattr(ctypes, "CDLL", Library)
    ask()
    Library.mallopt = lambda self, *values: asked.append(values)
    Library.malloc_trim = lambda self, keep: asked.append(("trim", keep))
    ask()
    assert asked == wanted  # trimming alone changes no setting


def test_it_works_here():
    memory.give_back()
    memory.trim()


def test_the_peak_stays_after_memory_is_freed():
    process = psutil.Process()
    block = bytearray(b"x") * (256 << 20)
    resident = process.memory_info().rss
    del block
    assert process.memory_info().rss < resident - (200 << 20)
    assert resident * 0.99 < memory.peak_bytes() < resident * 10
