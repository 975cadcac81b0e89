"""Errors and their intervals, active channels, and how alike two sets of channels are."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import bootstrap, rankdata, spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import SplineTransformer

# A channel is active where its mean KL exceeds this.
ACTIVE_KL_NAT = 0.1
STRONG_KL_NAT = 0.3  # how many channels exceed this shows whether their number hangs on the threshold


def mean_squared_error_per_spectrum(spectra: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Mean squared error of each spectrum over steps and channels, in the units squared.

    Shapes (n, steps[, channels]) in, (n,) out.
    """
    return np.square(spectra - model).reshape(len(spectra), -1).mean(axis=1)


def largest_offset(spectra: np.ndarray, model: np.ndarray) -> float:
    """Largest mean error, over all spectra, at any step; shapes (n, steps[, channels])."""
    return float(np.abs((model - spectra).mean(axis=0)).max())


def channel_parts(spectra: np.ndarray) -> dict[str, np.ndarray]:
    """Piezoresponse, resonance, and the course of the resonance about its mean in each pixel: (n, steps, 1) by name.

    `spectra`, shape (n, steps, channels), may have no resonance.
    """
    resonance = spectra[..., 1:]
    of_resonance = {"resonance": resonance, "resonance_course": resonance - resonance.mean(axis=1, keepdims=True)}
    return {"piezoresponse": spectra[..., :1]} | (of_resonance if resonance.size else {})


def share_lost(spectra: np.ndarray, model: np.ndarray) -> float:
    """Mean squared error over the variance between all spectra at each step; shapes (n, steps[, channels])."""
    return float(np.square(model - spectra).mean() / np.square(spectra - spectra.mean(axis=0)).mean())


def ratio_interval(errors: np.ndarray, reference: np.ndarray, blocks: np.ndarray) -> tuple[float, float]:
    """95 % interval of mean(errors) / mean(reference), by the bootstrap over blocks of neighbouring pixels.

    Shapes (n,); `blocks` numbers the block of each pixel. NaN where there are fewer than two blocks.
    """
    number = np.unique(blocks, return_inverse=True)[1]
    sums = [np.bincount(number, weights=values) for values in (errors, reference)]
    if len(sums[0]) < 2:
        return np.nan, np.nan
    found = bootstrap(sums, lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, vectorized=True,
                      method="percentile", rng=np.random.default_rng(0))
    return tuple(map(float, found.confidence_interval))


def plateau(beta: np.ndarray, active: np.ndarray) -> tuple[int, float]:
    """Number of active channels that stays over the widest range of β, and that range in decades.

    Shapes (n_snapshots,), in the order of the training. Ranges without an active channel, or with β = 0, do
    not count; where there is no other, the last number and 0.
    """
    edges = np.flatnonzero(np.diff(active)) + 1
    spans = [(0.0, int(active[-1]))]
    for part in np.split(np.arange(len(active)), edges):
        inside = beta[part][beta[part] > 0]
        if active[part[0]] and len(inside):
            spans.append((float(np.log10(inside.max() / inside.min())), int(active[part[0]])))
    decades, number = max(spans)
    return number, decades


def additive_share(embeddings: np.ndarray, made: np.ndarray) -> float:
    """Share of the variance of decoded spectra that their channels explain one by one.

    The rest needs channels jointly. `made`, shape (n, values), decoded from the posterior means of the active
    channels, (n, channels), is fitted by a sum of cubic splines, one of each channel; NaN without a channel.
    """
    if not embeddings.shape[1]:
        return np.nan
    splines = SplineTransformer(8, knots="quantile").fit_transform(embeddings)
    fitted = LinearRegression().fit(splines, made).predict(splines)
    return float(r2_score(made, fitted, multioutput="variance_weighted"))


def matched(table: np.ndarray) -> np.ndarray:
    """The score of each factor with the channel matched to it one to one.

    The matching maximises the sum (Hungarian method); a factor left without a channel counts as 0.
    Shapes (factors, channels) in, (factors,) out.
    """
    scores = np.zeros(len(table))
    factors, channels = linear_sum_assignment(-table)
    scores[factors] = table[factors, channels]
    return scores


def matched_spearman(embeddings: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """|Spearman| of each true factor with the channel matched to it; pairs in which one is constant count as 0.

    Shapes (n, channels) and (n, factors) in, (factors,) out.
    """
    scores = np.zeros((truth.shape[1], embeddings.shape[1]))
    for i, factor in enumerate(truth.T):
        for j, channel in enumerate(embeddings.T):
            if np.ptp(factor) > 0 and np.ptp(channel) > 0:
                scores[i, j] = abs(spearmanr(factor, channel).statistic)
    return matched(scores)


def matched_channels(embeddings: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Indices of the channels that `matched_spearman` matches, in the order of the factors; those must be as many."""
    ranks = rankdata(np.hstack([truth, embeddings]), axis=0)
    scores = np.abs(np.corrcoef(ranks.T)[: truth.shape[1], truth.shape[1]:])
    return linear_sum_assignment(-np.nan_to_num(scores))[1]


def matched_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|Pearson| of the channels of two embeddings (n, channels), matched one to one as far as both have them."""
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
