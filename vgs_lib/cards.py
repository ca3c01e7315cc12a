"""The figures of a checkpoint and the table of them in its model card.

``figures.json`` beside the weights holds what ``python -m vgs_lib evaluate --card`` found, split by split; the table in
``README.md`` between the two marks is made from it.
"""

import json
from pathlib import Path

from vgs_lib.checkpoints import CARD, find_checkpoint
from vgs_lib.errors import CheckpointError
from vgs_lib.safe_files import write_atomically

FIGURES = "figures.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_COLUMNS = ("r1", "r5", "r10", "median_rank")


def read_figures(checkpoint: str | Path) -> dict[str, dict]:
    """The recorded figures of a checkpoint, by split; empty if none were recorded. CheckpointError if damaged."""
    path = find_checkpoint(checkpoint) / FIGURES
    if not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        table(dict(known.items()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: damaged or of another version ({error!r}); delete it and run 'evaluate --card' again"
        ) from error
    return known


def record(checkpoint: str | Path, split: str, figures: dict) -> None:
    """Keep the figures of a split, and renew the table of the card. :class:`CheckpointError` without marks in it."""
    folder = find_checkpoint(checkpoint)
    known = read_figures(folder) | {split: {k: v for k, v in figures.items() if k != "checkpoint"}}
    text = json.dumps(known, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / FIGURES, lambda path: path.write_text(text, encoding="utf-8"))
    card = folder / CARD
    if not card.is_file():
        return
    before, begin, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CheckpointError(f"{card}: expected the lines {BEGIN} and {END} around the table of figures")
    renewed = f"{before}{begin}\n{table(known)}\n{end}{after}"
    write_atomically(card, lambda path: path.write_text(renewed, encoding="utf-8"))


def table(figures: dict[str, dict]) -> str:
    """The figures of several splits as a Markdown table: value [95 % interval], chance in brackets."""
    lines = [
        "| split | direction | n | R@1 | R@5 | R@10 | median rank |",
        "|---|---|---|---|---|---|---|",
    ]
    for split in sorted(figures):
        for direction, label in (("speech_to_image", "speech to image"), ("image_to_speech", "image to speech")):
            found = figures[split][direction]
            cells = [_cell(found, name) for name in _COLUMNS]
            lines.append(f"| {split} | {label} | {found['n']} of {found['candidates']} | " + " | ".join(cells) + " |")
    mapped = [split for split in sorted(figures) if "pointing" in figures[split]]
    if not mapped:  # of a model with a pooled encoder, which has no heatmaps
        return "\n".join(lines)
    lines += ["", "| split | words | pointing | mean IoU | threshold |", "|---|---|---|---|---|"]
    for split in mapped:
        found = figures[split]
        cells = [_cell(found, name) for name in ("pointing", "mean_iou")]
        lines.append(f"| {split} | {found['num_words']} | " + " | ".join(cells) + f" | {found['threshold']:.3f} |")
    return "\n".join(lines)


def _cell(found: dict, name: str) -> str:
    low, high = found[f"{name}_ci"]
    digits = 1 if name == "median_rank" else 3
    chance = found[f"{name}_chance"]
    return f"{found[name]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}] (chance {chance:.{digits}f})"
