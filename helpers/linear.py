"""Linear models of equal size side by side, the PCA bound below which none of them can be, and a nonlinear rival."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA, FastICA, MiniBatchDictionaryLearning, SparsePCA, TruncatedSVD, sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline

from helpers.dictionary import PASSES, TOLERANCE, learn_dictionary, pca_errors

# Iterations at most of sparse PCA and of mini-batches; ten times as many of FastICA and k-means, thirty of NMF.
SLOW = 60


def refit_on_support(spectra: np.ndarray, atoms: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Least-squares codes on the atoms that each spectrum already uses, shape (n, atoms).

    The lasso shrinks its codes as well as choosing among them; this undoes the shrinking. Of `codes`, shape (n, atoms),
    only where they are zero matters; `atoms` have shape (atoms, features).
    """
    refitted = np.zeros(codes.shape)
    supports, group = np.unique(codes != 0, axis=0, return_inverse=True)
    for index, support in enumerate(supports):
        members = np.flatnonzero(group.ravel() == index)
        fitted = np.linalg.lstsq(atoms[support].T, spectra[members].T, rcond=None)[0]
        refitted[np.ix_(members, support)] = fitted.T
    return refitted


@dataclass(frozen=True)
class Baseline:
    """A linear model, its mean squared error (units squared) and whether its fit stopped by its own tolerance."""

    name: str
    mse: float
    converged: bool


def compare(training: np.ndarray, spectra: np.ndarray, n: int, seed: int, *, sparsity: float = 1.0,
            iterations: int = 60) -> list[Baseline]:
    """Ten linear models of n components, fitted on the same spectra (paper, section 2 and Table 1).

    No error on the training spectra is below that of PCA (Eckart & Young, Psychometrika 1936, 1, 211): every
    reconstruction lies in an affine subspace of at most n dimensions. On other spectra nothing forbids it.

    Parameters
    ----------
    training, spectra : ndarray, shape (n_training, features) and (n_spectra, features)
        Scaled spectra to fit on, and those to take the error on (held out, or the colour gamut).
    n : int
        Components, atoms or centres.
    sparsity : float
        λ of dictionary learning: the paper has 0.57 for the toy and 1 for BEPS.
    iterations : int
        At most so many of dictionary learning, and of the others as `SLOW` says, no more than so many.

    Returns
    -------
    list of Baseline
        PCA first.

    Raises
    ------
    ValueError
        If n is below 1 or not below the smaller side of the training spectra.
    """
    if not 1 <= n < min(training.shape):
        raise ValueError(f"n is {n}: expected 1 to {min(training.shape) - 1} components for training spectra "
                         f"of shape {training.shape}; change n or give more spectra")
    with warnings.catch_warnings():
        # `converged` says so of each model, and OMP ends early where its atoms leave nothing over.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Orthogonal matching pursuit ended", RuntimeWarning)
        rows = [_measured(name, model, spectra, _reconstructed(model, training, spectra))
                for name, model in _models(len(training), n, seed, iterations).items()]
        return rows[:2] + _dictionaries(training, spectra, n, seed, sparsity, iterations) + rows[2:]


def _models(count: int, n: int, seed: int, iterations: int) -> dict[str, object]:
    """Those without a dictionary, for `count` spectra; with iterations as `SLOW` says."""
    slow = min(SLOW, iterations)
    return {
        # The best affine subspace of n dimensions: the bound on the training spectra.
        "PCA": PCA(n, svd_solver="full"),
        # The best one through the origin.
        "SVD, uncentred": TruncatedSVD(n, algorithm="arpack", random_state=seed),
        # The scores have unit norm over all spectra, so loadings grow as the root of their number.
        "Sparse PCA": SparsePCA(n, alpha=0.1 * np.sqrt(count), method="cd", max_iter=slow, tol=TOLERANCE,
                                random_state=seed),
        "NMF, shifted": NMF(n, init="nndsvda", max_iter=30 * slow, tol=TOLERANCE, random_state=seed),
        # The subspace of PCA with other axes: the error is the same by construction.
        "FastICA": FastICA(n, whiten="unit-variance", max_iter=10 * slow, random_state=seed),
        "k-means": KMeans(n, n_init=5, max_iter=10 * slow, random_state=seed),
    }


