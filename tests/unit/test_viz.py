"""Figures as images for notebooks."""

from io import BytesIO

from matplotlib.figure import Figure
from PIL import Image, ImageChops

from vgs_lib.viz import figure_png, with_alt


def test_a_figure_without_photographs_has_few_colours_and_looks_the_same():
    figure = Figure(figsize=(6, 4), dpi=72, layout="constrained")
    figure.add_subplot(title="a title").plot(range(9))
    whole, few = figure_png(figure), with_alt(figure, "a line").data
    assert Image.open(BytesIO(few)).mode == "P" and len(few) < 0.6 * len(whole)
    pictures = [Image.open(BytesIO(data)).convert("RGB") for data in (whole, few)]
    assert max(high for _, high in ImageChops.difference(*pictures).getextrema()) <= 16
