"""Classes of scenes: scenes whose captions name the same things are of one class, whatever else differs.

The class of a scene with one name is that name's concept key; that of a scene with several is the set of their keys, so
most scenes with three or four names are alone in theirs. Numbers come from the sorted table of all scenes that are
trained on: they mean the same in every batch, phase and process, and in a run that goes on.
"""

from vgs_lib.data.scenes import Scene, Scenes

Names = tuple[str, ...]


def names_of(scene: Scene) -> Names:
    """The class of a scene: the sorted keys of the concepts that its caption names; nothing is drawn for it."""
    return tuple(sorted(concept.key for concept, spoken in scene.concepts if spoken))


def class_numbers(scenes: Scenes, num_scenes: int) -> dict[Names, int]:
    """The number of each class among the first ``num_scenes`` scenes; the classes are the keys, in order."""
    found = sorted({names_of(scenes[index]) for index in range(num_scenes)})
    return {names: number for number, names in enumerate(found)}
