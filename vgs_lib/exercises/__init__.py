"""Checks of the notebooks' exercises, one module per notebook: ``from vgs_lib.exercises.tour import check_moment``.

Each check takes a student's answer and what it is about, and returns a sentence: ``RIGHT``, or what is wrong with the
answer (a shape, a sign, a unit, a margin) without giving the right one. A blank, ``None`` or ``...``, is no error.
"""

import numbers

RIGHT = "Right."


def blank(answer: object, wanted: str) -> str | None:
    """A sentence for an answer that is still ``None`` or ``...``, saying what is ``wanted``; None for any other."""
    return f"Not answered yet: set it to {wanted}." if answer is None or answer is ... else None


def not_a_number(answer: object) -> str | None:
    """A sentence for an answer that is no single number (a tensor or array of no dimensions is one), else None."""
    if isinstance(answer, numbers.Real) or getattr(answer, "ndim", None) == 0:
        return None
    return f"Expected one number, found {type(answer).__name__}."
