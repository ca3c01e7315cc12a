"""Front ends: from waveforms to padded spectral frames with lengths, by class or by the name of a document's."""

from vgs_lib.front_ends.named import FRONT_ENDS, make_front_end
from vgs_lib.front_ends.spectra import (
    SAMPLE_RATE,
    FrontEnd,
    LogMel,
    Mfcc,
    RawWaveform,
    WhisperLogMel,
    features_at_16k,
    num_frames,
    pad_frames,
)

__all__ = [
    "FRONT_ENDS",
    "SAMPLE_RATE",
    "FrontEnd",
    "LogMel",
    "Mfcc",
    "RawWaveform",
    "WhisperLogMel",
    "features_at_16k",
    "make_front_end",
    "num_frames",
    "pad_frames",
]
