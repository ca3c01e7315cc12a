"""Training batches and held-out trials; what frozen encoders make of them is computed once and kept in banks."""
