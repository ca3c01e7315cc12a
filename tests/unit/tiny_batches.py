"""Small batches of scenes of the small Spoken Stamps, and what is in them computed one by one."""

import torch
from tiny_training import TinyImages

from vgs_lib.batches.scene_batches import SceneBatches, SceneData
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.encoders import DAVEnet
from vgs_lib.model import DualEncoder
from vgs_lib.seeds import seeded

DATA = SceneData(num_scenes=16, batch_size=4, seed=3, takes=2, phases=((3, 1),))


def make(home, data=DATA, *, model=None, seed=1, fill=True) -> SceneBatches:
    if model is None:
        with seeded(0, "model"):
            model = DualEncoder(TinyImages(), DAVEnet(width=1 / 32, dim=8))
    batches = SceneBatches(model.eval(), Scenes(Stamps.open(home), "train", seed=seed, size=32), data)
    if fill:
        list(batches.fill())
    return batches


def same(one, other) -> bool:
    tensors = zip(
        (*one.image, one.audio, one.audio_lengths), (*other.image, other.audio, other.audio_lengths), strict=True
    )
    return all(torch.equal(a, b) for a, b in tensors)


def check_contents(batches: SceneBatches, step: int) -> None:
    """The rows of a batch against pictures and tellings encoded one by one."""
    batch = batches[step]
    for row, (take, index) in enumerate(batches.tellings(step)):
        scene = batches.scenes[index]
        picture = torch.from_numpy(scene.picture).permute(2, 0, 1)[None].float() / 255
        maps = batches.image_encoder.features(picture)
        torch.testing.assert_close(batch.image[0][row], maps[0][0].half())
        features, lengths = batches.audio_encoder.front_end([batches.told(take, index)])
        assert batch.audio_lengths[row] == lengths[0]
        torch.testing.assert_close(batch.audio[row, :, : lengths[0]], features[0].half(), atol=0.05, rtol=1e-3)
        pad = batch.audio[row, :, lengths[0] :]
        assert (pad == batches.audio_encoder.front_end.pad_value).all()
