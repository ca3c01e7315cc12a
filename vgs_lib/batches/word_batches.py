"""Training batches of single things and their spoken names: the smallest task that teaches words, quick to fill.

A scene of one stamp and one spoken name is a fourth of what the scenes of a split are. Here they are all there is, so a
few hundred of them, told twice, are cached within half a minute on two cores, and a model learns words in a few hundred
steps. Validation takes other voices, other scenes and other backgrounds.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.single_stamps import SingleStamps
from vgs_lib.evaluation import Trial
from vgs_lib.model import DualEncoder

PICTURES_AT_ONCE = 8  # a backbone's first maps of 32 pictures take 300 MB


class WordBatches(SceneBatches):
    """:class:`SceneBatches` of scenes with one stamp: ``data.num_scenes`` of them, each told ``data.takes`` times.

    ``data.phases``, ``word_share`` and ``word_takes`` have no meaning here.
    """

    def __init__(self, model: DualEncoder, scenes: Scenes, data: SceneData):
        plain = replace(data, phases=(), word_share=0.0, word_takes=data.takes)
        super().__init__(model, SingleStamps(scenes), plain)

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet; what was read for that is let go at the end."""
        yield from super().fill()
        self.scenes.stamps.forget()

    def _picture_features(self, items: range) -> list[tuple[Tensor, ...]]:
        found = []
        for first in range(items.start, items.stop, PICTURES_AT_ONCE):
            found += super()._picture_features(range(first, min(items.stop, first + PICTURES_AT_ONCE)))
        return found

    def _shares(self, most: int) -> list[tuple[range, int]]:
        return [(range(1, 2), self.data.batch_size)]

    def _pool(self, counts: range) -> list[int]:
        return list(range(self.data.num_scenes))


def same_names(scenes: Scenes, num_scenes: int) -> Tensor:
    """[B, B] bool: which of the first ``num_scenes`` scenes of one stamp have the same name; nothing is drawn."""
    singles = SingleStamps(scenes)
    names = [singles[i].concepts[0][0].key for i in range(num_scenes)]
    return torch.tensor([[a == b for b in names] for a in names])


def word_trial(scenes: Scenes, num_scenes: int) -> Trial:
    """The first ``num_scenes`` scenes of one stamp and their captions, to measure recall on."""
    chosen = [SingleStamps(scenes)[i] for i in range(num_scenes)]
    captions = [torch.from_numpy(scene.waveform) for scene in chosen]
    return Trial([scene.picture for scene in chosen], captions, same_names(scenes, num_scenes), ())
