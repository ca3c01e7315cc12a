"""What a similarity depends on: class activation maps of both encoders.

Attention that an encoder has built in is in ``explain.attention``, tests of such maps in ``explain.faithfulness``.
"""

from vgs_lib.explain.cam import ABOUT, IGNORES_TARGET, METHODS, Cam, ShownPicture, SpokenQuery, explain
from vgs_lib.explain.sides import (
    Layer,
    PictureSide,
    SoundSide,
    frames_in,
    heard,
    layers,
    picture_input,
    seen,
    sound_input,
)

__all__ = [
    "ABOUT",
    "IGNORES_TARGET",
    "METHODS",
    "Cam",
    "Layer",
    "PictureSide",
    "ShownPicture",
    "SoundSide",
    "SpokenQuery",
    "explain",
    "frames_in",
    "heard",
    "layers",
    "picture_input",
    "seen",
    "sound_input",
]
