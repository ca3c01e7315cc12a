"""A small folder of pictures and recordings as somebody would make one, out of Spoken Stamps, to try things on."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vgs_lib.data.folder import TABLE
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.single_stamps import SingleStamps
from vgs_lib.data.spoken_captions import write_sound
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError
from vgs_lib.safe_files import write_atomically

COLUMNS = ("image", "audio", "text", "speaker", "language")


def write_example(
    stamps: Stamps, folder: str | os.PathLike, *, names: Sequence[str] = (), num_pictures: int = 120, size: int = 320
) -> Path:
    """Pictures of single things on different backgrounds, each named by a voice, and a ``captions.csv``.

    The pictures are named by the training voices: people's English recordings are for validation and test alone. A
    folder that has its table is left as it is: the table is written last.

    Args:
        stamps: where pictures and voices come from.
        folder: to be made.
        names: of the things, four or more; without any, all things.
        num_pictures: in all; each thing comes once before one comes again.
        size: pixels of a picture's side.

    Returns:
        The folder.

    Raises:
        DataError: a name is unknown, or there are fewer than four.
    """
    folder = Path(folder)
    if (folder / TABLE).is_file():
        return folder
    known = {concept.key for concept in stamps.concepts}
    if unknown := sorted(set(names) - known):
        raise DataError(f"names: found {', '.join(unknown)}, expected names of Spoken Stamps, such as {min(known)}")
    some = Stamps(stamps.folder, tuple(c for c in stamps.concepts if not names or c.key in names))
    scenes = SingleStamps(Scenes(some, "train", size=size))
    folder.mkdir(parents=True, exist_ok=True)
    seen: dict[str, int] = {}
    rows: list[tuple[str, ...]] = []
    for index in range(num_pictures):
        scene = scenes[index]
        concept = scene.concepts[0][0]
        number = seen[concept.key] = seen.get(concept.key, 0) + 1
        caption = scene.tell(0)
        stem = f"{concept.key.replace(' ', '-')}_{number}"
        Image.fromarray(scene.picture).save(folder / f"{stem}.png")
        write_sound(folder / f"{stem}.wav", caption.waveform)
        rows.append((f"{stem}.png", f"{stem}.wav", concept.key, caption.speaker, "en"))
    some.forget()
    write_atomically(folder / TABLE, lambda path: _write(path, rows))
    return folder


def _write(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
