"""What the score matrix knows and decides, without any widget library. Shapes: Q captions (rows), C pictures."""

import threading
from dataclasses import dataclass

import numpy as np

from vgs_lib.errors import DataError
from vgs_lib.viz import colour_table
from vgs_lib.widgets.collection import Collection
from vgs_lib.widgets.controllers import PlayerController

MOST = 400  # captions or pictures: more cells than can be told apart on a screen


@dataclass(frozen=True)
class Cell:
    """A caption and a picture: the ``score`` (similarity), the picture's ``place`` in its row, whether it is right.

    1 is the first place; tied cells share the mean of their places.
    """

    row: int
    column: int
    score: float
    place: float
    right: bool


class ScoreMatrixController:
    """The scores of captions (rows) with pictures (columns); a chosen cell is played in its picture.

    Args:
        collection: at most 400 captions and 400 pictures; :meth:`Collection.first` takes fewer.

    Raises:
        DataError: more than that.
    """

    def __init__(self, collection: Collection):
        if max(collection.scores.shape) > MOST:
            raise DataError(
                f"the score matrix is {list(collection.scores.shape)}, more than {MOST} a side cannot be told apart; "
                f"show collection.first({MOST})"
            )
        self.collection = collection
        self.player = PlayerController()
        self.player.show_picture(collection.pictures[0])
        self.chosen: Cell | None = None
        self._lock = threading.Lock()

    def cell(self, row: int, column: int) -> Cell:
        """What is known about a cell; DataError for one outside of the matrix."""
        scores = self.collection.scores
        if not (0 <= row < scores.shape[0] and 0 <= column < scores.shape[1]):
            raise DataError(f"there is no cell ({row}, {column}): the matrix is {list(scores.shape)}, counted from 0")
        score = scores[row, column]
        ties = int((scores[row] == score).sum()) - 1
        place = 1 + int((scores[row] > score).sum()) + ties / 2
        return Cell(row, column, float(score), place, bool(self.collection.right[row, column]))

    def choose(self, row: int, column: int, *, play: bool = True) -> Cell:
        """Look in the picture of a column for the caption of a row; ``play`` lets it be heard."""
        cell = self.cell(row, column)
        clip, picture = self.collection.captions[row], self.collection.pictures[column]
        with self._lock:
            waveform, rate = clip.load()
            prompt = self.collection.prompter.prompt(waveform, rate, picture=picture.id)
            self.player.show_prompt(picture, prompt, title=clip.title, words=clip.words, play=play)
            self.chosen = cell
        return cell

    def message(self) -> tuple[dict, list[bytes]]:
        """The matrix and what its rows and columns are; buffers: scores float32 [Q, C], colours [256, 3]."""
        scores = self.collection.scores.numpy().astype("<f4")
        content = {
            "type": "matrix",
            "shape": list(scores.shape),
            "range": [float(scores.min()), float(scores.max())],
            "captions": [clip.title for clip in self.collection.captions],
            "pictures": [picture.title for picture in self.collection.pictures],
            "right": np.argwhere(self.collection.right.numpy()).tolist(),
            "chosen": None if self.chosen is None else [self.chosen.row, self.chosen.column],
        }
        return content, [scores.tobytes(), colour_table().tobytes()]
