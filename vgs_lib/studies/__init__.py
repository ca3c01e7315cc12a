"""Studies: what a recipe is trained and judged on, what its encoders begin with, and how a run of it went."""
