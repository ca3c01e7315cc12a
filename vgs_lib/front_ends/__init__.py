"""Front ends: from waveforms to padded spectral frames with lengths."""

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
    "SAMPLE_RATE",
    "FrontEnd",
    "LogMel",
    "Mfcc",
    "RawWaveform",
    "WhisperLogMel",
    "features_at_16k",
    "num_frames",
    "pad_frames",
]
