"""The front ends of the documents by name, so that a recipe, which is plain data, can say which one it hears.

Where a document leaves something out, the name's comment says what was chosen.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vgs_lib.front_ends.spectra import FrontEnd, LogMel, Mfcc, RawWaveform, WhisperLogMel

FRONT_ENDS: dict[str, FrontEnd] = {
    "logmel": LogMel(),
    "whisper": WhisperLogMel(),
    "waveform": RawWaveform(),
    "harwath2019": LogMel(max_frames=2048),
    "ni2018": LogMel(max_frames=1024),
    # Section 3.2.2: 40 bands, 25 ms Hamming windows every 10 ms; the rest as harwath2019, which its code is built on.
    "tian2020": LogMel(),
    # Section 2.3: 40 filters, an FFT of 551, which is 25 ms at 22,050 Hz, 1024 frames. It does not say how many
    # coefficients are kept: all 40, as many as the first filter of its network spans; and no normalisation.
    "zhang2020": Mfcc(
        num_coefficients=40, energy=False, normalise=False, sample_rate=22050, n_fft=551, max_frames=1024
    ),
    # Published code: log energy and 12 coefficients, mean-variance normalised, then two orders of deltas.
    "merkx2019": Mfcc(deltas=2),
    # Published settings: 37 values, 12 coefficients with deltas and an energy. Merkx2019's 39 stand in for them.
    "chrupala2017": Mfcc(deltas=2),
}


def make_front_end(front_end: FrontEnd | str | Mapping[str, Any] | None, default: str = "logmel") -> FrontEnd:
    """A front end as it is, the one of that name, a changed one, or the default for None.

    A mapping has the ``name`` of one and other values for some of its settings: {"name": "ni2018", "max_frames": 600}.
    Raises ValueError for a name that is not in ``FRONT_ENDS`` and TypeError for a setting that it does not have.
    """
    if front_end is None:
        front_end = default
    changed: dict[str, Any] = {}
    if isinstance(front_end, Mapping):
        changed = dict(front_end)
        front_end = changed.pop("name", default)
    if not isinstance(front_end, str):
        return front_end
    if front_end not in FRONT_ENDS:
        raise ValueError(f"front_end: expected one of {sorted(FRONT_ENDS)}, found {front_end!r}.")
    return replace(FRONT_ENDS[front_end], **changed)
