"""A world small enough to know the right answers: things are coloured discs, words are pure tones.

`ToyModel` has the interface of `DualEncoder`: each grid cell answers to the tone of its colour and to no
other.
"""

import numpy as np
import torch

from vgs_lib import similarity
from vgs_lib.widgets.material import Clip, Picture, Word

RATE = 16000
COLOURS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230), "yellow": (240, 220, 50)}
TONES = {"red": 400.0, "green": 800.0, "blue": 1600.0, "yellow": 3200.0}
NAMES = tuple(COLOURS)


class ToyModel:
    """Image map: which colour is in each 16-pixel cell; audio map: which tone is in each 0.04 s."""

    kind = "misa"
    seconds_per_frame = 0.04

    def __init__(self):
        self.num_images_encoded = 0

    def embed_image(self, pictures):
        self.num_images_encoded += len(pictures)
        cells = torch.nn.functional.avg_pool2d(pictures, 16)  # [B, 3, h, w]
        maps = [
            (1 - (cells - torch.tensor(colour).view(1, 3, 1, 1) / 255).abs().amax(dim=1) * 4).clamp(min=0)
            for colour in COLOURS.values()
        ]
        return torch.stack(maps, dim=1)

    def embed_waveforms(self, waveforms):
        assert len(waveforms) == 1
        frames = waveforms[0].unfold(0, 640, 640) if len(waveforms[0]) >= 640 else waveforms[0][None]
        power = torch.fft.rfft(frames, n=640).abs() / 320
        bins = [round(tone * 640 / RATE) for tone in TONES.values()]
        maps = torch.stack([power[:, k - 1 : k + 2].amax(dim=1) for k in bins])
        return maps[None], torch.tensor([maps.shape[1]])

    def matchmap(self, image_map, audio_map):
        return similarity.matchmap(image_map, audio_map)

    def score(self, image_maps, audio_maps, audio_lengths):
        return similarity.score_matrix(image_maps, audio_maps, audio_lengths, kind="misa")


class LateModel(ToyModel):
    """Frames as those of the DAVEnet family: frame t is centred on t x 0.16 s, half a frame before t + 0.5."""

    seconds_per_frame, frame_lag = 0.16, 0.08

    def embed_waveforms(self, waveforms):
        assert len(waveforms) == 1
        frames = torch.nn.functional.pad(waveforms[0], (1280, 2560)).unfold(0, 2560, 2560)
        power = torch.fft.rfft(frames).abs() / 1280
        maps = torch.stack([power[:, round(tone * 0.16)] for tone in TONES.values()])
        return maps[None], torch.tensor([maps.shape[1]])


LATE_WORDS = (Word("red", 0.23, 0.39), Word("blue", 0.71, 0.87))  # as short as a frame: frames 2 and 5 hear them


def say_late() -> np.ndarray:
    """The tones of ``LATE_WORDS``, each from 10 ms after its start, so that no other frame hears them: 1.12 s."""
    samples = np.zeros(round(1.12 * RATE), np.float32)
    for word in LATE_WORDS:
        first, last = round((word.start + 0.01) * RATE), round(word.end * RATE)
        samples[first:last] = say(word.text, length=(last - first) / RATE, pause=0.0)
    return samples


def say(*names: str, length: float = 0.6, pause: float = 0.2, rate: int = RATE) -> np.ndarray:
    """The tones of ``names``, each between pauses."""
    silence = np.zeros(round(pause * rate))
    parts = [silence]
    for name in names:
        times = np.arange(round(length * rate)) / rate
        parts += [0.5 * np.sin(2 * np.pi * TONES[name] * times), silence]
    return np.concatenate(parts).astype(np.float32)


def words(*names: str, length: float = 0.6, pause: float = 0.2) -> tuple[Word, ...]:
    """When each of ``names`` is heard in `say`."""
    starts = [pause + index * (length + pause) for index in range(len(names))]
    return tuple(Word(name, start, start + length) for name, start in zip(names, starts, strict=True))


def scene(name: str, discs: dict[str, tuple[float, float]], *, size: int = 224) -> Picture:
    """A grey picture with a disc of each colour at (x, y), 0-1."""
    rows, columns = np.mgrid[:size, :size] / size
    pixels = np.full((size, size, 3), 120, dtype=np.uint8)
    masks = {}
    for colour, (x, y) in discs.items():
        masks[colour] = (columns - x) ** 2 + (rows - y) ** 2 < 0.14**2
        pixels[masks[colour]] = COLOURS[colour]
    caption = Clip(f"{name}-caption", " ".join(discs), "Captions", lambda: (say(*discs), RATE), words(*discs))
    return Picture(name, ", ".join(discs), lambda: pixels, caption, masks)


def scenes(count: int = 12, *, seed: int = 0) -> list[Picture]:
    """Scenes of one to three discs at the corners."""
    rng = np.random.default_rng(seed)
    corners = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
    pictures = []
    for index in range(count):
        colours = rng.permutation(NAMES)[: rng.integers(1, 4)]
        places = rng.permutation(4)
        discs = {str(c): corners[p] for c, p in zip(colours, places, strict=False)}
        pictures.append(scene(f"scene-{index}", discs))
    return pictures


def clips() -> list[Clip]:
    """One clip for each word."""
    return [Clip(f"clip-{name}", name, "Tones", lambda name=name: (say(name), RATE), words(name)) for name in NAMES]
