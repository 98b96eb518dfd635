"""Tasks and reference posteriors of the simulation-based inference benchmark."""
