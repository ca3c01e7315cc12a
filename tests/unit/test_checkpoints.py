"""save_model and load_model: round trips, and every way in which a checkpoint can be wrong."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import TinyBatches, build, make_model

from vgs_lib import checkpoints
from vgs_lib.checkpoints import find_checkpoint, load_model, read_config, save_model
from vgs_lib.errors import CheckpointError
from vgs_lib.safe_files import remove_leftovers, write_atomically

RECIPE = {"seed": 0}


@pytest.fixture
def model():
    """A model as if trained: nothing but the package's weights is as the recipe builds it."""
    model = make_model(seed=9).eval()
    model.audio_encoder.input_norm.running_mean.fill_(0.25)
    model.logit_scale.data.fill_(2.0)
    return model


@pytest.fixture
def folder(model, tmp_path):
    return save_model(model, RECIPE, tmp_path / "model", card="# A card\n", extra={"threshold": 0.5}, build=build)


def edit(folder, **changes):
    config = json.loads((folder / "model.json").read_text())
    for path, value in changes.items():
        *outer, last = path.split("__")
        target = config
        for key in outer:
            target = target[key]
        if value is None:
            del target[last]
        else:
            target[last] = value
    (folder / "model.json").write_text(json.dumps(config))


def test_round_trip_gives_equal_outputs(model, folder):
    state = torch.get_rng_state()
    loaded = load_model(folder, build=build)
    assert torch.equal(state, torch.get_rng_state())
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    batch = TinyBatches()[0]
    with torch.no_grad():
        assert torch.equal(loaded(batch), model(batch))
    assert sorted(os.listdir(folder)) == ["README.md", "model.json", "model.safetensors"]
    assert (folder / "README.md").read_text() == "# A card\n"
    assert read_config(folder)["extra"] == {"threshold": 0.5}
    assert read_config(folder)["recipe"] == RECIPE


def test_half_precision_on_disk(model, folder, tmp_path):
    model.audio_encoder.conv1.bias.data[0] = 1e6  # more than float16 holds
    half = save_model(model, RECIPE, tmp_path / "half", half=True, build=build)
    weights = load_file(half / "model.safetensors")
    assert weights["audio_encoder.conv2.weight"].dtype == torch.float16
    assert weights["audio_encoder.conv1.bias"].dtype == torch.float32
    assert weights["audio_encoder.input_norm.num_batches_tracked"].dtype == torch.int64
    size = (half / "model.safetensors").stat().st_size
    assert size < 0.6 * (folder / "model.safetensors").stat().st_size
    loaded = load_model(half, build=build)
    for name, tensor in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == tensor.dtype
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-6, msg=name)


def test_weights_of_packages_are_not_stored(model, folder):
    stored = load_file(folder / "model.safetensors")
    backbone = {name for name in model.state_dict() if "backbone" in name}
    assert len(backbone) == 7
    assert stored.keys() == model.state_dict().keys() - backbone
    assert set(read_config(folder)["from_package"]["names"]) == backbone


def test_changed_weights_of_packages_are_stored(model, tmp_path):
    name = "image_encoder.backbone.0.weight"
    model.image_encoder.backbone[0].weight.data[0] += 1.0
    folder = save_model(model, RECIPE, tmp_path / "model", build=build)
    assert name in load_file(folder / "model.safetensors")
    assert torch.equal(load_model(folder, build=build).state_dict()[name], model.state_dict()[name])


def test_other_weights_in_the_package_are_noticed(folder):
    with pytest.raises(CheckpointError, match="installed packages give other weights"):
        load_model(folder, build=lambda recipe: build({**recipe, "package_seed": 6}))


def test_recipe_of_another_model_is_refused(model, folder, tmp_path):
    def other(recipe):
        built = build(recipe)
        built.audio_encoder.conv1 = torch.nn.Conv1d(40, 5, 1)
        return built

    with pytest.raises(CheckpointError, match=r"recipe: .*audio_encoder\.conv1"):
        save_model(model, RECIPE, tmp_path / "new", build=other)
    with pytest.raises(CheckpointError, match=r"do not fit the recipe.*audio_encoder\.conv1"):
        load_model(folder, build=other)

    def smaller(recipe):
        built = build(recipe)
        del built.audio_encoder.conv5
        return built

    with pytest.raises(CheckpointError, match=r"do not fit the recipe.*audio_encoder\.conv5"):
        load_model(folder, build=smaller)


def test_shipped_name(folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "checkpoints_folder", lambda: folder.parent)
    assert find_checkpoint("model") == folder
    with pytest.raises(CheckpointError, match=r"nothing: found neither .* the checkpoints here are: model"):
        load_model("nothing")


def test_missing_and_damaged_weights(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged or of another model: its SHA-256"):
        load_model(folder, build=build)
    path.write_bytes(data[:100])
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_model(folder, build=build)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: missing or unreadable"):
        load_model(folder, build=build)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
        ("\udcff", "not readable JSON"),
        ("[]", "'format' is missing"),
        ('{"format": 1, "recipe": {}, "weights": 3}', "'weights' is missing or not of type dict"),
        ('{"format": 1, "recipe": {}, "weights": {}, "from_package": {}}', "is incomplete"),
        ('{"format": 99, "recipe": {}, "weights": {}, "from_package": {}}', "format 99.*update vgs_lib"),
    ],
)
def test_damaged_config(folder, text, message):
    (folder / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=f"model.json: .*{message}"):
        load_model(folder, build=build)


def test_unknown_packaged_name(folder):
    edit(folder, from_package__names=["no.such.weight"])
    with pytest.raises(CheckpointError, match="do not fit the recipe"):
        load_model(folder, build=build)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "a\\b", ""])
def test_paths_out_of_the_folder_are_refused(folder, name):
    edit(folder, weights__file=name)
    with pytest.raises(CheckpointError, match="unsafe weights file"):
        load_model(folder, build=build)


class Exploding:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_pickled_files_are_refused_and_never_opened(folder, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ("weights" if form == "pickle" else "weights.pt")
    if form == "pickle":
        file.write_bytes(pickle.dumps(Exploding()))
    else:
        torch.save(Exploding(), file)
    with pytest.raises(CheckpointError, match="pickled file can run any code"):
        load_model(file)
    data = file.read_bytes()
    (folder / "model.safetensors").write_bytes(data)
    edit(folder, weights__sha256=checkpoints._file_digest(data))
    with pytest.raises(CheckpointError, match="pickled file, refused"):
        load_model(folder, build=build)
    assert not (tmp_path / "exploded").exists()


def test_folder_of_pickled_weights_is_refused(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"this is no checkpoint; model\.pt may be pickled"):
        load_model(tmp_path)


def test_writers_of_one_file_in_one_process_do_not_meet(tmp_path):
    path, names = tmp_path / "file", []

    def outer(target):
        names.append(target.name)
        target.write_text("outer")
        write_atomically(path, inner)  # while the first one is at it
        assert path.read_text() == "inner" and target.read_text() == "outer"

    def inner(target):
        names.append(target.name)
        target.write_text("inner")

    write_atomically(path, outer)
    assert path.read_text() == "outer" and os.listdir(tmp_path) == ["file"]
    assert len(set(names)) == 2
    assert all(name.startswith(f".file.{os.getpid()}.") and name.endswith(".partial") for name in names)


def test_atomic_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda target: target.write_text("old"))

    def crash(target):
        target.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, crash)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
    (tmp_path / ".file.77.partial").write_text("half")
    (tmp_path / ".file.77.0a1b2c3d.partial").write_text("half")
    (tmp_path / ".keep").write_text("")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".keep", "file"]
