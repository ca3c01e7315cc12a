"""Encoders: pictures to image maps I [B, D, H, W], captions to audio maps A [B, D, T] with lengths."""

from vgs_lib.encoders.audio import DAVEnet, PooledDAVEnet, ResDAVEnet
from vgs_lib.encoders.image import ConvMap, ImageEncoder, TimmPyramid
from vgs_lib.encoders.pooled_pictures import PooledPictures
from vgs_lib.encoders.small_pictures import SmallPictures
from vgs_lib.encoders.text import TextCNN
from vgs_lib.encoders.torchaudio_speech import TorchaudioSpeech
from vgs_lib.encoders.whisper import PretrainedSpeech, WhisperEncoder

__all__ = [
    "ConvMap",
    "DAVEnet",
    "ImageEncoder",
    "PooledDAVEnet",
    "PooledPictures",
    "PretrainedSpeech",
    "ResDAVEnet",
    "SmallPictures",
    "TextCNN",
    "TimmPyramid",
    "TorchaudioSpeech",
    "WhisperEncoder",
]
