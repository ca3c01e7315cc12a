"""Live widgets: plain controllers (importable without ipywidgets) and thin anywidget views over them.

`Tour` composes `Gallery`, `Recorder` and `MatchmapPlayer`; the other notebooks have widgets of their own, all listed in
`__all__`. All are tested in JupyterLab 4, Notebook 7 and Voila.
"""

from importlib import import_module

_HOME = {
    "GalleryController": "controllers",
    "RecorderController": "controllers",
    "PlayerController": "controllers",
    "TourController": "tour_controller",
    "Clip": "material",
    "Picture": "material",
    "Word": "material",
    "tour_material": "material",
    "LocalMicrophone": "microphone",
    "Gallery": "views",
    "Recorder": "views",
    "MatchmapPlayer": "views",
    "Tour": "tour",
    "SpanController": "span_controller",
    "SpanSelector": "span",
    "RegionController": "localizer_region",
    "LocalizerController": "localizer_controller",
    "RegionView": "localizer",
    "Localizer": "localizer",
    "DataExplorerController": "data_explorer",
    "FrontEndController": "front_end_explorer",
    "SceneExplorerController": "scene_explorer",
    "ManifestController": "manifest_maker",
    "CaptionSpeakerController": "caption_speaker",
    "scene_pictures": "material",
    "described_pictures": "material",
    "manifest_material": "material",
    "DataExplorer": "data_views",
    "FrontEndExplorer": "data_views",
    "SceneExplorer": "data_views",
    "ManifestMaker": "data_views",
    "CaptionSpeaker": "data_views",
    "Collection": "collection",
    "people_clips": "collection",
    "ScoreMatrixController": "score_matrix_controller",
    "ScoreMatrix": "score_matrix",
    "ImageSearchController": "explorers_controller",
    "ImageAnnotationController": "explorers_controller",
    "ImageSearch": "explorers",
    "ImageAnnotation": "explorers",
    "TrainingController": "training_controller",
    "TrainingDashboard": "dashboard",
    "CamController": "cam_controller",
    "CamInspector": "cam",
    "SystemComparisonController": "systems_controller",
    "SystemComparison": "systems",
    "scene_queries": "systems_controller",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    """Import a name when it is first used, so that controllers never pull in ipywidgets."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
