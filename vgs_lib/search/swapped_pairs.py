"""Made-up maps that MISA cannot tell apart: two things in two colours, and the same things with their colours swapped.

A position holds the sum of a colour's and a thing's vector, a frame one of the two. For "green tiger", the frame
"green" finds its colour and "tiger" its thing in both pictures, so the mean over frames of the best positions is the
same. Only whether both are at one position tells the pictures apart.
"""

import torch

from vgs_lib import similarity
from vgs_lib.batches.held_out import Maps
from vgs_lib.seeds import seed_for

COLOURS, THINGS, DIM, SIDE = 4, 4, 16, 2


def swapped_pairs(num_pictures: int, *, seed: int) -> Maps:
    """Maps of pictures with two things, each with a caption of one; pictures 2 n and 2 n + 1 have swapped colours.

    Raises ValueError for a number of pictures that is odd or below 2.
    """
    if num_pictures < 2 or num_pictures % 2:
        raise ValueError(f"num_pictures: expected an even number from 2, found {num_pictures}.")
    draw = torch.Generator().manual_seed(seed_for(seed, "swapped pairs"))
    vectors = torch.eye(COLOURS + THINGS, DIM)
    pictures, captions, shown = [], [], []
    for _ in range(num_pictures // 2):
        a, b = torch.randperm(COLOURS, generator=draw)[:2].tolist()
        x, y = (COLOURS + torch.randperm(THINGS, generator=draw)[:2]).tolist()
        for things in (((a, x), (b, y)), ((a, y), (b, x))):
            places = torch.zeros(DIM, SIDE * SIDE)
            for place, (colour, thing) in zip(torch.randperm(SIDE * SIDE, generator=draw), things, strict=False):
                places[:, place] = vectors[colour] + vectors[thing]
            pictures.append(places.view(DIM, SIDE, SIDE))
            captions.append(vectors[list(things[0])].T)
            shown.append(things)
    image, audio, lengths = torch.stack(pictures), torch.stack(captions), torch.full((num_pictures,), 2)
    right = torch.tensor([[described[0] in things for described in shown] for things in shown])
    return Maps(image, audio, lengths, similarity.score_matrix(image, audio, lengths), right)
