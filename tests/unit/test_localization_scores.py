"""IoD, IoT, average precision and the threshold's curves against loops; baselines, sizes, words of scenes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy_tour as toy
from sklearn.metrics import average_precision_score

from vgs_lib import localization
from vgs_lib.errors import DataError
from vgs_lib.evaluation import Trial, embed_captions, embed_pictures, word_heats
from vgs_lib.evaluation import localization_scores as scores
from vgs_lib.figures.localization import region_figure, scores_table, size_figure, sweep_figure, words_table


def many(num=5, seed=0, levels=None):
    """Heatmaps and masks; with ``levels`` the heat takes few values, so that many pixels are tied."""
    generator = torch.Generator().manual_seed(seed)
    heats = [torch.rand(8, 9, generator=generator) for _ in range(num)]
    if levels:
        heats = [(heat * levels).floor() / levels for heat in heats]
    return heats, [torch.rand(8, 9, generator=generator) < 0.4 for _ in range(num)]


def counts(heat, mask, threshold):
    """Pixels that are marked, that are in the mask, and both, by a loop."""
    marked = target = both = 0
    for value, inside in zip(heat.flatten().tolist(), mask.flatten().tolist(), strict=True):
        marked += value >= threshold
        target += inside
        both += inside and value >= threshold
    return marked, target, both


def naive_average_precision(heat, mask):
    """The mean over the mask's pixels of the share of the mask among all pixels at least as hot."""
    values, inside = heat.flatten().tolist(), mask.flatten().tolist()
    shares = []
    for value, hit in zip(values, inside, strict=True):
        if hit:
            ranked = [other for v, other in zip(values, inside, strict=True) if v >= value]
            shares.append(sum(ranked) / len(ranked))
    return sum(shares) / len(shares)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 0.97])
def test_iod_and_iot_equal_loops(threshold):
    for heat, mask in zip(*many(), strict=True):
        marked, target, both = counts(heat, mask, threshold)
        assert scores.iod(heat, mask, threshold) == pytest.approx(both / marked if marked else 0)
        assert scores.iot(heat, mask, threshold) == pytest.approx(both / target)


def test_marking_everything_nothing_and_exactly():
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[1:3, 1:3] = True
    heat = mask.float()
    assert (scores.iod(heat, mask, -1), scores.iot(heat, mask, -1)) == (pytest.approx(4 / 20), 1)
    assert (scores.iod(heat, mask, 2), scores.iot(heat, mask, 2)) == (0, 0)
    assert (scores.iod(heat, mask, 1), scores.iot(heat, mask, 1)) == (1, 1)
    heat[0, 0] = 1  # one pixel too much: precision falls, recall does not
    assert (scores.iod(heat, mask, 1), scores.iot(heat, mask, 1)) == (pytest.approx(4 / 5), 1)


@pytest.mark.parametrize("levels", [None, 4, 2])
def test_average_precision_equals_a_loop_and_scikit_learn(levels):
    for heat, mask in zip(*many(levels=levels), strict=True):
        found = scores.average_precision(heat, mask)
        assert found == pytest.approx(naive_average_precision(heat, mask))
        assert found == pytest.approx(average_precision_score(mask.flatten().numpy(), heat.flatten().numpy()))


def test_average_precision_of_the_best_the_worst_and_a_constant_map():
    mask = torch.zeros(5, 4, dtype=torch.bool)
    mask[0] = True
    assert scores.average_precision(mask.float() - 3, mask) == 1
    assert scores.average_precision(-mask.float(), mask) == pytest.approx(4 / 20)
    assert scores.average_precision(torch.zeros(5, 4), mask) == pytest.approx(4 / 20)
    heat = torch.zeros(2, 2)
    heat[0] = 1.0
    assert scores.average_precision(heat, torch.tensor([[True] * 4] * 2 + [[False] * 4] * 2)) == 1  # upsampled


def test_curves_equal_the_means_of_each_measure():
    heats, masks = many(levels=10)
    heats[1] = torch.rand(4, 3, generator=torch.Generator().manual_seed(5))  # another grid
    thresholds = [-1.0, 0.1, 0.5, 0.55, 0.95, 2.0]
    found = scores.threshold_curves(heats, masks, thresholds)
    assert found["iou"].tolist() == pytest.approx(localization.mean_ious(heats, masks, thresholds).tolist())
    for name, measure in (("iod", scores.iod), ("iot", scores.iot)):
        expected = [np.mean([measure(h, m, t) for h, m in zip(heats, masks, strict=True)]) for t in thresholds]
        assert found[name].tolist() == pytest.approx(expected), name


def test_word_scores_hold_every_measure_of_every_word():
    heats, masks = many()
    found = scores.word_scores(heats, masks, 0.6)
    assert tuple(found) == scores.MEASURES and all(len(values) == 5 for values in found.values())
    for row, (heat, mask) in enumerate(zip(heats, masks, strict=True)):
        assert float(found["iou"][row]) == pytest.approx(localization.iou(heat, mask, 0.6))
        assert float(found["iod"][row]) == pytest.approx(scores.iod(heat, mask, 0.6))
        assert float(found["iot"][row]) == pytest.approx(scores.iot(heat, mask, 0.6))
        assert float(found["pointing"][row]) == localization.pointing_hit(heat, mask)
        assert float(found["average_precision"][row]) == pytest.approx(scores.average_precision(heat, mask))


