"""The commands behind ``python -m vgs_lib``."""
