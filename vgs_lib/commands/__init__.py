"""The commands behind ``python -m vgs_lib``."""

CARD_SCENES = 1000  # scenes of a split in the figures of a card; what ``evaluate`` takes unless told otherwise
