"""Typed errors: each message names the file or argument, what was found, what was expected and what to do."""


class VgsError(Exception):
    """Base of every error a user can meet; its message is fit to be shown as it is."""


class DataError(VgsError):
    """A data set, archive or clip is missing, damaged or not what was expected."""


class ManifestError(DataError):
    """A manifest line is wrong; the message starts with ``file:line``."""


class AudioError(VgsError, ValueError):
    """A recording cannot be used: unreadable, empty, silent or too long."""


class ImageError(VgsError, ValueError):
    """A picture cannot be used: unreadable or of an unsupported shape."""


class DownloadError(VgsError):
    """Something has to be obtained (a package, weights, an archive) and cannot be."""


class CheckpointError(VgsError):
    """A checkpoint is missing, unsafe, damaged or does not fit its model."""


class DeviceError(VgsError):
    """A device was asked for that this machine does not have."""


class TrainingError(VgsError):
    """Training cannot start or go on: bad settings, a loss that is not finite, a foreign run folder."""


class NotebookError(VgsError):
    """A notebook's source does not fit its form, a copy is not what the source gives, or a cell fails."""


class ExplainError(VgsError, ValueError):
    """A map of what a model used cannot be made: an unknown method or layer, or one that does not fit."""


class VideoError(VgsError):
    """A video cannot be written: no encoder, a path that cannot be written, or heat of the wrong shape."""
