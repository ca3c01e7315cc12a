"""Encode pictures once, then prompt them with speech as often as wanted."""

from vgs_lib.prompting.prompter import Prompter, best_span
from vgs_lib.prompting.prompts import Match, Prompt

__all__ = [
    "Match",
    "Prompt",
    "Prompter",
    "best_span",
]
