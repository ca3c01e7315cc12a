"""The notebooks' work for scripts and servers: ``python -m vgs_lib COMMAND``.

Commands: ``data``, ``train``, ``evaluate``, ``prompt``, ``reproduce``, ``notebooks``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vgs_lib.commands import CARD_SCENES
from vgs_lib.errors import VgsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 on success, 1 with one sentence on standard error where a :class:`VgsError` says why not."""
    parser = argparse.ArgumentParser(prog="python -m vgs_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _data_parser(commands.add_parser("data", help="obtain and build data sets, check manifests"))
    _train_parser(commands.add_parser("train", help="train a recipe, on Spoken Stamps or a manifest"))
    _evaluate_parser(commands.add_parser("evaluate", help="figures of a checkpoint on a split"))
    _prompt_parser(commands.add_parser("prompt", help="speak a recording to a picture"))
    _reproduce_parser(commands.add_parser("reproduce", help="train the documents' systems under equal conditions"))
    _notebooks_parser(commands.add_parser("notebooks", help="write, record, measure or check the notebooks"))
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except VgsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace) -> int:
    # Imported here, so that a command that has nothing to do answers at once.
    if chosen.command == "data":
        from vgs_lib.commands import data

        return data.run(chosen)
    if chosen.command == "notebooks":
        from vgs_lib.commands import notebooks

        return notebooks.run(chosen)
    if chosen.command == "reproduce":
        from vgs_lib.commands import reproduce

        return reproduce.run(chosen)
    from vgs_lib.commands import models

    return {"train": models.train, "evaluate": models.evaluate, "prompt": models.prompt}[chosen.command](chosen)


def _data_parser(parser: argparse.ArgumentParser) -> None:
    sets = parser.add_subparsers(dest="set", required=True)
    stamps = sets.add_parser("stamps", help="obtain and build Spoken Stamps")
    stamps.add_argument("--archive", type=Path, help="a .deb or .tar.gz of the stamps that you have")
    stamps.add_argument("--folder", type=Path, help="where to build it (default: $VGS_HOME/stamps)")
    stamps.add_argument("--jobs", type=int, help="things done at once (default: all cores)")
    attributes = sets.add_parser("attributes", help="let every voice say the words for attributes of things")
    attributes.add_argument("--folder", type=Path, help="where Spoken Stamps is (default: $VGS_HOME/stamps)")
    attributes.add_argument("--jobs", type=int, help="voices that speak at once (default: all cores)")
    check = sets.add_parser("check", help="validate a manifest, reporting file and line")
    check.add_argument("manifest", type=Path)
    check.add_argument("--files", action="store_true", help="open every picture, mask and recording too")


def _notebooks_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="notebooks, such as 01_data (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("notebooks"), help="folder of the notebooks")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; fail if a copy is not what its source gives")
    what.add_argument("--record", action="store_true", help="run the solutions and store what the compared cells print")
    what.add_argument("--measure", action="store_true", help="run the solutions; a table of seconds, memory and size")


def _reproduce_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="systems, or runs of the experiment (default: all of them)")
    parser.add_argument("--experiment", help="one of the documents' comparisons instead, such as losses or gamma")
    parser.add_argument("--budget", type=float, help="minutes of training for each (default: 10, or the experiment's)")
    parser.add_argument("--steps", type=int, help="optimizer steps instead of a budget")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds, each a run of its own (default: 0)")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: as many as there are cores)")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="of training (default: cpu)")
    out = "folder of the records, step times and tables (default: results); runs that go on are in $VGS_RUNS"
    parser.add_argument("--out", type=Path, default=Path("results"), help=out)
    parser.add_argument("--time", action="store_true", help="train nothing; measure steps where they are not measured")
    parser.add_argument("--tables", action="store_true", help="train nothing; write the tables of the records anew")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="with --tables, also the README's section on systems"
    )


def _train_parser(parser: argparse.ArgumentParser) -> None:
    named = "stamps-demo, stamps-scratch or a document's system, such as tian2020; with --manifest, may be left out"
    parser.add_argument("recipe", nargs="?", help=named)
    parser.add_argument("--manifest", type=Path, help="train on the pictures and recordings of this manifest")
    videos = "pre-train a system that ends in -sounds on the videos of this folder; every fifth is held out"
    parser.add_argument("--videos", type=Path, metavar="FOLDER", help=videos)
    parser.add_argument("--out", type=Path, help="folder of the run and of its model (default: runs/NAME)")
    parser.add_argument("--steps", type=int, help="optimizer steps instead of the recipe's")
    parser.add_argument("--seed", type=int, help="seed of everything random in training")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--precision", choices=("no", "bf16", "fp16"))
    stop = "stop after so many, caching and pre-training included; the same command goes on"
    parser.add_argument("--minutes", type=float, help=stop)
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches ahead")


def _evaluate_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", required=True, help="stamps-demo or a folder")
    parser.add_argument("--split", default="test", help="validation, test, test-hard, test-human-en, ...")
    parser.add_argument("--scenes", type=int, default=CARD_SCENES, help="scenes of the split")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument(
        "--card", action="store_true", help="write the figures of all scenes into the checkpoint's card"
    )


def _prompt_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=Path, required=True, help="a picture (PNG, JPEG, ...)")
    parser.add_argument("--audio", type=Path, required=True, help="a recording (WAV, OGG, FLAC, ...)")
    parser.add_argument("--out", type=Path, required=True, help="the picture with its heatmap, as PNG")
    parser.add_argument("--checkpoint", default="stamps-demo")


if __name__ == "__main__":
    sys.exit(main())
