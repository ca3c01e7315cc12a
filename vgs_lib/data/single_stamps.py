"""Scenes of one stamp and one spoken name, counted on their own: a fourth of what the scenes of a split are."""

from vgs_lib.data.scenes import Scene, Scenes


class SingleStamps:
    """The scenes with one stamp of ``scenes``, numbered without gaps; no two of the first ones have the same name."""

    def __init__(self, scenes: Scenes):
        self.scenes = scenes
        self.split = f"{scenes.split}-words"  # another split for the banks: index 1 is another picture here
        self.seed, self.size = scenes.seed, scenes.size
        self.stamps, self.speakers = scenes.stamps, scenes.speakers

    def __getitem__(self, index: int) -> Scene:
        return self.scenes[4 * index]
