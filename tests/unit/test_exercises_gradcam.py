"""The checks of the notebook on class activation maps."""

import numpy as np
import pytest
import torch

from vgs_lib.exercises import RIGHT
from vgs_lib.exercises.gradcam import check_gradcam, check_ignores, check_sign, check_target

RNG = torch.Generator().manual_seed(0)
IMAGE, QUERY = torch.randn(6, 4, 5, generator=RNG), torch.randn(6, 3, generator=RNG)


def products(image_map):
    return image_map.flatten(1).T @ QUERY  # [h w, T]


@pytest.mark.parametrize(
    "target, said",
    [
        (lambda x: products(x).max(dim=0).values.mean(), RIGHT),
        (lambda x: None, "Not answered yet"),
        (lambda x: ..., "Not answered yet"),
        (lambda x: products(x).max(dim=0).values.mean().item(), "float; a target must stay a tensor"),
        (lambda x: products(x.detach()).max(dim=0).values.mean(), "cut off"),
        (lambda x: products(IMAGE.clone().requires_grad_(True)).max(dim=0).values.mean(), "cut off"),
        (lambda x: products(x).max(dim=0).values, "shape [3]"),
        (lambda x: products(x).mean(), "mean over places and frames"),
        (lambda x: products(x).max(), "best frame"),
        (lambda x: products(x).max(dim=1).values.mean(), "each frame that should choose"),
        (lambda x: products(x).max(dim=0).values.sum(), "Take the mean"),
        (lambda x: -products(x).max(dim=0).values.mean(), "sign"),
        (lambda x: products(x).max(dim=0).values.mean() + 1, "off by +1"),
        (lambda x: x @ QUERY, "It raises RuntimeError"),
    ],
)
def test_target(target, said):
    assert said in check_target(target, IMAGE, QUERY)


def test_gradcam():
    rng = np.random.default_rng(0)
    activations, gradients = (rng.normal(size=(6, 4, 5)).astype(np.float32) for _ in range(2))
    weights = gradients.mean(axis=(1, 2))
    signed = np.tensordot(weights, activations, 1)
    said = lambda answer: check_gradcam(answer, activations, gradients)
    assert said(np.maximum(signed, 0)) == RIGHT == said(torch.from_numpy(signed).relu())
    assert "Not answered yet" in said(None)
    assert "shape [6, 4, 5]" in said(weights[:, None, None] * activations)
    assert "Keep what raises it" in said(signed)
    assert "negative" in said(signed - 1)
    assert "HiResCAM" in said((activations * gradients).sum(axis=0).clip(min=0))
    positive = np.abs(activations)
    assert "gradients are not used" in check_gradcam(positive.mean(axis=0), positive, gradients)
    assert "scale" in said(20 * np.maximum(signed, 0))
    assert "another map" in said(np.ones((4, 5)))


def test_sign():
    raw = np.zeros((4, 4))
    raw[0, 0], raw[3, 3] = -2.0, 3.0
    mask = np.zeros((8, 8), bool)
    mask[:2, :2] = True
    assert check_sign("negative", raw, mask) == RIGHT
    assert "other one" in check_sign("positive", raw, mask) and "size" in check_sign("zero", raw, mask)
    assert check_sign("positive", raw, mask[::-1, ::-1]) == RIGHT
    assert check_sign("zero", raw, np.roll(mask, 4, axis=1)) == RIGHT
    assert "expected one of" in check_sign("minus", raw, mask) and "Not answered" in check_sign(None, raw, mask)


def test_ignores():
    one = np.ones((2, 2))
    maps = {"GradCAM": (one, 2 * one), "EigenCAM": (one, one)}
    assert check_ignores("EigenCAM", maps) == RIGHT
    nothing = {"GradCAM": (0 * one, 0 * one), "EigenCAM": (one, one), "LayerCAM": (0 * one, one)}
    assert "zero everywhere" in check_ignores("GradCAM", nothing) and "differ" in check_ignores("LayerCAM", nothing)
    assert "differ, by 100%" in check_ignores("GradCAM", maps)
    assert "expected one of GradCAM, EigenCAM" in check_ignores("eigen", maps)
    assert "Not answered" in check_ignores(None, maps)
