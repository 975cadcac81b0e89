"""Every size and schedule of a run: one frozen dataclass per profile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """Sizes and options of the β-VAE (paper, Figure 3)."""

    units: int
    blocks: int
    latents: int = 16
    dropout: float = 0.0
    normalise: bool = False
    interleave: bool = False
    paper_embedding: bool = False
    drive_input: bool = True
    linear_path: bool = False
