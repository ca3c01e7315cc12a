"""How well a picture and a caption fit: the matchmap and the scores that sum it up (harwath2019, 4.3).

The matchmap is M[h, w, t] = <I[:, h, w], A[:, t]>. SISA (equations 3 to 6) is its mean, MISA (7) the mean
over frames of the best position, SIMA (8) the mean over positions of the best frame. :func:`score_matrix`
scores every picture of a batch with every caption. MISA and SIMA never hold all matchmaps: blocks of them
come out of a matrix product and are reduced at once to maxima and the winners' indices. The indices are all
that an exact backward pass needs, since a maximum passes its gradient to its winner only. So mining over full
matchmaps costs about one matrix product.

Shapes: Bi pictures, Ba captions, D embedding, H W grid, P = H * W positions, T frames, R real (unpadded)
frames of all captions together, n pictures and c captions of one block.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

KINDS = ("sisa", "misa", "sima", "dot", "cosine")

# Bytes of matchmaps made at once: what a CPU's cache holds; on an accelerator, enough to fill it.
_BLOCK_BYTES = {"cpu": 4 << 20}
_BLOCK_BYTES_ACCELERATOR = 256 << 20
_BACKWARD_ENTRIES = 1 << 18  # winners handled at once in the backward pass


def matchmap(image_map: Tensor, audio_map: Tensor) -> Tensor:
    """The similarity of every position with every frame: M[h, w, t] = <I[:, h, w], A[:, t]>.

    Args:
        image_map: ``[..., D, H, W]``.
        audio_map: ``[..., D, T]``; leading dimensions broadcast against those of ``image_map``.

    Returns:
        ``[..., H, W, T]``. Padded frames are not masked: cut ``audio_map`` to its length first.

    Raises:
        ValueError: a map with too few dimensions, or embeddings of different sizes.

    Source: harwath2019, section 4.3.
    """
    if image_map.dim() < 3 or audio_map.dim() < 2:
        raise ValueError(
            f"expected maps [..., D, H, W] and [..., D, T]; got {list(image_map.shape)} and {list(audio_map.shape)}"
        )
    _check_same_dim(image_map.shape[-3], audio_map.shape[-2])
    height, width = image_map.shape[-2:]
    rows = image_map.flatten(-2).transpose(-1, -2)  # [..., P, D]
    return (rows @ audio_map).unflatten(-2, (height, width))


def score_matrix(
    image_maps: Tensor,
    audio_maps: Tensor,
    audio_lengths: Tensor,
    *,
    kind: str = "misa",
    chunk: int | None = None,
) -> Tensor:
    """The score of every picture with every caption; frames past a caption's length are never read.

    Args:
        image_maps: ``[Bi, D, H, W]``.
        audio_maps: ``[Ba, D, T]``.
        audio_lengths: ``[Ba]`` integers, the real frames of each caption, 1 to T.
        kind: ``sisa`` (mean of the matchmap), ``misa`` (best position, mean over frames), ``sima`` (best
            frame, mean over positions), ``dot`` (product of the mean vectors, equal to ``sisa``), ``cosine``.
        chunk: for MISA and SIMA, how many pairs' matchmaps may exist at once; by default as many as are fast.
            It changes memory and speed, not the scores.

    Returns:
        ``[Bi, Ba]``, float64 for float64 maps and float32 otherwise: 16 bits are too few to rank by. Under
        ``torch.autocast`` MISA and SIMA multiply in autocast's precision. For the backward pass they keep one
        index per picture and frame (SIMA: caption and position). Of tied positions one takes the gradient, as
        for ``torch.max``. There is no second derivative.

    Raises:
        ValueError: an unknown kind, maps of wrong shapes or different D, a length outside 1 to T, chunk < 1.

    Source: harwath2019, equations 3 to 8.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    lengths = _check_maps(image_maps, audio_maps, audio_lengths)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; expected 1 or more pairs, or None to choose it here")
    device = image_maps.device.type
    dtype = torch.promote_types(image_maps.dtype, audio_maps.dtype)
    if torch.is_autocast_enabled(device) and dtype != torch.float64 and kind in ("misa", "sima"):
        dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        if kind in ("misa", "sima"):
            frames = _real_frames(audio_maps, lengths).to(dtype)
            pictures = image_maps.flatten(2).to(dtype)
            blocks = _Blocks(lengths, pictures, chunk)
            if torch.is_grad_enabled() and (pictures.requires_grad or frames.requires_grad):
                return _MaxScore.apply(pictures, frames, blocks, kind)
            return _max_scores(pictures, frames, blocks, kind, keep_winners=False)[0]
        wide = _score_dtype(dtype)
        image_vectors = image_maps.to(wide).mean((2, 3))
        audio_vectors = _mean_of_real_frames(audio_maps.to(wide), lengths)
        if kind == "cosine":
            image_vectors, audio_vectors = (
                F.normalize(image_vectors, dim=1),
                F.normalize(audio_vectors, dim=1),
            )
        return image_vectors @ audio_vectors.T


