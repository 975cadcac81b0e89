"""Linear models of equal size side by side, the PCA bound below which none of them can be, and a nonlinear rival."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import (
    NMF,
    PCA,
    FastICA,
    MiniBatchDictionaryLearning,
    SparsePCA,
    TruncatedSVD,
    sparse_encode,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline

from helpers.dictionary import PASSES, TOLERANCE, learn_dictionary


def refit_on_support(spectra: np.ndarray, atoms: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Least-squares codes on the atoms that each spectrum already uses.

    The lasso shrinks its codes as well as choosing among them; this undoes the shrinking.

    Parameters
    ----------
    spectra : ndarray, shape (n, features)
    atoms : ndarray, shape (atoms, features)
    codes : ndarray, shape (n, atoms)
        Only where they are zero matters.

    Returns
    -------
    ndarray, shape (n, atoms)
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
    """One linear model, fitted and measured.

    Attributes
    ----------
    name, note : str
        Model, and what it is.
    mse_training, mse : float
        Mean squared error on the training spectra and on the others, in their units squared.
    seconds : float
        Of the fit alone.
    iterations : int or None
        None for a closed form.
    converged : bool
        Whether the fit stopped by its own tolerance; True for a closed form.
    embeddings : ndarray, shape (n_spectra, n)
        Codes of the other spectra.
    """

    name: str
    note: str
    mse_training: float
    mse: float
    seconds: float
    iterations: int | None
    converged: bool
    embeddings: np.ndarray


@dataclass(frozen=True)
class _Fitted:
    """A fitted model: `encode` leads to codes, `decode` back to spectra."""

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    iterations: int | None = None
    limit: int | None = None


def _fit_pca(training, n, seed, sparsity, iterations):
    model = PCA(n, svd_solver="full").fit(training)
    return _Fitted(model.transform, model.inverse_transform)


def _fit_svd(training, n, seed, sparsity, iterations):
    model = TruncatedSVD(n, algorithm="arpack", random_state=seed).fit(training)
    return _Fitted(model.transform, model.inverse_transform)


def _fit_minibatch(training, n, seed, sparsity, iterations):
    model = MiniBatchDictionaryLearning(
        n, alpha=sparsity, max_iter=iterations, fit_algorithm="cd",
        transform_algorithm="lasso_cd", transform_alpha=sparsity, transform_max_iter=PASSES, random_state=seed,
    ).fit(training)
    return _Fitted(model.transform, lambda codes: codes @ model.components_, model.n_iter_, iterations)


def _fit_sparse_pca(training, n, seed, sparsity, iterations):
    # The scores have unit norm over all spectra, so loadings grow as the root of their number.
    alpha = 0.1 * np.sqrt(len(training))
    model = SparsePCA(n, alpha=alpha, method="cd", max_iter=iterations, tol=TOLERANCE,
                      random_state=seed).fit(training)
    return _Fitted(model.transform, model.inverse_transform, model.n_iter_, iterations)


def _fit_nmf(training, n, seed, sparsity, iterations):
    shift, limit = training.min(axis=0), 30 * iterations
    model = NMF(n, init="nndsvda", max_iter=limit, tol=TOLERANCE, random_state=seed).fit(training - shift)
    return _Fitted(lambda spectra: model.transform(np.maximum(spectra - shift, 0)),
                   lambda codes: model.inverse_transform(codes) + shift, model.n_iter_, limit)


def _fit_ica(training, n, seed, sparsity, iterations):
    limit = 10 * iterations
    model = FastICA(n, whiten="unit-variance", max_iter=limit, random_state=seed).fit(training)
    return _Fitted(model.transform, model.inverse_transform, model.n_iter_, limit)


def _fit_kmeans(training, n, seed, sparsity, iterations):
    limit = 10 * iterations
    model = KMeans(n, n_init=5, max_iter=limit, random_state=seed).fit(training)
    return _Fitted(lambda spectra: np.eye(n)[model.predict(spectra)],
                   lambda codes: codes @ model.cluster_centers_, model.n_iter_, limit)


_MODELS = (
    ("PCA", _fit_pca, "best affine subspace of n dimensions: the bound on the training spectra"),
    ("SVD, uncentred", _fit_svd, "best subspace of n dimensions through the origin"),
    ("Mini-batch DL, lasso", _fit_minibatch, "atoms from mini-batches, lasso codes at λ = {sparsity:g}"),
    ("Sparse PCA", _fit_sparse_pca, "PCA with sparse atoms, α = 0.1 √(number of spectra), ridge codes"),
    ("NMF, shifted", _fit_nmf, "nothing negative; each step is shifted by its training minimum, below which it is cut"),
    ("FastICA", _fit_ica, "the subspace of PCA with other axes: the error is the same by construction"),
    ("k-means", _fit_kmeans, "each spectrum is replaced by its centre"),
)


def _error(spectra: np.ndarray, model: np.ndarray) -> float:
    return float(np.square(spectra - model).mean())


def _measured(name, note, fitted, seconds, training, spectra) -> Baseline:
    embeddings = fitted.encode(spectra)
    return Baseline(name, note, _error(training, fitted.decode(fitted.encode(training))),
                    _error(spectra, fitted.decode(embeddings)), seconds, fitted.iterations,
                    fitted.limit is None or fitted.iterations < fitted.limit, embeddings)


def _dictionary_codings(model, n: int, sparsity: float) -> Iterator[tuple[str, str, _Fitted]]:
    """The three ways to code with the same atoms."""
    atoms = model.components_

    def omp(spectra):
        return sparse_encode(spectra, atoms, algorithm="omp", n_nonzero_coefs=n)

    def refit(spectra):
        return refit_on_support(spectra, atoms, model.transform(spectra))

    for name, note, encode in (
        ("DL, lasso", f"dictionary learning, lasso codes at λ = {sparsity:g}: the paper's objective", model.transform),
        ("DL, lasso refit", "same atoms, least squares on the atoms that the lasso chose", refit),
        ("DL, OMP", "same atoms, orthogonal matching pursuit with all n of them allowed", omp),
    ):
        yield name, note, _Fitted(encode, lambda codes: codes @ atoms, model.n_iter_, model.max_iter)


def compare(training: np.ndarray, spectra: np.ndarray, n: int, seed: int, *, sparsity: float = 1.0,
            iterations: int = 60) -> list[Baseline]:
    """Ten linear models of n components, fitted on the same spectra (paper, section 2 and Table 1).

    Each error on the training spectra is at least that of PCA (Eckart & Young, Psychometrika 1936,
    1, 211): every reconstruction lies in an affine subspace of at most n dimensions. On other
    spectra nothing forbids a smaller error.

    Parameters
    ----------
    training, spectra : ndarray, shape (n_training, features) and (n_spectra, features)
        Scaled spectra to fit on, and others (held out, or the colour gamut).
    n : int
        Components, atoms or centres.
    seed : int
    sparsity : float
        λ of dictionary learning: the paper has 0.57 for the toy and 1 for BEPS.
    iterations : int
        At most so many of dictionary learning and sparse PCA, ten times as many of FastICA and
        k-means, thirty times of NMF, which are cheaper. `Baseline.converged` tells where they were
        not enough.

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
        return _compared(training, spectra, n, seed, sparsity, iterations)


