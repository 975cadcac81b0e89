"""Linear models of equal size side by side, and what may lie behind the paper's 0.184 and 0.36."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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
from sklearn.preprocessing import StandardScaler

from helpers.scans.scan import Scan, stack_channels, standardised
from helpers.linear import (
    learn_dictionary,
    learn_positive_dictionary,
    one_warning,
    pca_errors,
    refit_on_support,
    stopped_short,
)

# Objective settled when an iteration changes it by less than this share.
TOLERANCE = 1e-5


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
    warnings : int
        Of scikit-learn during the fit and the coding: solvers, inner ones included, that stopped short.
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
    warnings: int
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
        transform_algorithm="lasso_cd", transform_alpha=sparsity, random_state=seed,
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


def _measured(name, note, fitted, fit_seconds, fit_warnings, training, spectra) -> Baseline:
    with stopped_short() as caught:
        errors = _error(training, fitted.decode(fitted.encode(training)))
        embeddings = fitted.encode(spectra)
    converged = fitted.limit is None or fitted.iterations < fitted.limit
    return Baseline(name, note, errors, _error(spectra, fitted.decode(embeddings)), fit_seconds,
                    fitted.iterations, bool(converged), fit_warnings + len(caught), embeddings)


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
    rows = []
    for name, fit, note in _MODELS:
        with stopped_short() as caught:
            began = time.perf_counter()
            fitted = fit(training, n, seed, sparsity, iterations)
            seconds = time.perf_counter() - began
        rows.append(_measured(name, note.format(sparsity=sparsity), fitted, seconds, len(caught),
                              training, spectra))
    with stopped_short() as caught:
        began = time.perf_counter()
        model = learn_dictionary(training, n, sparsity, iterations, seed, TOLERANCE)
        seconds = time.perf_counter() - began
    codings = [_measured(name, note, fitted, seconds, len(caught), training, spectra)
               for name, note, fitted in _dictionary_codings(model, n, sparsity)]
    return rows[:2] + codings + rows[2:]


def errors_along_lambda(training: np.ndarray, spectra: np.ndarray, atoms: int, grid: Sequence[float],
                        seed: int, iterations: int = 40) -> dict[str, np.ndarray]:
    """Error against the λ of the fit, coded at the same λ, and coded at 1 whatever λ was.

    scikit-learn before 1.2 coded at 1 unless told otherwise (`transform_alpha`). Coded at its own
    λ, the error only grows with λ; coded at 1, it has a minimum inside, as in the paper's Figure S3.

    Parameters
    ----------
    training, spectra : ndarray, shape (n, features)
    grid : sequence of float

    Returns
    -------
    dict of str to ndarray, shape (grid,)
        "coded at its own λ" and "coded at λ = 1".
    """
    errors = {"coded at its own λ": [], "coded at λ = 1": []}
    with one_warning("dictionary learning along λ"):
        for sparsity in grid:
            found = learn_dictionary(training, atoms, sparsity, iterations, seed, TOLERANCE).components_
            for name, alpha in zip(errors, (sparsity, 1.0), strict=True):
                codes = sparse_encode(spectra, found, algorithm="lasso_cd", alpha=alpha)
                errors[name].append(_error(spectra, codes @ found))
    return {name: np.array(values) for name, values in errors.items()}


def _codings(atoms: int) -> dict[str, dict]:
    """Options of `sparse_encode` that a dictionary of so many atoms may have been coded with."""
    lasso = {f"lasso at {alpha:g}": {"algorithm": "lasso_cd", "alpha": alpha} for alpha in (1.0, 6.0, 12.0)}
    omp = {f"OMP, {k} of {atoms}": {"algorithm": "omp", "n_nonzero_coefs": k} for k in range(1, atoms + 1)}
    return lasso | omp | {
        "positive lasso at 1": {"algorithm": "lasso_cd", "alpha": 1.0, "positive": True},
        "soft threshold at 1": {"algorithm": "threshold", "alpha": 1.0},
    }


def toy_attempts(training: np.ndarray, spectra: np.ndarray, seed: int, atoms: int = 3,
                 sparsity: float = 0.57, iterations: int = 60) -> list[tuple[str, float]]:
    """Every way tried to come to the paper's 0.184 (toy, dictionary learning, n = 3, λ = 0.57).

    Parameters
    ----------
    training, spectra : ndarray, shape (n, steps)
        Standardised per step; the error is taken on the second.

    Returns
    -------
    list of (str, float)
        What was done, and the mean squared error in s.d.².
    """
    rows = [(f"PCA, {n} components", float(error))
            for n, error in enumerate(pca_errors(training, spectra, atoms), start=1)]
    codings = {f"lasso at {sparsity:g}": {"algorithm": "lasso_cd", "alpha": sparsity}} | _codings(atoms)
    with one_warning("toy, dictionary learning"):
        fits = {"DL": learn_dictionary(training, atoms, sparsity, iterations, seed, TOLERANCE),
                "mini-batch DL": MiniBatchDictionaryLearning(
                    atoms, alpha=sparsity, max_iter=iterations, fit_algorithm="cd", random_state=seed,
                ).fit(training)}
        for fit, model in fits.items():
            found = model.components_
            rows += [(f"{fit} fitted at {sparsity:g}, {coding}",
                      _error(spectra, sparse_encode(spectra, found, **options) @ found))
                     for coding, options in codings.items()]
    return rows


def _scalings(scan: Scan) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Stacked spectra of the usable pixels under each scaling, and its unit in physical units."""
    physical, together = scan.spectra[scan.usable], (0, 1)
    least, extent = physical.min(together), np.ptp(physical, axis=together)
    mean, deviation = physical.mean(axis=1, keepdims=True), physical.std(axis=1, keepdims=True)
    per_step = StandardScaler().fit(stack_channels(physical))
    global_z, scaler = standardised(scan)
    global_z = global_z[scan.usable]

    def stacked(spectra, unit):
        return stack_channels(spectra), stack_channels(np.broadcast_to(unit, physical.shape))

    both = {
        "one z per channel": stacked(global_z, scaler.scale_),
        "one z per channel, mean spectrum subtracted": stacked(global_z - global_z.mean(0), scaler.scale_),
        "z per step": (per_step.transform(stack_channels(physical)), per_step.scale_),
        "z of each spectrum": stacked((physical - mean) / deviation, deviation),
        "0 to 1 per channel": stacked((physical - least) / extent, extent),
        "not scaled": stacked(physical, 1.0),
    }
    alone = {f"{name} alone, one z": (global_z[..., i], scaler.scale_[i])
             for i, name in enumerate(scan.channels)} if len(scan.channels) > 1 else {}
    return both | alone


