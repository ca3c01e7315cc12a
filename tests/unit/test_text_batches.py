"""Batches of captions as text: their words, and nothing of sound."""

import dataclasses

import pytest
import tiny_stamps
import torch
from tiny_training import TinyImages

from vgs_lib.batches.scene_batches import SceneData
from vgs_lib.batches.text_batches import TextBatches, texts_of
from vgs_lib.data.scenes import Scenes
from vgs_lib.data.stamps import Stamps
from vgs_lib.encoders.text import UNKNOWN, TextCNN, Vocabulary, WordNumbers
from vgs_lib.model import DualEncoder

DATA = SceneData(num_scenes=16, batch_size=4, takes=2, mask_frames=8)


@pytest.fixture
def batches(home):
    stamps = Stamps.open(home)
    words = list(Vocabulary.of_texts(texts_of(stamps)).words)
    model = DualEncoder(TinyImages(), TextCNN(vocabulary=words, dim=8)).eval()
    found = TextBatches(model, Scenes(stamps, "train", size=32), DATA)
    names = {filling.name for filling in found.fill()}
    assert names == {"pictures"}, "no sound is made"
    return found


def test_a_caption_is_the_numbers_of_its_words(batches):
    front_end = batches.audio_encoder.front_end
    told = set()
    for step in range(8):
        batch = batches[step]
        for row, (take, index) in enumerate(batches.tellings(step)):
            numbers, lengths = front_end([batches.scenes[index].said(take)])
            assert batch.audio_lengths[row] == lengths[0]
            assert torch.equal(batch.audio[row, :, : lengths[0]], numbers[0, :, : lengths[0]])
            told.add((take, index))
    assert {take for take, _ in told} == {0, 1}


def test_nothing_is_blanked(batches, home):
    plain = TextBatches(batches_model(batches), batches.scenes, dataclasses.replace(DATA, mask_frames=0))
    list(plain.fill())
    assert torch.equal(plain[3].audio, batches[3].audio)


def batches_model(batches):
    return DualEncoder(TinyImages(), batches.audio_encoder).eval()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_word_of_every_split_is_known(home, split, monkeypatch):
    voices = (*tiny_stamps.VOICES, dataclasses.replace(tiny_stamps.TEST, split="validation"))
    tiny_stamps.use_voices(monkeypatch, voices)
    stamps = Stamps.open(home)
    numbers, scenes = WordNumbers(Vocabulary.of_texts(texts_of(stamps))), Scenes(stamps, split)
    for index in range(40):
        (found,), (length,) = numbers([scenes[index].said(0)])
        assert (found[0, :length] > UNKNOWN).all(), scenes[index].said(0)
