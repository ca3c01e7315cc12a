"""Training batches of scenes and the words of their captions as text, for the text models of harwath2019 (Table 3)."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import CARRIERS, Stamps
from vgs_lib.model import DualEncoder


def reads_text(encoder) -> bool:
    """Whether an encoder on the speech side takes texts in place of waveforms: its frames have no seconds."""
    return encoder.front_end.hop_seconds is None


def texts_of(stamps: Stamps) -> list[str]:
    """Everything that the training voices say: the names of all things and the carrier words."""
    return [concept.text for concept in stamps.concepts] + list(CARRIERS)


class TextBatches(SceneBatches):
    """:class:`SceneBatches` whose captions are word numbers [1, T]; nothing is spoken, nothing blanked."""

    def __init__(self, model: DualEncoder, scenes: Scenes, data: SceneData):
        super().__init__(model, scenes, replace(data, mask_frames=0))

    def fill(self) -> Iterator[Filling]:
        """Compute the features of pictures that are not on disk yet."""
        if self.image_is_features:
            yield from self.pictures.fill(self._picture_features)

    def _heard(self, take: int, index: int) -> Tensor:
        return self.audio_encoder.front_end([self.scenes[index].said(take)])[0][0]