def _measured(name: str, model, spectra: np.ndarray, reconstructed: np.ndarray) -> Baseline:
    """The row of a fitted model; one without a limit of iterations is a closed form."""
    settled = not hasattr(model, "max_iter") or model.n_iter_ < model.max_iter
    return Baseline(name, float(np.square(spectra - reconstructed).mean()), settled)


def _reconstructed(model, training: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Spectra as a model, fitted to `training` here, encodes and decodes them."""
    if isinstance(model, KMeans):
        nearest = model.fit(training).predict(spectra)
        return model.cluster_centers_[nearest]
    if isinstance(model, NMF):  # nothing negative: each step is shifted by its training minimum, below which it is cut
        shift = training.min(axis=0)
        codes = model.fit(training - shift).transform(np.maximum(spectra - shift, 0))
        return model.inverse_transform(codes) + shift
    return model.inverse_transform(model.fit(training).transform(spectra))


def _dictionaries(training: np.ndarray, spectra: np.ndarray, n: int, seed: int, sparsity: float,
                  iterations: int) -> list[Baseline]:
    """The paper's dictionary coded in three ways, and one learned from mini-batches."""
    model = learn_dictionary(training, n, sparsity, iterations, seed)
    lasso = model.transform(spectra)
    codes = {
        "DL, lasso": lasso,
        "DL, lasso refit": refit_on_support(spectra, model.components_, lasso),
        "DL, OMP": sparse_encode(spectra, model.components_, algorithm="omp", n_nonzero_coefs=n),
    }
    of_batches = MiniBatchDictionaryLearning(
        n, alpha=sparsity, transform_alpha=sparsity, max_iter=min(SLOW, iterations), random_state=seed,
        fit_algorithm="cd", transform_algorithm="lasso_cd", transform_max_iter=PASSES).fit(training)
    rows = [_measured(name, model, spectra, found @ model.components_) for name, found in codes.items()]
    made = of_batches.transform(spectra) @ of_batches.components_
    return [*rows, _measured("Mini-batch DL, lasso", of_batches, spectra, made)]


def kernel_ridge_over_pca(here: np.ndarray, there: np.ndarray, blocks: np.ndarray, components: int) -> float:
    """Error of `kernel_ridge` over that of PCA of as many components, fitted to spectra `here`, taken of those `there`.

    Both have shape (n, features); `blocks` are of the spectra here.
    """
    made = kernel_ridge(here, blocks, components).predict(there)
    return float(np.square(made - there).mean() / pca_errors(here, there)[components - 1])


def kernel_ridge(training: np.ndarray, blocks: np.ndarray, components: int) -> Pipeline:
    """The simplest nonlinear rival: PCA encodes, kernel ridge regression decodes, and `predict` does both.

    Width and penalty are those with the lowest error when blocks of at most 1500 training spectra are left out in turn.

    Parameters
    ----------
    training : ndarray, shape (n, features)
        At most 3000 of them, evenly chosen, are fitted: time and memory grow with their square and more.
    blocks : ndarray of int, shape (n,)
        Block of neighbours that each spectrum belongs to.
    components : int
        Scores of PCA that the decoder sees, each scaled to unit variance.
    """
    few, most = (slice(None, None, -(-len(training) // count)) for count in (1500, 3000))
    model = make_pipeline(PCA(components, whiten=True, random_state=0), KernelRidge(kernel="rbf"))
    grid = {"kernelridge__gamma": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), "kernelridge__alpha": (1e-6, 1e-5, 1e-4, 1e-3)}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=GroupKFold(5), refit=False)
    search.fit(training[few], training[few], groups=blocks[few])
    return model.set_params(**search.best_params_).fit(training[most], training[most])
