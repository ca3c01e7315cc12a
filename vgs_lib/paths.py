"""Where things live: ``$VGS_HOME`` for data that is obtained, ``$VGS_RUNS`` for training runs of the notebooks and of
``reproduce`` and for pre-trained encoders, the package's ``checkpoints`` for what is shipped.
"""

import os
from pathlib import Path

from vgs_lib.errors import DataError


def home() -> Path:
    """The data folder: ``$VGS_HOME``, by default ``~/.cache/vgs``. It is not created here."""
    return Path(os.environ.get("VGS_HOME") or "~/.cache/vgs").expanduser()


def runs() -> Path:
    """The folder of training runs and pre-trained encoders: ``$VGS_RUNS``, by default ``runs`` in `home`."""
    given = os.environ.get("VGS_RUNS")
    return Path(given).expanduser() if given else home() / "runs"


def checkpoints_folder() -> Path:
    """The ``checkpoints`` folder of the source tree, which holds the shipped models."""
    return Path(__file__).resolve().parent.parent / "checkpoints"


def results_folder(given: str | Path = "") -> Path:
    """The folder of records ``given``, by default ``results`` of the source tree, which holds the shipped ones.

    It has one folder for the systems and one for each experiment. Raises :class:`DataError` for a given one that is not
    there.
    """
    folder = Path(given).expanduser() if given else Path(__file__).resolve().parent.parent / "results"
    if given and not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder, expected one of records; `python -m vgs_lib reproduce --out` makes it"
        )
    return folder
