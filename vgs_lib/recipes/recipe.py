"""A system as one frozen dataclass: features, two encoders, a similarity, a loss, data and a schedule.

A recipe is plain data: it is stored as JSON beside the weights.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.augment import Augmentation
from vgs_lib.errors import CheckpointError
from vgs_lib.training import FitSettings, ScoreLoss
from vgs_lib.training.embedding_objective import EmbeddingLoss, loss_from_dict

NATURAL_SOUNDS = "natural-sounds"
INITIAL = ("", NATURAL_SOUNDS, "sound-classes")  # what the encoders begin with


@dataclass(frozen=True)
class Part:
    """An encoder: its name in ``IMAGE_ENCODERS`` or ``AUDIO_ENCODERS``, and its options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A system and how it is trained. ``keep_best`` in ``fit`` chooses among the evaluations on validation.

    num_classes: classes that a loss on labels knows (CMPC, DSCMR, TIMAM); 0 where there are none.
    initial: what the encoders are pre-trained on before this recipe trains them, one of ``INITIAL``
        (:mod:`vgs_lib.studies.pretraining`); "" leaves them as they are built.
    document: where the system is described. chosen: what was chosen where the document leaves a gap.
    """

    name: str
    image: Part
    audio: Part
    kind: str = "misa"
    temperature: float = 0.1
    cell: int = 1
    loss: ScoreLoss | EmbeddingLoss = field(default_factory=ScoreLoss)
    data: SceneData = field(default_factory=SceneData)
    fit: FitSettings = field(default_factory=FitSettings)
    num_classes: int = 0
    initial: str = ""
    document: str = ""
    chosen: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The recipe as a JSON object."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Recipe":
        """The recipe of a JSON object; :class:`CheckpointError` if it is not one."""
        try:
            data = dict(fields["data"])
            ranges = {k: tuple(v) if isinstance(v, list) else v for k, v in data.pop("augmentation").items()}
            phases = tuple(tuple(phase) for phase in data.pop("phases"))
            fit = dict(fields["fit"])
            return cls(
                name=fields["name"],
                image=Part(**fields["image"]),
                audio=Part(**fields["audio"]),
                kind=fields["kind"],
                temperature=fields["temperature"],
                cell=fields["cell"],
                loss=loss_from_dict(fields["loss"]),
                data=SceneData(
                    **{**data, "people": tuple(data["people"])}, phases=phases, augmentation=Augmentation(**ranges)
                ),
                fit=FitSettings(**{**fit, "betas": tuple(fit["betas"])}),
                **{key: fields[key] for key in ("num_classes", "initial", "document", "chosen") if key in fields},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the recipe in model.json is damaged or of another version: {error!r}") from error
