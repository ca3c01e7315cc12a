"""A tiny model and data for the tests of training, and what they run in processes of their own.

``python tiny_training.py run FOLDER STEPS LOG`` trains and appends a line "step loss" for each step.
``python tiny_training.py several OUT RANK`` is one of several processes; it leaves its losses and gradients.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from vgs_lib import distributed
from vgs_lib.data.loading import Batch, collate
from vgs_lib.encoders import DAVEnet, ImageEncoder
from vgs_lib.errors import TrainingError
from vgs_lib.model import DualEncoder
from vgs_lib.training import FitSettings, StepEvent, fit, score_loss
from vgs_lib.training.embedding_objective import EmbeddingLoss

DIM = 8


class TinyImages(ImageEncoder):
    """A frozen "packaged" convolution with running statistics under a trained one with dropout."""

    dim, stride = DIM, 4

    def __init__(self, *, dropout: float = 0.2, package_seed: int = 5):
        backbone = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.BatchNorm2d(6))
        generator = torch.Generator().manual_seed(package_seed)
        for tensor in [*backbone.parameters(), backbone[1].running_mean]:
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
        super().__init__(backbone, frozen=True, obtained=True)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.GroupNorm(2, 6), nn.Conv2d(6, DIM, 1))

    def project(self, features):
        return self.out(features[0])


def make_model(seed: int = 0, *, dropout: float = 0.2, package_seed: int = 5, kind: str = "misa") -> DualEncoder:
    """The same weights for the same seed; the caller's generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        images = TinyImages(dropout=dropout, package_seed=package_seed)
        return DualEncoder(images, DAVEnet(width=1 / 32, dim=DIM), kind=kind)


def build(recipe: dict) -> DualEncoder:
    """What ``build_model`` is to a real recipe."""
    return make_model(recipe.get("seed", 0), package_seed=recipe.get("package_seed", 5))


class TinyBatches:
    """Four pairs, the first with the longest caption; a pure function of the step."""

    def __init__(self, *, same_image: bool = True, pause: float = 0.0):
        self.same_image, self.pause = same_image, pause

    def __getitem__(self, step: int) -> Batch:
        time.sleep(self.pause)
        generator = torch.Generator().manual_seed(step)
        pictures = [torch.rand(3, 16, 16, generator=generator) for _ in range(4)]
        audio = [torch.randn(40, frames, generator=generator) for frames in (70 + step % 5, 33, 17, 40)]
        labels = ["cat", "dog", "cow", "cat"] if self.same_image else None
        classes = [0, 2, 1, 0] if self.same_image else None
        return collate(pictures, audio, labels=labels, classes=classes, pad_value=-80.0)


SETTINGS = FitSettings(steps=40, learning_rate=3e-3, warmup_steps=3, checkpoint_every=4, device="cpu", seed=7)


def start(model=None, *, batches=None, loss=None, directory=None, evaluate=None, should_stop=None, **changes):
    """The events of ``fit`` with ``SETTINGS``, of which ``changes`` may change some."""
    return fit(
        model or make_model(),
        batches or TinyBatches(),
        loss or score_loss("shn"),
        dataclasses.replace(SETTINGS, **changes),
        directory=directory,
        evaluate=evaluate,
        should_stop=should_stop,
    )


def losses_of(events) -> list[float]:
    """The losses of the steps."""
    return [event.loss for event in events if isinstance(event, StepEvent)]


def kinds_of(events) -> list[tuple[str, int]]:
    """What kind each event is and its step."""
    return [(type(event).__name__, event.step) for event in events]


def run(folder: str, steps: str, log: str) -> None:
    torch.set_num_threads(1)
    settings = FitSettings(**{**SETTINGS.__dict__, "steps": int(steps)})
    with open(log, "a", encoding="utf-8") as file:
        for event in fit(make_model(), TinyBatches(pause=0.02), score_loss("shn"), settings, directory=folder):
            if isinstance(event, StepEvent):
                file.write(f"{event.step} {event.loss.hex()}\n")
                file.flush()


def losses_for_several() -> dict:
    """The losses that one process and several must agree on."""
    return {
        "info_nce": score_loss("info_nce"),
        "mixed": score_loss("info_nce", kind="sima", mix_steps=4, coarse=((2, 2),)),
        "shn": score_loss("shn", kind="sisa"),
        "matching": score_loss("masked_matching", kind="cosine"),
        "timam": EmbeddingLoss("timam", options={"hidden": 6}),
        "dscmr": EmbeddingLoss("dscmr", weight=0.5, score=score_loss("shn"), options={"discrimination": 0.5}),
    }


def gradients(model: DualEncoder, batch: Batch, loss) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    if isinstance(loss, EmbeddingLoss):
        model.loss_head = loss.head(DIM, 3)
    value, _ = loss(model, batch, 1, torch.Generator().manual_seed(3))
    value.backward()
    distributed.average_gradients(model.parameters())
    return value.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def several(out: str) -> None:
    torch.set_num_threads(1)
    folder = Path(out)
    settings = FitSettings(**{**SETTINGS.__dict__, "steps": 6, "checkpoint_every": 2})
    batches, figures = TinyBatches(), {}

    def train(seed: int, stop_at: int | None = None) -> tuple[DualEncoder, list[float]]:
        model, losses = make_model(seed, dropout=0.0), []
        events = fit(
            model,
            batches,
            score_loss(),
            settings,
            directory=folder / "run",
            # Only the main process's wish counts.
            should_stop=lambda: len(losses) == stop_at and distributed.rank() == 0,
        )
        losses.extend(event.loss for event in events if isinstance(event, StepEvent))
        return model, losses

    # Weights of a wrong seed on the other process: the main process's are the ones that count.
    start = 0 if sys.argv[3] == "0" else 99
    _, figures["first"] = train(start, stop_at=3)
    model, figures["second"] = train(start)
    rank = distributed.rank()
    tensors = {f"fit/{name}": tensor for name, tensor in model.state_dict().items()}
    part = batches[0].part(rank, distributed.world_size())
    figures["frames"] = part.audio.shape[-1]
    for name, loss in losses_for_several().items():
        value, found = gradients(make_model(dropout=0.0).train(), part, loss)
        figures[name] = value
        tensors |= {f"{name}/{key}": gradient for key, gradient in found.items()}
    try:
        distributed.from_main(lambda: (_ for _ in ()).throw(TrainingError("told by the main process")))
    except TrainingError as error:
        figures["error"] = str(error)
    save_file({k: t.contiguous() for k, t in tensors.items()}, folder / f"{rank}.safetensors")
    (folder / f"{rank}.json").write_text(json.dumps(figures))
    distributed.wait()
    torch.distributed.destroy_process_group()  # left to the interpreter's end, its threads may abort the process


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(*sys.argv[2:5])
    else:
        several(sys.argv[2])
