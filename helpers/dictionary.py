"""Dictionary learning as in the paper, and the error of PCA beside it.

The algorithm is that of scikit-learn's `DictionaryLearning`: lasso codes and atoms in turn (Mairal et al., J. Mach.
Learn. Res. 2010, 11, 19), started from the singular vectors. So are its results, unless an atom falls out of use and
is drawn anew. `sparse_encode` takes one spectrum after another in Python; here coordinate descent takes all at once,
which for a few atoms is many times as fast, and its optimality conditions hold to 1e-6 of λ.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import svd_flip
from tqdm import tqdm

TOLERANCE = 1e-5  # objective settled when an iteration lowers it by less than this share, where models are compared
PASSES = 20_000  # of coordinate descent over the atoms, at most: many where atoms are nearly collinear
# The last pass is one in which no code moves the correlation with any atom by more than this share of λ.
CODE_TOLERANCE = 5e-8
UNUSED = 1e-6  # sum of the squared codes of an atom


def lasso_codes(spectra: np.ndarray, atoms: np.ndarray, sparsity: float, start: np.ndarray | None = None) -> np.ndarray:
    """Codes γ, shape (n, atoms), that minimise ½‖x − γD‖² + λ‖γ‖₁ of every spectrum, of shape (n, features).

    `atoms` are the rows of D, `sparsity` is λ, and `start` are codes to begin with. A ConvergenceWarning where some did
    not settle.
    """
    atoms = _double(atoms)
    gram, correlations = atoms @ atoms.T, atoms @ _double(spectra).T
    used, scale = np.flatnonzero(gram.diagonal()), np.sqrt(gram.diagonal() * gram.diagonal().max())
    codes = np.zeros_like(correlations)  # a row for each atom: all spectra at once
    if start is not None:
        codes[used] = start.T[used]
    # Rounding allows no more where spectra or atoms are far larger than λ.
    settled = CODE_TOLERANCE * sparsity + 8 * np.finfo(float).eps * np.abs(correlations).max(axis=0)
    moving = np.arange(len(spectra))
    for _ in range(PASSES):
        now, target, moved = codes[:, moving], correlations[:, moving], np.zeros(len(moving))
        for k in used:
            wanted = target[k] - gram[k] @ now + gram[k, k] * now[k]
            new = np.copysign(np.maximum(np.abs(wanted) - sparsity, 0), wanted) / gram[k, k]
            np.maximum(moved, scale[k] * np.abs(new - now[k]), out=moved)
            now[k] = new
        codes[:, moving] = now
        moving = moving[moved > settled[moving]]
        if not len(moving):
            return codes.T
    warnings.warn(f"the codes of {len(moving)} spectra did not settle within {PASSES} passes: expected less nearly "
                  "collinear atoms; take fewer", ConvergenceWarning, stacklevel=2)
    return codes.T


def _double(values: np.ndarray) -> np.ndarray:
    """In double precision; a ValueError where some are not finite."""
    if not np.isfinite(values).all():
        raise ValueError("some spectra or atoms are NaN or infinite: expected finite numbers; remove those spectra")
    return np.asarray(values, float)


@dataclass
class Dictionary:
    """Learned atoms, shape (atoms, features), named as scikit-learn does; `error_` is the objective along the fit."""

    components_: np.ndarray
    sparsity: float
    max_iter: int
    error_: list[float]

    @property
    def n_iter_(self) -> int:
        """Iterations of the fit."""
        return len(self.error_)

    def transform(self, spectra: np.ndarray) -> np.ndarray:
        """Lasso codes of spectra at the λ of the fit."""
        return lasso_codes(spectra, self.components_, self.sparsity)


def learn_dictionary(spectra: np.ndarray, atoms: int, sparsity: float, iterations: int, seed: int,
                     tolerance: float = 1e-6, title: str | None = None) -> Dictionary:
    """Fit ½‖x − Dγ‖² + λ‖γ‖₁, with codes that solve the lasso at the same λ (paper, section 2).

    A ConvergenceWarning where the objective did not settle.

    Parameters
    ----------
    spectra : ndarray, shape (n, features)
    atoms, iterations : int
        Columns of D, and iterations at most.
    sparsity : float
        λ, of the fit and of the codes.
    seed : int
        Used only where an atom falls out of use and is drawn again: the start is the SVD.
    tolerance : float
        Stop when an iteration lowers the objective by no more than this share: at 1e-6 it is then within 3e-5 of where
        300 iterations take it, on the toy and on the measured loops.
    title : str, optional
        Of a progress bar.
    """
    spectra = _double(spectra)
    left, size, right = np.linalg.svd(spectra, full_matrices=False)
    left, right = svd_flip(left, right)
    more = max(atoms - len(size), 0)  # than there are singular vectors: empty ones, which are drawn again
    start = np.pad((size[:, None] * right)[:atoms], ((0, more), (0, 0)))
    codes = np.pad(left[:, :atoms], ((0, 0), (0, more)))
    return _learned(spectra, start, codes, sparsity, iterations, seed, tolerance, title)


def _learned(spectra: np.ndarray, atoms: np.ndarray, codes: np.ndarray | None, sparsity: float, iterations: int,
             seed: int, tolerance: float, title: str | None) -> Dictionary:
    """Codes and atoms in turn, until the objective settles."""
    random, objective, settled = np.random.default_rng(seed), [], False
    with tqdm(total=iterations, desc=title, unit="iteration", disable=title is None) as bar:
        while not settled and len(objective) < iterations:
            codes = lasso_codes(spectra, atoms, sparsity, codes)
            atoms = _updated(atoms, spectra, codes, random)
            residual = np.square(spectra - codes @ atoms).sum()
            objective.append(float(0.5 * residual + sparsity * np.abs(codes).sum()))
            settled = len(objective) > 1 and objective[-2] - objective[-1] <= tolerance * objective[-1]
            bar.update()
    if not settled:
        last = 1 - objective[-1] / objective[-2] if len(objective) > 1 else 1.0
        warnings.warn(f"{len(atoms)} atoms at λ = {sparsity:g}: the objective did not settle within "
                      f"{iterations} iterations, the last of which lowered it by {last:.1g} of itself: expected "
                      f"less than {tolerance:g}; allow more iterations", ConvergenceWarning, stacklevel=3)
    return Dictionary(atoms, sparsity, iterations, objective)


def _updated(atoms: np.ndarray, spectra: np.ndarray, codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Atoms of at most unit norm, each the best for the codes as they are; codes of an unused atom become 0."""
    atoms, weights, sums = atoms.copy(), codes.T @ codes, codes.T @ spectra
    for k, used in enumerate(weights.diagonal() > UNUSED):
        if used:
            atoms[k] += (sums[k] - weights[k] @ atoms) / weights[k, k]
        else:
            atoms[k], codes[:, k] = spectra[random.integers(len(spectra))], 0
        atoms[k] /= max(np.linalg.norm(atoms[k]), 1)
    return atoms


