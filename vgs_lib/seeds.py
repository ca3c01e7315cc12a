"""Randomness as a function of names: what is drawn in step 7 does not depend on what was drawn before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_for(seed: int, *parts: int | str) -> int:
    """A 63-bit seed that is a function of ``seed`` and ``parts`` alone, the same on every machine."""
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@contextmanager
def seeded(seed: int, *parts: int | str) -> Iterator[None]:
    """Seed torch's generators with ``seed_for(seed, *parts)`` inside, and leave the caller's as they were."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_for(seed, *parts))
        yield
