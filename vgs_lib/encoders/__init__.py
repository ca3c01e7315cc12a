"""Encoders: pictures to image maps I [B, D, H, W], captions to audio maps A [B, D, T] with lengths."""

from vgs_lib.encoders.audio import DAVEnet, ResDAVEnet
from vgs_lib.encoders.image import ImageEncoder, ResNet50Conv, TimmPyramid, VGG16Conv
from vgs_lib.encoders.torchaudio_speech import TorchaudioSpeech
from vgs_lib.encoders.whisper import PretrainedSpeech, WhisperEncoder

__all__ = [
    "DAVEnet",
    "ImageEncoder",
    "PretrainedSpeech",
    "ResDAVEnet",
    "ResNet50Conv",
    "TimmPyramid",
    "TorchaudioSpeech",
    "VGG16Conv",
    "WhisperEncoder",
]
