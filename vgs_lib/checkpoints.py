"""Trained models as folders: ``model.json`` (recipe, digests), ``model.safetensors`` (weights), ``README.md``
(card).

Weights that come unchanged from an installed package (modules marked ``from_package``) are not stored: the
recipe obtains them again, and a digest makes sure that they are the same. Nothing is ever unpickled.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save_file
from torch import Tensor

from vgs_lib import __version__
from vgs_lib.errors import CheckpointError
from vgs_lib.model import DualEncoder
from vgs_lib.paths import checkpoints_folder
from vgs_lib.safe_files import digest_tensors, names_from_packages, write_atomically

FORMAT = 1
CONFIG = "model.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
PICKLED_SUFFIXES = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt"}

Build = Callable[[dict[str, Any]], DualEncoder]


def save_model(
    model: DualEncoder,
    recipe: Any,
    folder: str | Path,
    *,
    card: str | None = None,
    half: bool = False,
    extra: Mapping[str, Any] | None = None,
    build: Build | None = None,
) -> Path:
    """Write ``model`` to ``folder`` and return the folder.

    recipe: what builds the model: a Recipe, or the JSON object of one. It is built once to see which weights
        the packages give and that the recipe fits; CheckpointError if it does not.
    card: text of the model card; None leaves one that is there.
    half: store weights as float16, half the size; a tensor that does not fit stays float32.
    extra: further JSON for ``read_config(folder)["extra"]``, such as a threshold chosen on validation.
    build: recipe's JSON object -> model; None takes ``vgs_lib.recipes``.
    """
    folder = Path(folder)
    recipe = dict(recipe) if isinstance(recipe, Mapping) else recipe.to_dict()
    recipe = json.loads(json.dumps(recipe))
    own = model.state_dict()
    with torch.random.fork_rng(devices=[]):
        reference = (build or _build)(recipe)
    built = reference.state_dict()
    unfit = sorted(n for n in own.keys() | built.keys() if n not in own or n not in built)
    unfit = unfit or sorted(n for n in own if own[n].shape != built[n].shape)
    if unfit:
        raise CheckpointError(f"recipe: it builds another model than this one; they differ in {_some(unfit)}")
    packaged = {
        name: built[name]
        for name in names_from_packages(model) & names_from_packages(reference)
        if torch.equal(own[name].cpu(), built[name].cpu())
    }
    weights = {n: _for_disk(t, half) for n, t in own.items() if n not in packaged}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, lambda path: save_file(weights, path, {"format": "pt"}))
    config = {
        "format": FORMAT,
        "vgs_lib": __version__,
        "recipe": recipe,
        "weights": {"file": WEIGHTS, "sha256": _file_digest((folder / WEIGHTS).read_bytes())},
        "from_package": {"names": sorted(packaged), "sha256": digest_tensors(packaged)},
        "extra": dict(extra or {}),
    }
    text = json.dumps(config, indent=1) + "\n"
    write_atomically(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))
    if card is not None:
        write_atomically(folder / CARD, lambda path: path.write_text(card, encoding="utf-8"))
    return folder


def load_model(name: str | Path, device: str | torch.device = "cpu", *, build: Build | None = None) -> DualEncoder:
    """The model of a shipped checkpoint's name ("stamps-demo") or a folder, in evaluation mode on ``device``.

    Raises CheckpointError where it is missing, damaged, unsafe (pickled, or pointing out of its folder) or
    does not fit its recipe, and DownloadError where a package that it takes weights from is not installed.
    """
    folder = find_checkpoint(name)
    config = read_config(folder)
    weights = _read_weights(folder, config["weights"])
    with torch.random.fork_rng(devices=[]):
        model = (build or _build)(config["recipe"])
    own = model.state_dict()
    packaged = set(config["from_package"]["names"])
    unfit = sorted((own.keys() ^ (weights.keys() | packaged)) | (weights.keys() & packaged))
    unfit = unfit or sorted(n for n in weights if own[n].shape != weights[n].shape)
    if unfit:
        raise CheckpointError(f"{folder}: the weights do not fit the recipe; they differ in {_some(unfit)}")
    if digest_tensors({n: own[n] for n in packaged}) != config["from_package"]["sha256"]:
        raise CheckpointError(
            f"{folder}: the installed packages give other weights than this model was trained on; "
            "reinstall the versions in requirements.txt"
        )
    model.load_state_dict({n: t.to(own[n].dtype) for n, t in weights.items()}, strict=False)
    return model.to(device).eval()


def find_checkpoint(name: str | Path) -> Path:
    """The folder of a shipped checkpoint's name, or of a path; CheckpointError with advice for neither."""
    shipped = checkpoints_folder()
    if re.fullmatch(r"\w[\w.-]*", str(name)) and (shipped / str(name) / CONFIG).is_file():
        return shipped / str(name)
    path = Path(name)
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix in PICKLED_SUFFIXES or _is_pickled(_first_bytes(path)):
            raise CheckpointError(
                f"{path}: a pickled file can run any code when it is opened, so it is refused; "
                f"expected a folder with {CONFIG} and {WEIGHTS}"
            )
        raise CheckpointError(f"{path}: found a file, expected a folder with {CONFIG} and {WEIGHTS}")
    known = sorted(file.parent.name for file in shipped.glob(f"*/{CONFIG}"))
    raise CheckpointError(
        f"{name}: found neither a checkpoint of that name nor a folder; "
        f"the checkpoints here are: {', '.join(known) or 'none'}"
    )