def errors_along_lambda(training: np.ndarray, spectra: np.ndarray, atoms: int, grid: Sequence[float],
                        seed: int, iterations: int) -> dict[str, np.ndarray]:
    """Error against the λ of the fit, coded at the same λ, and coded at 1 whatever λ was.

    scikit-learn before 1.2 coded at 1 unless told otherwise (`transform_alpha`). Coded at its own λ, the error only
    grows with λ; coded at 1, it hardly changes below 0.5. The minimum of the paper's Figure S3 is at 0.57.

    Parameters
    ----------
    training, spectra : ndarray, shape (n, features)
        Fitted on the first and taken on the second.
    grid : sequence of float
        Every λ of a fit; the other parameters are those of `learn_dictionary`.

    Returns
    -------
    dict of str to ndarray, shape (grid,)
    """
    errors = {"coded at its own λ": [], "coded at λ = 1": []}
    for sparsity in tqdm(grid, "grid of λ", unit="fit"):
        found = learn_dictionary(training, atoms, sparsity, iterations, seed, TOLERANCE).components_
        for name, alpha in zip(errors, (sparsity, 1.0), strict=True):
            errors[name].append(np.square(spectra - lasso_codes(spectra, found, alpha) @ found).mean())
    return {name: np.array(values) for name, values in errors.items()}


def pca_errors(training: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Mean squared error of PCA with 1 … 16 components, shape (16,): no linear model is below it.

    PCA is fitted on the first of two arrays of shape (n, features), and its error taken on the second.
    """
    pca = PCA(16).fit(training)
    centred = spectra - pca.mean_
    scores = centred @ pca.components_.T
    return (np.square(centred).sum() - np.square(scores).sum(axis=0).cumsum()) / spectra.size


def stack_channels(spectra: np.ndarray) -> np.ndarray:
    """(n, steps, channels) to (n, channels * steps), one channel after the other, in double precision.

    The "dimensional stacking" that gives dictionary learning both channels (paper, section 2).
    """
    return spectra.transpose(0, 2, 1).reshape(len(spectra), -1).astype(float)


def unstack_channels(stacked: np.ndarray, channels: int) -> np.ndarray:
    """Undo `stack_channels`."""
    return stacked.reshape(len(stacked), channels, -1).transpose(0, 2, 1)
