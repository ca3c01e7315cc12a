"""Scenes of one stamp and one spoken name, counted on their own: a fourth of what the scenes of a split are."""

from vgs_lib.data.scenes import Scene, Scenes
from vgs_lib.errors import DataError


class SingleStamps:
    """The scenes with one stamp of ``scenes``, numbered without gaps; no two of the first ones have the same name.

    Every fourth scene has one, but in ``test-hard``, which has none: :class:`DataError`.
    """

    def __init__(self, scenes: Scenes):
        if scenes.split == "test-hard":
            raise DataError("split: found 'test-hard', whose scenes have three things or more; take 'test'")
        self.scenes = scenes
        self.split = f"{scenes.split}-words"  # another split for the banks: index 1 is another picture here
        self.seed, self.size = scenes.seed, scenes.size
        self.stamps, self.speakers = scenes.stamps, scenes.speakers

    def __getitem__(self, index: int) -> Scene:
        return self.scenes[4 * index]