def read_config(name: str | Path) -> dict[str, Any]:
    """``model.json`` of a checkpoint: ``recipe``, ``weights``, ``from_package``, ``extra``."""
    path = find_checkpoint(name) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        pickled = sorted(f.name for f in path.parent.iterdir() if f.suffix in PICKLED_SUFFIXES)
        why = f"; {', '.join(pickled)} may be pickled and is not opened" if pickled else ""
        raise CheckpointError(f"{path}: there is no such file, so this is no checkpoint{why}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, it is not readable JSON ({error})") from error
    wanted = {"format": int, "recipe": dict, "weights": dict, "from_package": dict}
    for key, kind in wanted.items():
        if not isinstance(config, dict) or not isinstance(config.get(key), kind):
            raise CheckpointError(f"{path}: damaged, {key!r} is missing or not of type {kind.__name__}")
    if config["format"] > FORMAT:
        raise CheckpointError(
            f"{path}: written in format {config['format']}, this version reads up to {FORMAT}; update vgs_lib"
        )
    weights, packaged = config["weights"], config["from_package"]
    strings = [weights.get("file"), weights.get("sha256"), packaged.get("sha256")]
    names = packaged.get("names")
    if not isinstance(names, list) or not all(isinstance(s, str) for s in [*strings, *names]):
        raise CheckpointError(f"{path}: damaged, 'weights' or 'from_package' is incomplete")
    return config


def _read_weights(folder: Path, entry: Mapping[str, str]) -> dict[str, Tensor]:
    name = entry["file"]
    if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise CheckpointError(f"{folder / CONFIG}: unsafe weights file {name!r}, expected a plain name")
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: missing or unreadable ({error.strerror}); get it again") from error
    digest = _file_digest(data)
    if digest != entry["sha256"]:
        raise CheckpointError(
            f"{path}: damaged or of another model: its SHA-256 begins {digest[:12]}, expected "
            f"{entry['sha256'][:12]}; get the checkpoint again"
        )
    try:
        return load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        if _is_pickled(data[:4]):
            raise CheckpointError(
                f"{path}: a pickled file, refused because it can run any code; expected safetensors"
            ) from error
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error


def _build(recipe: dict[str, Any]) -> DualEncoder:
    from vgs_lib.recipes import Recipe, build_model

    return build_model(Recipe.from_dict(recipe))


def _for_disk(tensor: Tensor, half: bool) -> Tensor:
    copy = tensor.detach().to("cpu", copy=True).contiguous()
    if half and copy.dtype == torch.float32:
        small = copy.half()
        return small if bool(small.isfinite().all()) else copy
    return copy


def _is_pickled(start: bytes) -> bool:
    """PyTorch's zip archives, and pickles of protocol 2 and up."""
    return start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05")


def _file_digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4)
