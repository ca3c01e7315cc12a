"""``Prompter``: pictures are encoded once, then prompted.

A spoken prompt costs one audio encoding and one product with the cached image maps. The heat of a prompt is the
matchmap M[r, c, t] = <I[r, c, :], A[t, :]> (harwath2019, section 4.3) brought to 0-1 by one range for all pictures and
moments, the same for all prompts but those that exceed it.
Shapes: B pictures, D embedding, H W grid, T frames, N samples.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np
import torch

from vgs_lib import audio, localization
from vgs_lib.clock import Clock
from vgs_lib.errors import AudioError, DataError
from vgs_lib.images import fit_picture
from vgs_lib.prompting.prompts import Match, Prompt

FAINTEST = 0.05  # of the peak of a whole prompt, so that it has one
NUM_REFERENCE = 32  # pictures that say what a frame of speech gives on any picture


class Prompter:
    """Prompt cached pictures with speech.

    Args:
        model: a `DualEncoder` (embed_image, embed_waveforms, matchmap, score, seconds_per_frame) in eval mode.
        picture_size: pixels of the shorter side that the image encoder is given.
        max_seconds: longest prompt.
        heat_range: (low, high) similarities drawn as 0 and 1, such as ``read_config(name)["extra"]["heat_range"]`` of
            a checkpoint; DataError unless low is below high. None: see `calibrate`.
    """

    def __init__(self, model, *, picture_size=224, max_seconds=30.0, heat_range=None):
        self.model = model
        self.picture_size = picture_size
        self.max_seconds = max_seconds
        self.heat_range: tuple[float, float] | None = None if heat_range is None else _checked_range(heat_range)
        self._batches: list[tuple[list[str], torch.Tensor]] = []  # ids and image maps [B, D, H, W]
        self._place: dict[str, tuple[int, int]] = {}  # id: which batch, which row
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, picture: str) -> bool:
        return picture in self._place

    @property
    def ids(self) -> list[str]:
        """Ids of the cached pictures in the order they came."""
        return list(self._place)

    def add_pictures(
        self,
        ids: Sequence[str],
        pictures: Iterable[np.ndarray],
        *,
        batch_size: int = 4,
        progress: Callable[[int, int], None] = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Encode pictures and keep their maps; an id that is known already is replaced.

        Args:
            ids: one name per picture.
            pictures: uint8 [H, W, 3] each, any size; never cropped. May be a generator.
            batch_size: pictures encoded together; prompts may run between batches.
            progress: called with (done, total) after each batch.
            should_stop: asked between batches; true ends early.

        Raises:
            ImageError: a picture is not uint8 [H, W, 3], or is longer than four times its width.
        """
        batch: list[tuple[str, torch.Tensor]] = []
        done = 0
        for name, pixels in zip(ids, pictures, strict=True):
            picture = fit_picture(pixels, self.picture_size, name=name)
            if batch and (len(batch) == batch_size or picture.shape != batch[0][1].shape):
                done += self._encode(batch)
                batch = []
                progress(done, len(ids))
                if should_stop():
                    return
            batch.append((name, picture))
        if batch:
            progress(done + self._encode(batch), len(ids))

    def _encode(self, batch: list[tuple[str, torch.Tensor]]) -> int:
        device = getattr(self.model, "device", "cpu")
        with torch.inference_mode():
            maps = self.model.embed_image(torch.stack([picture for _, picture in batch]).to(device))
        with self._lock:
            self._place.update((name, (len(self._batches), row)) for row, (name, _) in enumerate(batch))
            self._batches.append(([name for name, _ in batch], maps))
        return len(batch)

    def calibrate(self, waveforms: Sequence[np.ndarray | torch.Tensor], *, rate: int = audio.SAMPLE_RATE) -> None:
        """Fix the range of the heat: low is the median of the best places of all pictures, high a typical best match.

        Without it, the first prompt fixes the range for all later ones.
        """
        if not self._place:
            raise DataError("No pictures to compare with yet: call add_pictures first.")
        peaks, levels = [], []
        for waveform in waveforms:
            audio_map = self._embed(self._check(waveform, rate))
            strongest = [self._matchmap(maps, audio_map).amax(dim=(1, 2)) for _, maps in list(self._batches)]
            peaks.append(max(frames.max().item() for frames in strongest))
            levels.append(torch.cat(strongest).median().item())
        low, high = float(np.median(levels)), float(np.median(peaks))
        self.heat_range = (low, max(high, low + 1e-3))

    def prompt_file(self, source, *, picture: str | None = None, num_best: int = 5) -> Prompt:
        """`prompt` with a sound file: a path, bytes or an open file; AudioError if it cannot be read."""
        waveform, rate = audio.read_audio(source, max_seconds=self.max_seconds)
        return self.prompt(waveform, rate, picture=picture, num_best=num_best)

    def prompt(self, waveform, rate: int, *, picture: str | None = None, num_best: int = 5) -> Prompt:
        """Search the cached pictures for what is said and show where it is in one of them.

        Args:
            waveform: [N] or [C, N], samples of any rate, array or tensor.
            rate: samples per second.
            picture: id of the picture for the heat; None takes the best match.
            num_best: how many of the best pictures to return.

        Raises:
            AudioError: empty, too short, silent, not finite, or longer than ``max_seconds``.
            DataError: no picture is cached, or ``picture`` is not.
        """
        started = time.perf_counter()
        if not self._place:
            raise DataError("No pictures to search yet: call add_pictures first.")
        if picture is not None and picture not in self._place:
            raise DataError(f"There is no picture {picture!r} among the {len(self)} encoded ones.")
        waveform = self._check(waveform, rate)
        audio_map = self._embed(waveform)
        ranking = self._rank(audio_map)
        if picture is None:
            picture = ranking[0].id
        if self.heat_range is None:
            self.calibrate([waveform])
        low, high = self.heat_range
        image_map = self.image_map(picture)
        matchmap = self._matchmap(image_map, audio_map)  # [H, W, T]
        contrast = self._contrast(matchmap, audio_map)
        plain = matchmap @ localization.contrast_weights(matchmap)
        whole = localization.spread(plain, image_map.float()) + 0.01 * plain  # of places that are alike, the strongest
        whole = (whole - whole.median()).clamp(min=0) / (whole.max() - whole.median()).clamp(min=1e-6)
        high = max(high, float(matchmap.max()))  # a stronger prompt is not cut off: its peak would be lost among ties
        scale = lambda values: ((values - low) / (high - low)).clamp(0, 1).float().cpu().numpy()
        heat = scale(matchmap.permute(2, 0, 1))
        clock, duration = Clock.of(self.model), len(waveform) / audio.SAMPLE_RATE
        first, last = best_span(contrast.cpu().numpy())
        return Prompt(
            picture=picture,
            heat=heat,
            whole=whole.cpu().numpy() * max(float(heat.max()), FAINTEST),
            score=next(match.score for match in ranking if match.id == picture),
            best=tuple(ranking[:num_best]),
            span=tuple(min(max(clock.seconds(frame), 0.0), duration) for frame in (first, last)),
            clock=clock,
            heat_range=(low, high),
            waveform=waveform.cpu().numpy(),
            num_pictures=len(ranking),
            elapsed=time.perf_counter() - started,
        )

    def _check(self, waveform, rate: int) -> torch.Tensor:
        """[N] at 16 kHz, known to be speech-like; too long is said before anything is computed."""
        if not rate > 0:
            raise AudioError(f"rate: found {rate!r}, expected samples per second, such as 16000.")
        found = max(np.shape(waveform), default=0) / rate
        if found > self.max_seconds:
            found, most = f"{found:.0f} s", f"{self.max_seconds:g} s"
            raise AudioError(f"The recording lasts {found}, at most {most} are allowed; cut it shorter.")
        if not isinstance(waveform, torch.Tensor):
            waveform = torch.from_numpy(np.array(waveform))  # a copy: arrays may be read-only
        if waveform.numel():
            waveform = audio.to_mono_16k(waveform if waveform.dtype != torch.float64 else waveform.float(), rate)
        audio.check_speech(waveform)
        return waveform

    @torch.inference_mode()
    def _embed(self, waveform: torch.Tensor) -> torch.Tensor:
        maps, lengths = self.model.embed_waveforms([waveform])
        return maps[0, :, : int(lengths[0])]  # [D, T]

    def _matchmap(self, image_map: torch.Tensor, audio_map: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.model.matchmap(image_map, audio_map).float()

    def _contrast(self, matchmap: torch.Tensor, audio_map: torch.Tensor) -> torch.Tensor:
        """[T]: by how much each frame's best place beats what the frame finds in any picture."""
        here = matchmap.amax(dim=(0, 1))
        if len(self) == 1:
            return here - here.median()
        ids = self.ids[:: -(-len(self) // NUM_REFERENCE)]
        others = [self._matchmap(self.image_map(name), audio_map).amax(dim=(0, 1)) for name in ids]
        return here - torch.stack(others).mean(dim=0)

    def image_map(self, picture: str) -> torch.Tensor:
        """The image map [D, H, W] of a cached picture; KeyError for an id that is not known."""
        batch, row = self._place[picture]
        return self._batches[batch][1][row]

    def _rank(self, audio_map: torch.Tensor) -> list[Match]:
        lengths = torch.tensor([audio_map.shape[-1]], device=audio_map.device)
        ranking = []
        with torch.inference_mode(), self._lock:
            for index, (ids, maps) in enumerate(self._batches):
                scores = self.model.score(maps, audio_map[None], lengths)[:, 0].float().tolist()
                for row, (name, score) in enumerate(zip(ids, scores, strict=True)):
                    if self._place[name] == (index, row):  # not replaced since
                        ranking.append(Match(name, score))
        return sorted(ranking, key=lambda match: -match.score)


def _checked_range(found) -> tuple[float, float]:
    """``found`` as (low, high); it may come from a file."""
    with suppress(TypeError, ValueError):
        low, high = map(float, found)
        if -np.inf < low < high < np.inf:
            return low, high
    raise DataError(f"heat_range: found {found!r}, expected two finite numbers, the lower one first.")


def best_span(contrast: np.ndarray) -> tuple[int, int]:
    """The run of frames [first, last) with the most contrast above half its maximum (Kadane's scan).

    Args:
        contrast: [T], T >= 1, how strongly each frame matches; brief dips do not end a run.
    """
    values = contrast - 0.5 * contrast.max()
    if contrast.max() <= 0:
        first = int(np.argmax(contrast))
        return first, first + 1
    best, span, total, start = -np.inf, (0, 1), 0.0, 0
    for frame, value in enumerate(values):
        if total <= 0:
            total, start = 0.0, frame
        total += value
        if total > best:
            best, span = total, (start, frame + 1)
    return span