def test_the_full_frame_scores_the_share_of_the_picture_at_everything():
    _, masks = many()
    found = scores.word_scores([scores.full_frame((4, 3))] * 5, masks, 1.0)
    shares = [float(mask.double().mean()) for mask in masks]
    for name in ("iou", "iod", "pointing", "average_precision"):
        assert found[name].tolist() == pytest.approx(shares), name
    assert found["iot"].tolist() == [1.0] * 5


def test_the_centre_is_hottest_in_the_middle_and_the_same_on_all_sides():
    heat = scores.centre((5, 7), width=0.3)
    assert heat.shape == (5, 7) and heat.argmax() == 2 * 7 + 3 and float(heat.max()) == 1
    assert torch.equal(heat, heat.flip(0)) and torch.equal(heat, heat.flip(1))
    assert float(heat[0, 3]) == pytest.approx(np.exp(-((0.4 / 0.3) ** 2) / 2))
    with pytest.raises(ValueError, match="width is 0"):
        scores.centre((5, 7), width=0)


def test_a_random_map_points_as_often_as_its_share_and_is_fixed_by_its_seed():
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[:5, :4] = True
    hits = [localization.pointing_hit(scores.noise((10, 10), seed=seed), mask) for seed in range(600)]
    assert np.mean(hits) == pytest.approx(0.2, abs=0.05)
    assert torch.equal(scores.noise((3, 4), seed=1), scores.noise((3, 4), seed=1))
    assert not torch.equal(scores.noise((3, 4), seed=1), scores.noise((3, 4), seed=2))


@pytest.mark.parametrize(("pixels", "name"), [(1, "small"), (3, "small"), (4, "medium"), (9, "medium"), (10, "large"),
                                               (100, "large")])  # fmt: skip
def test_sizes_are_shares_of_the_picture(pixels, name):
    assert scores.object_size(torch.arange(100).view(10, 10) < pixels) == name


def test_summary_draws_whole_scenes():
    values = {"iou": torch.tensor([0.0, 0.0, 1.0, 1.0])}
    mean, low, high = scores.summary(values, groups=[0, 0, 1, 1])["iou"]
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    assert scores.summary({"iou": torch.full((9,), 0.3)})["iou"] == pytest.approx((0.3, 0.3, 0.3))


def test_scores_by_label():
    parts = scores.by_label({"iou": torch.tensor([0.1, 0.2, 0.3])}, ["b", "a", "b"])
    assert list(parts) == ["b", "a"] and parts["b"]["iou"].tolist() == pytest.approx([0.1, 0.3])
    with pytest.raises(ValueError, match="got 3 scores and 2 labels"):
        scores.by_label({"iou": torch.zeros(3)}, ["a", "b"])


@pytest.mark.parametrize("function", [lambda h, m: scores.word_scores(h, m, 0.5),
                                      lambda h, m: scores.threshold_curves(h, m, [0.5])])  # fmt: skip
def test_wrong_numbers_of_maps(function):
    heats, masks = many()
    with pytest.raises(ValueError, match="got 5 maps and 4 masks"):
        function(heats, masks[:4])
    with pytest.raises(ValueError, match="got 0 maps"):
        function([], [])
    for measure in (scores.average_precision, lambda h, m: scores.iod(h, m, 0.5), lambda h, m: scores.iot(h, m, 0.5)):
        with pytest.raises(ValueError, match=r"expected \[Y, X\] bool with a true pixel"):
            measure(heats[0], torch.zeros(8, 9, dtype=torch.bool))


class Model(toy.ToyModel):
    """The toy model with what batches of captions need."""

    device, frame_lag = torch.device("cpu"), 0.0

    def embed_image(self, pictures):
        return super().embed_image(pictures.float() / 255)

    def embed_waveforms(self, waveforms):
        maps = [super(Model, self).embed_waveforms([w])[0][0] for w in waveforms]
        lengths = torch.tensor([m.shape[1] for m in maps])
        padded = torch.zeros(len(maps), maps[0].shape[0], int(lengths.max()))
        for row, one in zip(padded, maps, strict=True):
            row[:, : one.shape[1]] = one
        return padded, lengths


def as_scene(picture):
    """A toy picture in the form of a scene of Spoken Stamps."""
    waveform, _ = picture.caption.load()
    words = [SimpleNamespace(text=w.text, concept=w.text, start=w.start, end=w.end) for w in picture.caption.words]
    carrier = SimpleNamespace(text="and", concept=None, start=0.0, end=0.1)
    objects = [SimpleNamespace(concept=name, mask=mask) for name, mask in picture.masks.items()]
    return SimpleNamespace(picture=picture.load(), waveform=waveform, words=[carrier, *words], objects=objects)


