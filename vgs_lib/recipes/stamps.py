"""The recipes of the two checkpoints that come with the project."""

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.data.augment import Augmentation
from vgs_lib.recipes.recipe import Part, Recipe
from vgs_lib.training import FitSettings, ScoreLoss

_PICTURES = Part("timm", {"strides": [8, 16, 32], "dim": 256, "out_stride": 8, "normalize": True})

RECIPES: dict[str, Recipe] = {
    "stamps-demo": Recipe(
        name="stamps-demo",
        image=_PICTURES,
        audio=Part("whisper", {"dim": 256, "layers": [4], "pooling": 8, "num_convs": 4, "dropout": 0.15}),
        cell=2,
        loss=ScoreLoss("info_nce", mix_steps=100, coarse=((300, 2),)),
        data=SceneData(
            num_scenes=8000,
            batch_size=192,
            takes=2,
            word_takes=8,
            word_share=0.45,
            phases=((300, 1),),
            even_engines=True,
            mask_frames=8,
        ),
        fit=FitSettings(
            steps=850,
            learning_rate=2e-3,
            warmup_steps=40,
            checkpoint_every=50,
            evaluate_every=300,
            precision="bf16",
        ),
    ),
    # Logits of a ResDAVEnet start large, so the temperature does; the model card says what was tried.
    "stamps-scratch": Recipe(
        name="stamps-scratch",
        image=Part("timm", {"strides": [8, 16, 32], "dim": 256, "out_stride": 16, "normalize": True}),
        audio=Part("resdavenet", {"width": 0.375, "dim": 256}),
        temperature=0.5,
        loss=ScoreLoss("info_nce", mix_steps=100, coarse=((1700, 2),)),
        data=SceneData(
            num_scenes=8000,
            batch_size=192,
            takes=4,
            word_takes=20,
            word_share=0.45,
            phases=((1700, 1),),
            even_engines=True,
            mask_frames=12,
            augmentation=Augmentation(speed=(0.8, 1.25), pitch=(0.75, 1.35), pitch_chance=0.5),
        ),
        fit=FitSettings(
            steps=2500,
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            warmup_steps=50,
            gradient_clip=5.0,
            checkpoint_every=50,
            evaluate_every=850,
            precision="bf16",
        ),
    ),
}