def beps_attempts(scan: Scan, seed: int, atoms: int = 5, sparsity: float = 1.0, iterations: int = 40,
                  every: int = 5) -> list[tuple[str, float]]:
    """Every way tried to come to the paper's 0.36 (BEPS, dictionary learning, n = 5, λ = 1).

    All scalings with all codings, each as a mean squared error, its root, its sum over the
    channels, and for the resonance in kHz². With so many values some lie near any number: one
    that does is a lead, no explanation.

    Parameters
    ----------
    scan : Scan
    every : int
        Dictionaries are fitted on one usable pixel in so many, and their error taken on all.

    Returns
    -------
    list of (str, float)
        What was done, and the value.
    """
    rows, steps = [], len(scan.voltage_V)
    with one_warning("BEPS, dictionary learning"):
        for scaling, (spectra, unit) in _scalings(scan).items():
            unit = np.broadcast_to(unit, spectra.shape)
            for model, made in _beps_models(spectra, spectra[::every], atoms, sparsity, iterations, seed):
                rows += _measures(f"{scaling}; {model}", spectra - made, unit, steps)
    return rows


def _beps_models(spectra, part, atoms, sparsity, iterations, seed) -> Iterator[tuple[str, np.ndarray]]:
    """Reconstructions of the spectra by dictionaries fitted on a part of them."""
    yield "mean spectrum alone", spectra.mean(axis=0)
    plain = learn_dictionary(part, atoms, sparsity, iterations, seed, TOLERANCE).components_
    for coding, options in _codings(atoms).items():
        yield f"DL, {coding}", sparse_encode(spectra, plain, **options) @ plain
    positive = learn_positive_dictionary(part, atoms, sparsity, iterations, seed)
    yield "DL from k-means, positive lasso", positive.transform(spectra) @ positive.components_


def _measures(name: str, residual: np.ndarray, unit: np.ndarray, steps: int) -> list[tuple[str, float]]:
    """The measures of error that a reader may have meant."""
    mse = float(np.square(residual).mean())
    rows = [(f"{name}: MSE", mse), (f"{name}: RMS", mse**0.5)]
    if residual.shape[1] > steps:
        resonance = np.square(residual[:, steps:] * unit[:, steps:]).mean()
        rows += [(f"{name}: MSE summed over channels", mse * residual.shape[1] / steps),
                 (f"{name}: MSE of the resonance (kHz²)", float(resonance))]
    return rows