class _Blocks:
    """How Bi x Ba pairs are cut into blocks: captions lie end to end, so that no padded frame is computed."""

    def __init__(self, lengths: list[int], pictures: Tensor, chunk: int | None):
        num_images, _, num_positions = pictures.shape
        self.lengths = lengths
        self.max_length = max(lengths)
        self.starts = [0]
        for length in lengths:
            self.starts.append(self.starts[-1] + length)
        if chunk is None:
            pair_bytes = self.max_length * num_positions * pictures.element_size()
            chunk = max(1, _BLOCK_BYTES.get(pictures.device.type, _BLOCK_BYTES_ACCELERATOR) // pair_bytes)
        self.num_captions = min(len(lengths), max(1, math.isqrt(chunk)))
        self.num_images = min(num_images, max(1, chunk // self.num_captions))

    def captions(self) -> Iterator[tuple[slice, slice, list[int]]]:
        """Yields, for each group of captions: which captions, which rows of the frames, and their lengths."""
        for first in range(0, len(self.lengths), self.num_captions):
            last = min(first + self.num_captions, len(self.lengths))
            yield slice(first, last), slice(self.starts[first], self.starts[last]), self.lengths[first:last]


def _max_scores(
    pictures: Tensor, frames: Tensor, blocks: _Blocks, kind: str, *, keep_winners: bool
) -> tuple[Tensor, Tensor | None]:
    """MISA or SIMA scores [Bi, Ba] of pictures [Bi, D, P] and frames [R, D], and the winners if asked for.

    Winners are positions [Bi, R] (MISA) or rows of ``frames`` [Bi, Ba, P] (SIMA), int32.
    """
    num_images, _, num_positions = pictures.shape
    num_captions = len(blocks.lengths)
    scores = pictures.new_empty(num_images, num_captions, dtype=_score_dtype(pictures.dtype))
    winners = None
    if keep_winners:
        shape = (num_images, len(frames)) if kind == "misa" else (num_images, num_captions, num_positions)
        winners = torch.empty(shape, dtype=torch.int32, device=pictures.device)
    reduce_block = _misa_block if kind == "misa" else _sima_block
    largest = max(rows.stop - rows.start for _, rows, _ in blocks.captions())
    buffer = pictures.new_empty(blocks.num_images * largest * num_positions)  # reused: fresh pages cost time
    for captions, rows, lengths in blocks.captions():
        for first in range(0, num_images, blocks.num_images):
            images = slice(first, min(first + blocks.num_images, num_images))
            shape = (images.stop - first, rows.stop - rows.start, num_positions)
            maps = buffer[: math.prod(shape)].view(shape)
            torch.bmm(frames[rows].expand(shape[0], -1, -1), pictures[images], out=maps)
            scores[images, captions], block_winners = reduce_block(maps, lengths, scores.dtype, keep_winners)
            if keep_winners and kind == "misa":
                winners[images, rows] = block_winners
            elif keep_winners:
                winners[images, captions] = block_winners + rows.start
    return scores, winners


def _misa_block(maps: Tensor, lengths: list[int], dtype: torch.dtype, keep: bool) -> tuple[Tensor, Tensor | None]:
    """Reduces matchmaps [n, rows, P] of captions laid end to end to scores [n, c] and winners [n, rows]."""
    best, winners = maps.max(2) if keep else (maps.amax(2), None)
    scores = [part.sum(1) / part.shape[1] for part in best.to(dtype).split(lengths, 1)]
    return torch.stack(scores, 1), winners


def _sima_block(maps: Tensor, lengths: list[int], dtype: torch.dtype, keep: bool) -> tuple[Tensor, Tensor | None]:
    """Reduces matchmaps [n, rows, P] of captions laid end to end to scores [n, c] and winners [n, c, P]."""
    scores, winners, start = [], [], 0
    for part in maps.split(lengths, 1):
        best, winner = part.max(1) if keep else (part.amax(1), None)
        scores.append(best.to(dtype).mean(1))
        if keep:
            winners.append(winner + start)
        start += part.shape[1]
    return torch.stack(scores, 1), torch.stack(winners, 1) if keep else None


class _MaxScore(torch.autograd.Function):
    """MISA and SIMA with an exact backward pass from the winners alone."""

    @staticmethod
    def forward(ctx, pictures: Tensor, frames: Tensor, blocks: _Blocks, kind: str) -> Tensor:
        scores, winners = _max_scores(pictures, frames, blocks, kind, keep_winners=True)
        ctx.save_for_backward(pictures, frames, winners)
        ctx.lengths, ctx.kind = blocks.lengths, kind
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        pictures, frames, winners = ctx.saved_tensors
        num_images, dim, num_positions = pictures.shape
        wide = _score_dtype(pictures.dtype)
        frame_rows = frames.to(wide)
        frame_gradient = torch.zeros_like(frame_rows)
        picture_gradient = frame_rows.new_empty(num_images, num_positions, dim)
        lengths = torch.tensor(ctx.lengths, device=frames.device)
        caption_of_row = torch.repeat_interleave(lengths)  # [R]
        step = max(1, _BACKWARD_ENTRIES // winners[0].numel())
        for first in range(0, num_images, step):
            part = slice(first, min(first + step, num_images))
            n = part.stop - first
            rows = pictures[part].transpose(1, 2).reshape(n * num_positions, dim).to(wide)
            index = torch.arange(n * num_positions, dtype=torch.int32, device=frames.device).view(n, -1)
            if ctx.kind == "misa":
                weight = (gradient[part] / lengths).index_select(1, caption_of_row)  # [n, R]
                row = winners[part] + index[:, :1]
                source = torch.arange(len(frames), dtype=torch.int32, device=frames.device).expand_as(row)
                picture_sums = _grouped_sums(frame_rows, source, weight, row, len(rows))
                frame_gradient += _sums(rows, row.T, weight.T)
            else:
                row = winners[part]  # [n, Ba, P]
                weight = (gradient[part] / num_positions)[:, :, None].expand_as(row)
                source = index[:, None].expand_as(row)
                per_position = [x.transpose(1, 2).flatten(0, 1) for x in (row, weight)]  # [n * P, Ba]
                picture_sums = _sums(frame_rows, *per_position)
                frame_gradient += _grouped_sums(rows, source, weight, row, len(frames))
            picture_gradient[part] = picture_sums.view(n, num_positions, dim)
        picture_gradient = picture_gradient.transpose(1, 2).to(pictures.dtype)
        return picture_gradient, frame_gradient.to(frames.dtype), None, None


def _sums(table: Tensor, source: Tensor, weight: Tensor) -> Tensor:
    """out[b] = sum over j of weight[b, j] * table[source[b, j]]."""
    return F.embedding_bag(source.contiguous(), table, mode="sum", per_sample_weights=weight.contiguous())


def _grouped_sums(table: Tensor, source: Tensor, weight: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """out[g] = sum of weight * table[source] over the entries of group g (three of one shape).

    Entries sorted by group are summed as bags: faster than ``index_add_``, and the same on every GPU run.
    """
    order = group.reshape(-1).sort(stable=True).indices
    counts = torch.bincount(group.reshape(-1), minlength=num_groups)
    starts = (counts.cumsum(0) - counts).to(source.dtype)
    weight = weight.reshape(-1)[order]
    return F.embedding_bag(source.reshape(-1)[order], table, starts, mode="sum", per_sample_weights=weight)


def _score_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _real_frames(audio_maps: Tensor, lengths: list[int]) -> Tensor:
    """The real frames of all captions end to end: [Ba, D, T] -> [R, D]."""
    num_frames = audio_maps.shape[2]
    kept = torch.cat([torch.arange(length) + i * num_frames for i, length in enumerate(lengths)])
    return audio_maps.transpose(1, 2).flatten(0, 1).index_select(0, kept.to(audio_maps.device))


def _mean_of_real_frames(audio_maps: Tensor, lengths: list[int]) -> Tensor:
    """[Ba, D, T] -> [Ba, D], frames past each length left out."""
    length = torch.tensor(lengths, device=audio_maps.device)[:, None]
    padded = torch.arange(audio_maps.shape[2], device=audio_maps.device) >= length  # [Ba, T]
    return audio_maps.masked_fill(padded[:, None], 0).sum(2) / length


def _check_same_dim(image_dim: int, audio_dim: int) -> None:
    if image_dim != audio_dim:
        raise ValueError(f"the image map has D = {image_dim} and the audio map D = {audio_dim}; they must be equal")


def _check_maps(image_maps: Tensor, audio_maps: Tensor, audio_lengths: Tensor) -> list[int]:
    """The lengths as a list, once everything about the three arguments has been found right."""
    if image_maps.dim() != 4 or 0 in image_maps.shape:
        raise ValueError(f"image_maps is {list(image_maps.shape)}; expected [Bi, D, H, W], none of them 0")
    if audio_maps.dim() != 3 or 0 in audio_maps.shape:
        raise ValueError(f"audio_maps is {list(audio_maps.shape)}; expected [Ba, D, T], none of them 0")
    _check_same_dim(image_maps.shape[1], audio_maps.shape[1])
    if not (image_maps.is_floating_point() and audio_maps.is_floating_point()):
        raise ValueError(f"maps are {image_maps.dtype} and {audio_maps.dtype}; expected floating point")
    audio_lengths = torch.as_tensor(audio_lengths)
    if audio_lengths.shape != audio_maps.shape[:1] or audio_lengths.is_floating_point():
        raise ValueError(
            f"audio_lengths is {list(audio_lengths.shape)} {audio_lengths.dtype}; "
            f"expected one integer for each of the {len(audio_maps)} captions"
        )
    lengths, limit = audio_lengths.tolist(), audio_maps.shape[2]
    for i, length in enumerate(lengths):
        if not 1 <= length <= limit:
            raise ValueError(f"audio_lengths[{i}] is {length}; expected 1 to {limit}: leave empty captions out")
    return lengths
