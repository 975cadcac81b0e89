"""Helper modules of the notebooks: each defines one part of the paper's method."""
