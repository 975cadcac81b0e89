"""Numbers that the paper states, each with the place where it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One number of the paper.

    `metric` names the number of ``metrics.json`` that is set beside it; `note` says what
    differs between the two.
    """

    metric: str
    value: float
    where: str
    what: str
    note: str


ACTIVE = "KL above 0.1 nat; except in the paper profile opened before the training, not found by β"
STATEMENTS = (
    Statement("toy.steps", 25, "section 2", "toy: steps of a spectrum", "same function"),
    Statement("toy.training_spectra", 10_000, "section 2", "toy: training spectra", ""),
    Statement("toy.dl.atoms", 3, "section 2", "toy: atoms n", "given, not found"),
    Statement("toy.dl.best_lambda", 0.57, "Figure S3", "toy: λ of the lowest error",
              "lasso codes: the error only grows with λ, so no inner minimum"),
    Statement("toy.dl.mse_painting", 0.184, "section 2", "toy: DL error, painting",
              "another painting; coded at λ = 1.0 see toy.dl.mse_gamut_coded_at_1"),
    Statement("toy.dl.mse_gamut", 0.186, "section 2", "toy: DL error, gamut",
              "fitted and coded at λ = 0.57"),
    Statement("toy.dl.mse_gamut_coded_at_1", 0.186, "section 2",
              "toy: DL error, gamut, coded at λ = 1.0",
              "scikit-learn's former default for lasso codes, which the paper does not state"),
    Statement("toy.vae.mse_gamut", 0.104, "section 2", "toy: β-VAE error, gamut",
              "rank-3 PCA is the linear bound"),
    Statement("toy.vae.active", 3, "section 2", "toy: active channels", ACTIVE),
    Statement("toy.vae.latents", 16, "section 2", "toy: latents", ""),
    Statement("toy.vae.epochs", 6500, "section 2", "toy: epochs", "recipe of the profile"),
    Statement("vae.first_share", 0.6, "section 2", "share of β·KL that sets the first β", ""),
    Statement("beps.pixels", 3600, "section 2", "BEPS: pixels", ""),
    Statement("beps.steps", 96, "section 2", "BEPS: voltage steps of a cycle", ""),
    Statement("beps.dl.atoms", 5, "section 2", "BEPS: atoms n", "given, not found"),
    Statement("beps.dl.mse", 0.36, "section 2", "BEPS: DL error",
              "one mean and deviation per channel; not reproduced"),
    Statement("beps.vae.active", 5, "Figure S7", "BEPS: active channels", ACTIVE),
    Statement("beps.vae.epochs", 20_000, "section 2", "BEPS: epochs", "recipe of the profile"),
    Statement("beps.vae.shown_epoch", 13_977, "section 2", "BEPS: epoch shown",
              "chosen by rule, not by eye"),
)

PAPER = {statement.metric: statement.value for statement in STATEMENTS}


def paper_metrics() -> dict[str, float]:
    """Every stated number as ``paper.<metric>``."""
    return {f"paper.{name}": value for name, value in PAPER.items()}
