"""How well the channels of an embedding separate known factors.

Each score of `disentanglement` is 1 where every factor has one channel of its own, and near 0 where
channels mix all factors or say nothing of them.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from helpers.scores import matched, matched_spearman

BINS = 20  # classes per variable for mutual information, as in Locatello et al. (ICML 2019)
TREES = 20
LEAF = 10  # smallest leaf of a tree, in spectra


def disentanglement(embeddings: np.ndarray, truth: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Every score of an embedding against known factors.

    Parameters
    ----------
    embeddings : ndarray, shape (n, channels)
        Posterior means or coefficients.
    truth : ndarray, shape (n, factors)
        Continuous factors, none of them constant.
    seed : int
        Of the random forests and of the spectra they are tested on.

    Returns
    -------
    dict of str to float
        "mig"; "dci", "dci_completeness" and "dci_informativeness"; "sap"; "r2" and "spearman", the
        means over factors of R² of a line and |Spearman| with the channel matched to each.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, or a factor is constant.

    Notes
    -----
    The scores presume independent factors. Where factors are correlated, as the fractions of
    the twin are, the truth itself scores below 1 in "mig" and "sap": state that bound too.
    """
    embeddings, truth = _checked(embeddings, truth)
    disentanglement, completeness, informativeness = dci(embeddings, truth, seed)
    return {
        "mig": mutual_information_gap(embeddings, truth),
        "dci": disentanglement,
        "dci_completeness": completeness,
        "dci_informativeness": informativeness,
        "sap": separated_predictability(embeddings, truth),
        "r2": float(matched(univariate_r2(embeddings, truth).T).mean()),
        "spearman": float(matched_spearman(embeddings, truth).mean()),
    }


def mutual_information(embeddings: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mutual information (nat) of each channel with each factor, shape (channels, factors).

    Taken in `BINS` classes of equal count, which makes it blind to monotone maps of either variable.
    Independent variables score about (BINS - 1)² / 2n instead of 0. Shapes as in `disentanglement`.
    """
    codes, factors = _classes(embeddings), _classes(truth)
    found = np.empty((codes.shape[1], factors.shape[1]))
    for i, code in enumerate(codes.T):
        for j, factor in enumerate(factors.T):
            joint = np.bincount(code * BINS + factor, minlength=BINS**2).reshape(BINS, BINS)
            independent = np.outer(joint.sum(axis=1), joint.sum(axis=0)) / len(code)
            found[i, j] = entropy(joint.ravel(), independent.ravel())
    return found


def mutual_information_gap(embeddings: np.ndarray, truth: np.ndarray) -> float:
    """MIG (Chen et al., NeurIPS 2018): lead of the most informative channel.

    For each factor the mutual information of the best channel less that of the second best,
    divided by the entropy of the factor; then the mean over factors. Shapes as in `disentanglement`.
    """
    counts = [np.bincount(factor) for factor in _classes(truth).T]
    best = _lead(mutual_information(embeddings, truth))
    return float(np.mean(best / [entropy(count) for count in counts]))


def separated_predictability(embeddings: np.ndarray, truth: np.ndarray) -> float:
    """SAP for continuous factors (Kumar et al., ICLR 2018): the gap as in MIG, of linear R²."""
    return float(_lead(univariate_r2(embeddings, truth)).mean())


def univariate_r2(embeddings: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """R² of the linear regression of each factor on each channel, shape (channels, factors).

    A constant channel, or factor, counts as 0. Shapes as in `disentanglement`.
    """
    codes, factors = embeddings - embeddings.mean(axis=0), truth - truth.mean(axis=0)
    norms = np.outer(np.linalg.norm(codes, axis=0), np.linalg.norm(factors, axis=0))
    varies = np.outer(np.ptp(embeddings, axis=0) > 0, np.ptp(truth, axis=0) > 0)
    return np.divide(codes.T @ factors, norms, out=np.zeros(norms.shape), where=varies) ** 2


def dci(embeddings: np.ndarray, truth: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Disentanglement, completeness and informativeness (Eastwood & Williams, ICLR 2018).

    The regressor is a random forest of `TREES` trees with at least `LEAF` spectra a leaf, one
    for each factor, fitted to 70 % of the spectra. Its importances (decrease of the variance)
    weigh the channels (`disentanglement_and_completeness`). Informativeness is R² on the other 30 %, the mean over
    factors: at most 1, and below 0 where the forest does worse than the mean of the factor. Eastwood & Williams
    state an error instead. Shapes as in `disentanglement`.
    """
    codes, codes_test, factors, factors_test = train_test_split(embeddings, truth, test_size=0.3, random_state=seed)
    importances, r2 = np.empty((embeddings.shape[1], truth.shape[1])), []
    for j, (factor, factor_test) in enumerate(zip(factors.T, factors_test.T, strict=True)):
        forest = RandomForestRegressor(TREES, min_samples_leaf=LEAF, random_state=seed)
        forest.fit(codes, factor)
        r2.append(r2_score(factor_test, forest.predict(codes_test)))
        # They sum to 1 even where the forest predicts nothing: then no channel serves the factor.
        importances[:, j] = forest.feature_importances_ * (r2[-1] > 0)
    return *disentanglement_and_completeness(importances), float(np.mean(r2))


def disentanglement_and_completeness(importances: np.ndarray) -> tuple[float, float]:
    """The two entropies of DCI, from the importances (channels, factors) of any regressor, none negative.

    Disentanglement is 1 where each channel serves one factor, 0 where each serves all alike; channels weigh by their
    share of the importances. Completeness is 1 where each factor needs one channel, 0 where it needs all alike; the
    mean over factors, of which one that no channel serves counts as 0.
    """
    n_channels, n_factors = importances.shape
    total = importances.sum()
    if total == 0:
        return 0.0, 0.0
    used, served = importances.sum(axis=1), importances.sum(axis=0)
    spread = entropy(importances[used > 0], axis=1) / np.log(max(n_factors, 2))
    disentanglement = np.sum(used[used > 0] / total * (1 - spread))
    spread = entropy(importances[:, served > 0], axis=0) / np.log(max(n_channels, 2))
    return float(disentanglement), float(np.sum(1 - spread) / n_factors)


def _lead(table: np.ndarray) -> np.ndarray:
    """Best less second best channel of each factor; shape (channels, factors) to (factors,)."""
    second, best = np.sort(np.vstack([np.zeros(table.shape[1]), table]), axis=0)[-2:]
    return best - second


def _classes(values: np.ndarray) -> np.ndarray:
    """Class of each value among `BINS` of equal count; equal values share a class."""
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.quantile(values, inner, axis=0)
    return np.stack([np.searchsorted(edge, column) for edge, column in zip(edges.T, values.T, strict=True)], axis=1)


def _checked(embeddings: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, or a ValueError that says what is wrong with them."""
    embeddings, truth = np.asarray(embeddings, float), np.asarray(truth, float)
    if embeddings.ndim != 2 or truth.ndim != 2 or len(embeddings) != len(truth):
        raise ValueError(f"embeddings have shape {embeddings.shape} and truth {truth.shape}: "
                         "expected (n, channels) and (n, factors); one row for each spectrum")
    for name, values in (("embeddings", embeddings), ("truth", truth)):
        if count := int((~np.isfinite(values)).sum()):
            raise ValueError(f"{name} hold {count} NaN or infinite values: expected finite "
                             "numbers; leave those rows out of both arrays")
    constant = np.flatnonzero(np.ptp(truth, axis=0) == 0)
    if len(constant):
        raise ValueError(f"factor {constant[0]} of truth is constant: expected factors that vary; "
                         "leave that column out")
    return embeddings, truth
