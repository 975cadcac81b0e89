"""The linear models: dictionary learning as in the paper and in its reference 34, and the PCA bound.

scikit-learn 1.9 takes `dict_init` of `DictionaryLearning` into account only together with
`code_init`; a start given without codes is replaced by the singular vectors, without a word.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, DictionaryLearning, sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize


@contextmanager
def stopped_short() -> Iterator[list]:
    """Collect warnings of solvers that stopped short, and let every other warning through.

    Coordinate descent inside dictionary learning warns spectrum by spectrum: hundreds of lines
    that say less than their number.

    Yields
    ------
    list of warnings.WarningMessage
        Filled when the block ends.
    """
    kept = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield kept
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning) or "matching pursuit ended" in str(warning.message):
            kept.append(warning)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def one_warning(what: str) -> Iterator[None]:
    """Sum up the solvers that stopped short in the block as one ConvergenceWarning."""
    with stopped_short() as caught:
        yield
    if caught:
        warnings.warn(f"{what}: {len(caught)} solver runs stopped short of their tolerance",
                      ConvergenceWarning, stacklevel=3)


def learn_dictionary(spectra: np.ndarray, atoms: int, sparsity: float, iterations: int,
                     seed: int, tolerance: float = 1e-8) -> DictionaryLearning:
    """Fit ½‖x − Dγ‖² + λ‖γ‖₁, with codes that solve the lasso at the same λ (paper, section 2).

    Parameters
    ----------
    spectra : ndarray, shape (n, features)
    atoms : int
        Columns of D.
    sparsity : float
        λ, of the fit and of the codes.
    iterations : int
        At most so many.
    seed : int
        Used only where an atom falls out of use and is drawn again: the start is the SVD.
    tolerance : float
        Stop when an iteration lowers the objective by less than this share of it.
    """
    return DictionaryLearning(
        atoms, alpha=sparsity, max_iter=iterations, tol=tolerance, fit_algorithm="cd",
        transform_algorithm="lasso_cd", transform_alpha=sparsity, random_state=seed,
    ).fit(spectra)


def learn_positive_dictionary(spectra: np.ndarray, atoms: int, sparsity: float, iterations: int,
                              seed: int, tolerance: float = 1e-5) -> DictionaryLearning:
    """Dictionary learning with no negative codes, started at the centres of k-means.

    The set-up of the paper's reference 34 (Griffin, Gaponenko & Bassiri-Gharb, Adv. Mater. 2020,
    32, 2002425), without the subtraction of the mean and the suppression of anomalies that the
    paper left out too. Centres are scaled to unit norm, and the first codes solve the lasso.

    Parameters
    ----------
    spectra, atoms, sparsity, iterations, seed, tolerance
        As in `learn_dictionary`; the seed is that of k-means.
    """
    centres = normalize(KMeans(atoms, n_init=10, random_state=seed).fit(spectra).cluster_centers_)
    codes = sparse_encode(spectra, centres, algorithm="lasso_cd", alpha=sparsity, positive=True)
    return DictionaryLearning(
        atoms, alpha=sparsity, max_iter=iterations, tol=tolerance, fit_algorithm="cd",
        transform_algorithm="lasso_cd", transform_alpha=sparsity, positive_code=True,
        dict_init=centres, code_init=codes, random_state=seed,
    ).fit(spectra)


def reference_34_errors(
    training: np.ndarray, spectra: np.ndarray, components: Sequence[int] = range(2, 10),
    alphas: Sequence[float] = (1.0, 6.0, 12.0), *, iterations: int = 100, seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """RMS error against (n, α) of the set-up of reference 34.

    Parameters
    ----------
    training, spectra : ndarray, shape (n, features)
        Fitted on the first and taken on the second. One spectrum in five of the measured scan is
        enough to fit on: the whole grid then takes seconds.

    Returns
    -------
    rms : ndarray, shape (alphas, components)
        Root of the mean squared error, in the units of the spectra.
    converged : ndarray of bool, shape (alphas, components)
        Whether the objective settled within the iterations.
    """
    rms = np.empty((len(alphas), len(components)))
    converged = np.empty(rms.shape, bool)
    with one_warning("dictionary learning from k-means"):
        for i, alpha in enumerate(alphas):
            for j, n in enumerate(components):
                model = learn_positive_dictionary(training, n, alpha, iterations, seed)
                rms[i, j] = np.sqrt(np.square(spectra - model.transform(spectra) @ model.components_).mean())
                converged[i, j] = model.n_iter_ < iterations
    return rms, converged


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


def pca_errors(training: np.ndarray, spectra: np.ndarray, largest: int = 16) -> np.ndarray:
    """Mean squared error of PCA with 1 … `largest` components: no linear model is below it.

    Parameters
    ----------
    training, spectra : ndarray, shape (n, features)
        PCA is fitted on the first and its error taken on the second.

    Returns
    -------
    ndarray, shape (largest,)
    """
    pca = PCA(largest).fit(training)
    centred = spectra - pca.mean_
    scores = centred @ pca.components_.T
    return (np.square(centred).sum() - np.square(scores).sum(axis=0).cumsum()) / spectra.size
