"""Training batches of described things, and trials on pairs that training has and on pairs that it has not.

Legend: B pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from vgs_lib.batches.banks import Filling
from vgs_lib.batches.held_out import HeldOut
from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.data.attribute_scenes import AttributeScene, AttributeScenes
from vgs_lib.data.attributes import PLACES, Description
from vgs_lib.data.loading import Batch
from vgs_lib.errors import DataError
from vgs_lib.evaluation import Trial
from vgs_lib.model import DualEncoder


class AttributeBatches(SceneBatches):
    """``SceneBatches`` of the first ``data.num_scenes`` scenes of ``scenes``, each told ``data.takes`` times.

    ``labels`` are the numbers of the classes (with places, two for each of the design); ``same_image`` is True where a
    caption is true of another pair's picture, be it of its second thing. ``held_out``: scenes whose frozen features
    :meth:`fill` computes too. ``phases``, ``word_share``, ``word_takes``, ``people`` and ``people_share`` of the data
    have no meaning here.
    """

    scenes: AttributeScenes

    def __init__(
        self,
        model: DualEncoder,
        scenes: AttributeScenes,
        data: SceneData,
        *,
        held_out: Sequence["AttributeHeldOut"] = (),
    ):
        plain = {"phases": (), "word_share": 0.0, "word_takes": data.takes, "people": (), "people_share": 0.0}
        super().__init__(model, scenes, replace(data, **plain))
        self._model, self._held_out = model, held_out

    @cached_property
    def classes(self) -> dict[Description, int]:
        """The number of each class of the training design."""
        places = tuple(PLACES) if self.scenes.places else (None,)
        known = [c._replace(place=place) for c in self.scenes.design.classes[self.scenes.name] for place in places]
        return {description: number for number, description in enumerate(known)}

    def fill(self) -> Iterator[Filling]:
        """Compute the features that are not on disk yet, those of ``held_out`` too."""
        yield from super().fill()
        self.scenes.stamps.forget()
        for held_out in self._held_out:
            yield from held_out.fill(self._model)

    def _class(self, index: int) -> Description:
        return self.scenes.description(index)

    def _shares(self, most: int) -> list[tuple[range, int]]:
        return [(range(1, 2), self.data.batch_size)]

    def _pool(self, counts: range) -> list[int]:
        return list(range(self.data.used or self.data.num_scenes))

    def __getitem__(self, step: int) -> Batch:
        chosen = [self.scenes[index] for _, index in self.tellings(step)]
        true = true_of(chosen) & ~torch.eye(len(chosen), dtype=torch.bool)
        return replace(super().__getitem__(step), same_image=true if true.any() else None)


def true_of(scenes: list[AttributeScene]) -> Tensor:
    """[B, B] bool: picture i shows a thing that caption j describes; nothing is drawn."""
    shown = [{description for _, description in scene.things} for scene in scenes]
    return torch.tensor([[scene.description in things for scene in scenes] for things in shown])


class AttributeHeldOut(HeldOut):
    """The first ``per_class`` scenes of each class of a held-out split, their frozen features computed once.

    A picture of the same class is right. A split and its ``-unseen`` counterpart have as many classes, scenes and right
    candidates, so that their figures have one chance level. Words are those of size, colour and noun; the mask of each
    is the thing that it describes.

    Raises:
        DataError: the training split, whose scenes may show a second thing of another scene's class, or no scenes.
    """

    scenes: AttributeScenes

    def __init__(self, scenes: AttributeScenes, per_class: int):
        if scenes.name == "train":
            raise DataError(
                "split: found 'train', expected a held-out split of described things, such as 'test-unseen'"
            )
        if per_class < 1:
            raise DataError(f"per_class: found {per_class}, expected 1 or more scenes of each class")
        super().__init__(scenes, per_class * scenes.num_classes)

    @property
    def classes(self) -> list[Description]:
        """The class of each scene; nothing is drawn."""
        return [self.scenes.description(i) for i in range(self.count)]

    def tested(self, kind: str) -> Tensor:
        """[B] bool: the scenes whose pair in question is of the attribute ``kind``, "colour" or "size"."""
        return torch.tensor([self.scenes.tested(i) == kind for i in range(self.count)])

    def trial(self) -> Trial:
        """The trial without its pictures and captions, which :meth:`embed` reads: right pairs and words."""
        words = []
        for i in range(self.count):
            scene = self.scenes[i]
            mask = torch.from_numpy(scene.objects[0].mask)
            words += [(i, i, word.start, word.end, mask) for word in scene.words if word.kind]
        return Trial((), (), self.same_class, words)