@pytest.fixture(scope="module")
def located():
    """Ten toy scenes, more than two batches, and their words."""
    pictures = toy.scenes(10)
    return pictures, scores.locate_words(Model(), (as_scene(p) for p in pictures))


def test_located_words_are_those_of_the_captions_with_their_masks(located):
    pictures, words = located
    expected = [(w.text, n, w.start, w.end) for n, p in enumerate(pictures) for w in p.caption.words]
    assert [(w.text, w.scene, w.start, w.end) for w in words] == expected
    for word in words:
        assert np.array_equal(word.mask.numpy(), pictures[word.scene].masks[word.text])
        assert word.heat.shape == (14, 14) and localization.pointing_hit(word.heat, word.mask) > 0.9


def test_located_words_have_the_heat_of_the_evaluation(located):
    pictures, words = located
    model, scenes = Model(), [as_scene(p) for p in pictures]
    trial_words = [(w.scene, w.scene, w.start, w.end, w.mask) for w in words]
    sounds = [torch.from_numpy(s.waveform) for s in scenes]
    trial = Trial([s.picture for s in scenes], sounds, torch.eye(10, dtype=torch.bool), trial_words)
    with torch.no_grad():
        heats = word_heats(model, embed_pictures(model, trial.pictures), *embed_captions(model, sounds), trial)
    for word, heat in zip(words, heats, strict=True):
        torch.testing.assert_close(word.heat, heat)


def test_frames_that_lag_behind_are_read_later(located):
    pictures, words = located

    class Late(Model):
        """Each frame hears what was said 0.08 s, two frames, before it."""

        frame_lag = 0.08

        def embed_waveforms(self, waveforms):
            maps, lengths = super().embed_waveforms(waveforms)
            return torch.cat([torch.zeros_like(maps[..., :2]), maps], dim=-1), lengths + 2

    late = scores.locate_words(Late(), [as_scene(p) for p in pictures])
    for word, other in zip(words, late, strict=True):
        torch.testing.assert_close(word.heat, other.heat)


def test_freed_memory_is_given_back_before_and_after_each_few_scenes(monkeypatch):
    calls = []
    monkeypatch.setattr(scores, "trim", lambda: calls.append(1))
    scores.locate_words(Model(), [as_scene(p) for p in toy.scenes(1 + 2 * scores.BATCH)])
    assert len(calls) == 1 + 3


def test_scenes_without_a_named_mask_are_refused():
    scene = as_scene(toy.scenes(1)[0])
    scene.objects = []
    with pytest.raises(DataError, match="Found 1 scenes, none with a word"):
        scores.locate_words(Model(), [scene])


def test_baselines_have_the_size_of_the_heat_and_the_model_beats_them(located):
    _, words = located
    masks = [word.mask for word in words]
    maps = scores.baseline_heats(words, seed=3)
    assert list(maps) == ["full frame", "centre", "random"]
    assert all(heat.shape == (14, 14) for heats in maps.values() for heat in heats)
    assert not torch.equal(maps["random"][0], maps["random"][1])
    model = scores.word_scores([word.heat for word in words], masks, 0.5)
    for name, heats in maps.items():
        threshold, _ = localization.best_threshold(heats, masks)
        baseline = scores.word_scores(heats, masks, threshold)
        assert float(model["iou"].mean()) > float(baseline["iou"].mean()) + 0.3, name


def test_figures_and_tables_show_what_they_are_given(located):
    pictures, words = located
    masks, scenes = [word.mask for word in words], [word.scene for word in words]
    found = scores.word_scores([word.heat for word in words], masks, 0.3)
    methods = {"model": found, "full frame": scores.word_scores([scores.full_frame((14, 14))] * len(words), masks, 1.0)}
    table = scores_table(
        {name: scores.summary(values, groups=scenes) for name, values in methods.items()}, first="toys"
    )
    rows = table.splitlines()
    assert rows[0] == "| toys | IoU | IoD | IoT | pointing | average precision |" and len(rows) == 4
    assert rows[3].startswith("| full frame | 0.06") and "1.000 [1.000, 1.000]" in rows[3]
    rows = words_table(words, found, num=2).splitlines()
    order = torch.argsort(found["iou"]).tolist()
    assert len(rows) == 6 and rows[2].startswith(f"| {words[order[0]].text} |")
    assert f"{float(found['iou'].max()):.2f}" in rows[-1]

    sizes = [scores.object_size(mask) for mask in masks]
    figure = size_figure(methods, sizes, scenes)
    bars = figure.axes[0].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([float(v["iou"].mean()) for v in methods.values()])
    assert [a.get_title() for a in figure.axes] == ["IoU", "pointing", "average precision"]
    figure = sweep_figure([0.0, 0.5], {"iou": [0.1, 0.4]}, marks={"chosen": 0.5})
    assert figure.axes[0].get_xlabel() == "threshold (cosine, no unit)"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["IoU", "chosen: 0.500"]
    some = words[:3]
    figure = region_figure([pictures[w.scene].load() for w in some], some, 0.3, titles=[w.text for w in some])
    assert [a.get_title() for a in figure.axes[:3]] == [w.text for w in some]
    figure.canvas.draw()
