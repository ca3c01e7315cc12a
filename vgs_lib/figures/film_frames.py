"""The frames of a matchmap's film: heat over the picture; below it the word, the time, a time strip and the legend.

Shapes: H W grid, T frames of the matchmap, Y X pixels. Times are in seconds.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vgs_lib.clock import Clock
from vgs_lib.discovery import TimedWord
from vgs_lib.viz import colour_table, overlay

FOOTER = 64  # pixels below the picture
INK, PAPER, SOFT, NOW = (29, 39, 51), (255, 255, 255), (91, 102, 115), (179, 38, 30)


def heat_at(heat: np.ndarray, seconds: float, clock: Clock) -> np.ndarray:
    """Heat [H, W] of a moment: linear between the centres of the two nearest of the frames [T, H, W]."""
    position = np.clip(clock.frame(seconds) - 0.5, 0, len(heat) - 1)
    first = int(position)
    second = min(first + 1, len(heat) - 1)
    part = position - first
    return heat[first] * (1 - part) + heat[second] * part


class FilmFrames:
    """Draws the film's frames.

    Args:
        heat: [T, H, W] float32, 0-1.
        picture: uint8 [Y, X, 3].
        clock: when the frames of ``heat`` are heard.
        duration: of the sound.
        heat_range: (low, high) similarities drawn as 0 and 1.
        words: shown while they are heard.
        longest: pixels of the picture's longer side in the film.
        opacity: of the heat, 0-1.
        cut: heat under it (0-1) is not lit.
    """

    def __init__(
        self,
        heat: np.ndarray,
        picture: np.ndarray,
        *,
        clock: Clock,
        duration: float,
        heat_range: tuple[float, float],
        words: Sequence[TimedWord],
        longest: int,
        opacity: float,
        cut: float,
    ):
        self.heat, self.clock, self.duration = heat, clock, duration
        self.words, self.opacity, self.cut = words, opacity, cut
        scale = longest / max(picture.shape[:2])
        even = lambda side: max(2, 2 * round(side * scale / 2))  # H.264 halves the colours' resolution
        self.picture_size = even(picture.shape[1]), even(picture.shape[0])
        self.size = self.picture_size[0], self.picture_size[1] + FOOTER
        self.picture = np.asarray(Image.fromarray(picture).resize(self.picture_size, Image.Resampling.LANCZOS))
        self._font = ImageFont.load_default(14)
        self._small = ImageFont.load_default(11)
        self._footer = self._empty_footer(*heat_range)

    def at(self, seconds: float) -> np.ndarray:
        """The frame of a moment: uint8 [Y, X, 3]."""
        heat = heat_at(self.heat, seconds, self.clock)
        lit = overlay(self.picture, heat, opacity=self.opacity, threshold=self.cut)
        footer = self._footer.copy()
        draw, width = ImageDraw.Draw(footer), self.size[0]
        heard = next((word.text for word in self.words if word.start <= seconds < word.end), "")
        draw.text((6, 3), heard, fill=INK, font=self._font)
        draw.text((width - 6, 5), f"{min(seconds, self.duration):.2f} s", fill=SOFT, font=self._small, anchor="ra")
        x = round(seconds / self.duration * width)
        draw.rectangle((x - 1, 22, x + 1, 40), fill=NOW)
        return np.concatenate([lit, np.asarray(footer)])

    def _empty_footer(self, low: float, high: float) -> Image.Image:
        """The time strip in the colours of each frame's strongest heat, and the legend."""
        width = self.size[0]
        footer = Image.new("RGB", (width, FOOTER), PAPER)
        strongest = self.heat.max(axis=(1, 2))
        moments = (np.arange(width) + 0.5) / width * self.duration
        values = strongest[np.clip(self.clock.frame(moments).astype(int), 0, len(strongest) - 1)]
        footer.paste(_strip(np.where(values >= self.cut, values, 0), 14), (0, 24))
        bar = np.linspace(0, 1, max(20, min(128, width // 4)))
        draw = ImageDraw.Draw(footer)
        x = 6
        for piece in (f"similarity  {low:.1f}", bar, f"{high:.1f}"):
            if isinstance(piece, str):
                draw.text((x, 46), piece, fill=SOFT, font=self._small)
                x += round(draw.textlength(piece, font=self._small)) + 6
            else:
                footer.paste(_strip(np.where(piece >= self.cut, piece, 0), 10), (x, 48))
                x += len(piece) + 6
        return footer


def _strip(values: np.ndarray, height: int) -> Image.Image:
    """Values [X], 0-1, as a strip of colours."""
    colours = colour_table()[(np.clip(values, 0, 1) * 255).round().astype(int)]
    return Image.fromarray(np.tile(colours, (height, 1, 1)))
