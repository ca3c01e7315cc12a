"""Scores over the global batch when several processes train together (accelerate or torchrun starts them).

Shape legend: b pairs of this process, B pairs of all processes, D embedding, H W grid, T frames.

Every process embeds its own part of the batch. Audio maps, the smaller side, are gathered with their
gradient; each process scores its own images against every caption; the rows of S are gathered, again with
their gradient. The backward of a gather sums over the processes, its exact adjoint, so when every process
takes the same loss on S, the mean of the processes' parameter gradients is the gradient of that loss on the
whole batch. The batch normalisation of a picture network that is trained takes each process's own pictures, as usual;
that of speech takes all. Without a process group each function is the identity.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from vgs_lib.errors import VgsError

if TYPE_CHECKING:
    from vgs_lib.model import DualEncoder


def world_size() -> int:
    """The number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's place among them, 0 for the main one."""
    return dist.get_rank() if world_size() > 1 else 0


class _Gather(torch.autograd.Function):
    """Rows of all processes, in order; its adjoint gives each process the summed gradient of its rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.num_rows = len(rows)
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = rank() * ctx.num_rows
        return total[start : start + ctx.num_rows]


class _Sum(torch.autograd.Function):
    """The sum over the processes; its adjoint is the same sum."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def gather_rows(rows: Tensor) -> Tensor:
    """Rows [b,...] of every process -> [B,...], with gradient; every process must bring the same shape."""
    return rows if world_size() == 1 else _Gather.apply(rows.contiguous())


def sum_over_processes(value: Tensor) -> Tensor:
    """The sum of every process's tensor, with gradient: for batch statistics over the global batch."""
    return value if world_size() == 1 else _Sum.apply(value)


def gather_audio(audio_maps: Tensor, audio_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Audio maps [b,D,t] of each process, t its own longest -> [B,D,T], T the longest of all, lengths [B]."""
    if world_size() == 1:
        return audio_maps, audio_lengths
    longest = torch.tensor(audio_maps.shape[-1], device=audio_maps.device)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    padded = functional.pad(audio_maps, (0, int(longest) - audio_maps.shape[-1]))
    return gather_rows(padded), gather_rows(audio_lengths)


def global_scores(
    model: "DualEncoder",
    image_maps: Tensor,
    audio_maps: Tensor,
    audio_lengths: Tensor,
    *,
    kind: str | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Scores S [B,B] of the global batch, on every process, from own maps [b,D,H,W], [b,D,t], lengths [b].

    With one process this is ``model.score``. All processes must bring equally many pairs.
    """
    all_audio, all_lengths = gather_audio(audio_maps, audio_lengths)
    return gather_rows(model.score(image_maps, all_audio, all_lengths, kind=kind, chunk=chunk))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each parameter's gradient by its mean over the processes; one message per data type."""
    if world_size() == 1:
        return
    groups: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            groups.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in groups.values():
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= world_size()
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def broadcast_model(model: nn.Module) -> None:
    """Give every process the main one's parameters and buffers."""
    if world_size() > 1:
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor.data, 0)


def broadcast_statistics(model: nn.Module) -> None:
    """Give every process the main one's running statistics: float buffers of modules in training mode."""
    if world_size() > 1:
        for module in model.modules():
            if module.training:
                for buffer in module.buffers(recurse=False):
                    if buffer.is_floating_point():
                        dist.broadcast(buffer, 0)


def broadcast_object(value: Any) -> Any:
    """The main process's ``value`` on every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, 0)
    return box[0]


def from_main(function: Callable[[], Any]) -> Any:
    """What ``function`` gives on the main process, on every one; a VgsError is raised on all of them."""
    if world_size() == 1:
        return function()
    result, problem = None, None
    if rank() == 0:
        try:
            result = function()
        except VgsError as error:
            problem = error
    result, problem = broadcast_object((result, problem))
    if problem is not None:
        raise problem
    return result


def mean_over_processes(value: Tensor) -> float:
    """The mean of a scalar over the processes."""
    if world_size() == 1:
        return value.item()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total.item() / world_size()


def wait() -> None:
    """Let every process arrive here before any goes on."""
    if world_size() > 1:
        dist.barrier()
