"""The study of single things of Spoken Stamps and their spoken names: the smallest task that teaches words.

Legend: B pairs.
"""

from collections.abc import Iterable

import torch

from vgs_lib.batches.frozen_features import speech_features
from vgs_lib.batches.word_batches import WordBatches, same_names, word_trial
from vgs_lib.data.loading import Batch, collate
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.errors import DataError
from vgs_lib.model import DualEncoder
from vgs_lib.recipes import Recipe, build_model
from vgs_lib.seeds import seeded
from vgs_lib.studies.study import FIRST_WORDS, OPTIONS, Prepared, chances, recalls

PARTS = 4  # in which validation is embedded


class WordStudy:
    """Single things of ``categories`` (all without any) and their names, told by training voices.

    It is judged on ``num_validation`` other scenes told by voices that are never trained on: recall at 1 and 10 both
    ways. Raises :class:`DataError` for an unknown category.
    """

    options = OPTIONS

    def __init__(
        self,
        stamps: Stamps,
        *,
        categories: Iterable[str] = (),
        num_validation: int = 200,
        base: Recipe = FIRST_WORDS,
    ):
        self.stamps, self.num_validation, self.base = _only(stamps, tuple(categories)), num_validation, base
        self._encoded: dict[tuple, Batch] = {}

    @property
    def names(self) -> list[str]:
        """The names that are learnt, in order."""
        return sorted({concept.key for concept in self.stamps.concepts})

    def prepare(self, plan: Recipe) -> Prepared:
        """The model of ``plan`` as it is before its first step, its batches and its judge."""
        with seeded(plan.fit.seed, "model"):
            model = build_model(plan)
        batches = WordBatches(model.eval(), Scenes(self.stamps, "train", seed=plan.data.seed), plan.data)
        right = same_names(Scenes(self.stamps, "validation"), self.num_validation)

        def judge(model: DualEncoder) -> dict[str, float]:
            found = self._validation(model, batches)
            parts = PARTS if len(found) % PARTS == 0 else 1
            return recalls(model, (found.part(index, parts) for index in range(parts)), right)

        return Prepared(model, batches, judge, chances(right))

    def _validation(self, model: DualEncoder, batches: WordBatches) -> Batch:
        """The validation pairs as the frozen encoders give them, computed once for all runs that share these."""
        key = (batches.pictures.folder, batches.speech.folder)
        if key not in self._encoded:
            trial = word_trial(Scenes(self.stamps, "validation"), self.num_validation)
            image, speech, device = model.image_encoder, model.audio_encoder, model.device
            pictures = (torch.from_numpy(p).permute(2, 0, 1)[None].to(device) / 255 for p in trial.pictures)
            frozen = getattr(speech, "backbone_frozen", False)
            captions = [caption.to(device) for caption in trial.captions]
            batch = collate(
                [tuple(level[0].half() for level in image.features(picture)) for picture in pictures],
                [states.half() for states in speech_features(speech, captions, batch_size=8)],
                pad_value=0.0 if frozen else speech.front_end.pad_value,
                image_is_features=True,
                audio_is_features=frozen,
            )
            self._encoded[key] = batch
            self.stamps.forget()
        return self._encoded[key]


def _only(stamps: Stamps, categories: tuple[str, ...]) -> Stamps:
    """The data set with the things of these categories alone."""
    known = sorted({concept.category[0] for concept in stamps.concepts})
    if unknown := sorted(set(categories) - set(known)):
        raise DataError(f"categories: found {', '.join(unknown)}, expected some of {', '.join(known)}")
    if not categories:
        return stamps
    return Stamps(stamps.folder, tuple(c for c in stamps.concepts if c.category[0] in categories))
