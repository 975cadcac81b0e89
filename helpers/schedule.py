"""β and λ as functions of the epoch, and where the path of β begins and ends."""

from __future__ import annotations

from math import comb

import numpy as np
from sklearn.decomposition import PCA

from helpers.profiles import Training

FALLEN_AT = 0.8  # share of the epochs after which β is held


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


def noise_variance(spectra: np.ndarray) -> float:
    """Variance of the noise that is white along the steps, the same of every spectrum, step and channel.

    Fourth differences of anything smooth vanish, and those of white noise have variance C(8, 4) σ². The median of
    their sizes is 0.6745 standard deviations, and blind to edges. Shapes as in `waking_beta`.
    """
    differences = np.diff(spectra.astype("float64"), 4, axis=1)
    return float((np.median(np.abs(differences)) / 0.6745) ** 2 / comb(8, 4))


def annealed_path(spectra: np.ndarray, latents: int, epochs: int) -> np.ndarray:
    """β of the companion's β-VAE in every epoch, shape (epochs,), from 2 λ₁ / D down to 2 σ² / D.

    ln β is linear between the waking points β_k and the end, reached at the shares
    u_k = ½ [k / K + ln(β_0 / β_k) / ln(β_0 / β_K)] of the fall: half of the time goes to the decades alike, half to
    the waking points alike, so that β is slow where channels separate. Shapes as in `waking_beta`.
    """
    points = waking_beta(spectra, min(latents, spectra[0].size, len(spectra)))
    # Spectra without any noise end where single precision does.
    last = max(2 * noise_variance(spectra) / spectra[0].size, 2 * float(np.finfo("float32").eps))
    logs = np.log(np.append(np.maximum(points, last), last))
    reached = 0.5 * (np.linspace(0, 1, len(logs)) + (logs[0] - logs) / max(logs[0] - logs[-1], 1e-12))
    return np.exp(np.interp(np.minimum(np.arange(epochs) / (FALLEN_AT * epochs), 1), reached, logs))


def step_number(training: Training, epoch: int) -> int:
    """Which step of the staircase an epoch belongs to: 0 while priming, then 1, 2, …"""
    return 0 if epoch < training.priming else 1 + (epoch - training.priming) // training.step_epochs


def staircase_beta(training: Training, epoch: int, first_beta: float, latents: int) -> float:
    """β of the paper's β-VAE, once the first β is known (see `profiles.Training`)."""
    if epoch < training.priming:
        return 0.0
    return first_beta + (step_number(training, epoch) - 1) * _beta_step(training, latents)


def first_beta(training: Training, mse: float, kl: float, latents: int) -> float:
    """β for which β·KL is `first_share` of MSE + β·KL (the paper's 60 % rule); a step of β where there is no share."""
    share = training.first_share
    return _beta_step(training, latents) if share is None else share / (1.0 - share) * mse / kl


def _beta_step(training: Training, latents: int) -> float:
    return training.beta_step / latents if training.kl_mean else training.beta_step


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