def _compared(training, spectra, n, seed, sparsity, iterations) -> list[Baseline]:
    rows = []
    for name, fit, note in _MODELS:
        began = time.perf_counter()
        fitted = fit(training, n, seed, sparsity, iterations)
        seconds = time.perf_counter() - began
        rows.append(_measured(name, note.format(sparsity=sparsity), fitted, seconds, training, spectra))
    began = time.perf_counter()
    model = learn_dictionary(training, n, sparsity, iterations, seed, TOLERANCE)
    seconds = time.perf_counter() - began
    codings = [_measured(name, note, fitted, seconds, training, spectra)
               for name, note, fitted in _dictionary_codings(model, n, sparsity)]
    return rows[:2] + codings + rows[2:]


def kernel_ridge(training: np.ndarray, blocks: np.ndarray, components: int) -> GridSearchCV:
    """The simplest nonlinear rival: a linear encoder (PCA) and a decoder by kernel ridge regression.

    Width and penalty are those with the lowest error when blocks of the training spectra are left out in turn.

    Parameters
    ----------
    training : ndarray, shape (n, features)
        At most 3000 of them, evenly chosen, are used: time and memory grow with their square and more.
    blocks : ndarray of int, shape (n,)
        Block of neighbours that each spectrum belongs to.
    components : int
        Scores of PCA that the decoder sees, each scaled to unit variance.

    Returns
    -------
    GridSearchCV
        Fitted; its `predict` reconstructs spectra.
    """
    every = -(-len(training) // 3000)
    model = make_pipeline(PCA(components, whiten=True, random_state=0), KernelRidge(kernel="rbf"))
    grid = {"kernelridge__gamma": (0.003, 0.01, 0.03, 0.1), "kernelridge__alpha": (1e-4, 1e-3, 1e-2)}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=GroupKFold(5))
    return search.fit(training[::every], training[::every], groups=blocks[::every])
