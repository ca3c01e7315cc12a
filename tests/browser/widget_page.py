"""Notebooks of one widget on the toy world: how their cell begins, slow kernels, and what a page says of itself."""

START = """
import sys
sys.path.insert(0, {folder!r})
import toy_tour as toy
from vgs_lib import widgets
"""
# slow(controller, "method"): from then on each call takes a second more.
SLOW = """
import time
def slow(controller, *names):
    for name in names:
        do = getattr(controller, name)
        setattr(controller, name, lambda *values, do=do, **wanted: time.sleep(1) or do(*values, **wanted))
"""
# gated(owner, "method"): each call waits as long as the file GATE is there.
GATED = """
import pathlib, time
def gated(owner, *names):
    for name in names:
        def wait(*values, do=getattr(owner, name), **wanted):
            while pathlib.Path({gate!r}).exists():
                time.sleep(0.05)
            return do(*values, **wanted)
        setattr(owner, name, wait)
"""


def data(page, selector, name):
    """A data attribute of an element, or None."""
    return page.locator(selector).get_attribute(f"data-{name}")


def wait(page, selector, name, value, *, seconds=30):
    """Until a data attribute of an element is ``value``."""
    page.wait_for_selector(f'{selector}[data-{name}="{value}"]', timeout=seconds * 1000)
