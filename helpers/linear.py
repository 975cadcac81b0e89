"""The linear models: dictionary learning as in the paper, and the PCA bound."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA, DictionaryLearning


def learn_dictionary(spectra: np.ndarray, atoms: int, sparsity: float, iterations: int,
                     seed: int) -> DictionaryLearning:
    """Fit ½‖x − Dγ‖² + λ‖γ‖₁, with codes that solve the lasso at the same λ (paper, section 2).

    Parameters
    ----------
    spectra : ndarray, shape (n, features)
    atoms : int
        Columns of D.
    sparsity : float
        λ, of the fit and of the codes.
    """
    return DictionaryLearning(
        atoms, alpha=sparsity, max_iter=iterations, fit_algorithm="cd",
        transform_algorithm="lasso_cd", transform_alpha=sparsity, random_state=seed,
    ).fit(spectra)


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
