"""Errors, active channels and agreement with known truth."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

# A channel is active where its mean KL exceeds this.
ACTIVE_KL_NAT = 0.1


def mean_squared_error_per_spectrum(spectra: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Mean squared error of each spectrum over steps and channels, in the units squared.

    Shapes (n, steps[, channels]) in, (n,) out.
    """
    return np.square(spectra - model).reshape(len(spectra), -1).mean(axis=1)


def matched_spearman(embeddings: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """|Spearman| of each true factor with the channel matched to it one to one.

    The matching maximises the sum (Hungarian method). Factors left without a channel,
    and pairs in which one is constant, count as 0.

    Parameters
    ----------
    embeddings : ndarray, shape (n, channels)
    truth : ndarray, shape (n, factors)

    Returns
    -------
    ndarray, shape (factors,)
    """
    scores = np.zeros((truth.shape[1], embeddings.shape[1]))
    for i, factor in enumerate(truth.T):
        for j, channel in enumerate(embeddings.T):
            if np.ptp(factor) > 0 and np.ptp(channel) > 0:
                scores[i, j] = abs(spearmanr(factor, channel).statistic)
    matched = np.zeros(truth.shape[1])
    rows, columns = linear_sum_assignment(-scores)
    matched[rows] = scores[rows, columns]
    return matched


def matched_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|Pearson| of channels of two embeddings (n, channels) matched one to one (Hungarian method).

    Returns the correlations of the pairs, as many as the smaller embedding has channels.
    """
    together = np.abs(np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :])
    return together[linear_sum_assignment(-together)]


def spatial_autocorrelation(values: np.ndarray, seed: int) -> tuple[float, float]:
    """Moran's I of a map (rows, columns) over its four neighbours, and that of the map shuffled.

    1 where neighbours are alike, about 0 where they are independent (Moran, Biometrika 1950). Pixels that are
    NaN count neither alone nor as neighbours.
    """
    shuffled, there = values.copy(), np.isfinite(values)
    shuffled[there] = np.random.default_rng(seed).permutation(values[there])
    return _moran(values), _moran(shuffled)


def _moran(values: np.ndarray) -> float:
    centred = values - np.nanmean(values)
    products = [centred[1:] * centred[:-1], centred[:, 1:] * centred[:, :-1]]
    return float(np.nanmean(np.concatenate([p.ravel() for p in products])) / np.nanmean(np.square(centred)))
