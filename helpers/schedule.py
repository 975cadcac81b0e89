"""β, λ and the joint term as functions of the epoch, and where the path of β begins and ends."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from helpers.profiles import Training

# Shares of the epochs: β starts to fall, has fallen, and the joint term of the decoder opens.
FALLS_FROM, FALLEN_AT = 0.02, 0.8


def waking_beta(spectra: np.ndarray, channels: int) -> np.ndarray:
    """β below which a linear Gaussian decoder would pay for its k-th channel, shape (channels,).

    β_k = 2 λ_k / D, with λ_k the variance along the k-th principal component and D the number of
    values of a spectrum: the error is a mean over D, and the Gaussian posterior of a channel lowers
    it by more than it costs exactly where λ_k > β D / 2 (Lucas et al., NeurIPS 2019).

    Parameters
    ----------
    spectra : ndarray, shape (n, steps, measured channels)
        Standardised training spectra.
    """
    flat = spectra.reshape(len(spectra), -1)
    return 2 * PCA(channels, random_state=0).fit(flat).explained_variance_ / flat.shape[1]


def beta_ends(spectra: np.ndarray, latents: int) -> tuple[float, float]:
    """β where the first channel wakes, and where noise would wake one: 2 λ₁ / D and 2 σ² / D.

    σ² is the variance a direction of what so many principal components leave over, the noise of
    probabilistic PCA (Tipping & Bishop, J. R. Stat. Soc. B 1999). Shapes as in `waking_beta`.
    """
    flat = spectra.reshape(len(spectra), -1)
    pca = PCA(min(latents, min(flat.shape) - 1), random_state=0).fit(flat)
    return 2 * pca.explained_variance_[0] / flat.shape[1], 2 * pca.noise_variance_ / flat.shape[1]


def annealed_beta(training: Training, epoch: int, ends: tuple[float, float]) -> float:
    """β of the companion's β-VAE: from the first to the second of `ends`, evenly in log β."""
    progress = (epoch / training.epochs - FALLS_FROM) / (FALLEN_AT - FALLS_FROM)
    return ends[0] * (ends[1] / ends[0]) ** min(max(progress, 0.0), 1.0)


def step_number(training: Training, epoch: int) -> int:
    """Which step of the staircase an epoch belongs to: 0 while priming, then 1, 2, …"""
    return 0 if epoch < training.priming else 1 + (epoch - training.priming) // training.step_epochs


def staircase_beta(training: Training, epoch: int, first_beta: float, latents: int) -> float:
    """β of the paper's β-VAE, once the first β is known (see `profiles.Training`)."""
    if epoch < training.priming:
        return 0.0
    beta_step = training.beta_step / latents if training.kl_mean else training.beta_step
    return first_beta + (step_number(training, epoch) - 1) * beta_step


def first_beta(mse: float, kl: float, share: float) -> float:
    """β for which β·KL is `share` of MSE + β·KL (the paper's 60 % rule)."""
    return share / (1.0 - share) * mse / kl


def scheduled_lambda(training: Training, epoch: int, first_beta: float, latents: int) -> float:
    """λ of an epoch, once the first β is known (see `profiles.Training`, `l1`).

    The paper's β, which averages KL over latents, stays below 1; the exponent is held at 1,
    beyond which λ would explode.
    """
    def grown(at: int, factor: int = 1) -> float:
        return 1e-5 * 10 ** min(factor * latents * staircase_beta(training, at, first_beta, latents), 1.0)

    if training.l1 == "set":
        return grown(epoch)
    begun = [training.priming + n * training.step_epochs for n in range(step_number(training, epoch))]
    return sum(grown(at, n if training.l1 == "added_n" else 1) for n, at in enumerate(begun, start=1))
