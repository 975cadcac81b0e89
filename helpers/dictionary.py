"""Dictionary learning as in the paper, and what may lie behind its error of 0.36 on the loops.

The algorithm is that of scikit-learn's `DictionaryLearning`: lasso codes and atoms in turn (Mairal et al., J. Mach.
Learn. Res. 2010, 11, 19), started from the singular vectors. So are its results, unless an atom falls out of use and
is drawn anew. `sparse_encode` takes one spectrum after another in Python; here coordinate descent takes all at once,
which for a few atoms is many times as fast, and its optimality conditions hold to 1e-6 of λ.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, sparse_encode
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.extmath import svd_flip
from tqdm import tqdm

TOLERANCE = 1e-5  # objective settled when an iteration lowers it by less than this share, where models are compared
PASSES = 20_000  # of coordinate descent over the atoms, at most: many where atoms are nearly collinear
# The last pass is one in which no code moves the correlation with any atom by more than this share of λ.
CODE_TOLERANCE = 5e-8
UNUSED = 1e-6  # sum of the squared codes of an atom


def lasso_codes(spectra: np.ndarray, atoms: np.ndarray, sparsity: float, *, positive: bool = False,
                start: np.ndarray | None = None) -> np.ndarray:
    """Codes γ, shape (n, atoms), that minimise ½‖x − γD‖² + λ‖γ‖₁ of every spectrum, of shape (n, features).

    `atoms` are the rows of D, `sparsity` is λ, `positive` forbids negative codes, and `start` are codes to begin with.
    A ConvergenceWarning where some did not settle.
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
            size = (wanted if positive else np.abs(wanted)) - sparsity
            new = np.where(size > 0, np.copysign(size, wanted), 0) / gram[k, k]
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
    positive: bool
    max_iter: int
    error_: list[float]

    @property
    def n_iter_(self) -> int:
        """Iterations of the fit."""
        return len(self.error_)

    def transform(self, spectra: np.ndarray) -> np.ndarray:
        """Lasso codes of spectra at the λ of the fit."""
        return lasso_codes(spectra, self.components_, self.sparsity, positive=self.positive)


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
    return _learned(spectra, start, codes, sparsity, iterations, seed, tolerance, title=title)


def learn_positive_dictionary(spectra: np.ndarray, atoms: int, sparsity: float, iterations: int,
                              seed: int) -> Dictionary:
    """`learn_dictionary` with no negative codes, started at the centres of k-means, whose seed is `seed`.

    The set-up of the paper's reference 34 (Griffin, Gaponenko & Bassiri-Gharb, Adv. Mater. 2020, 32, 2002425), without
    the subtraction of the mean and the suppression of anomalies that the paper left out too.
    """
    centres = normalize(KMeans(atoms, n_init=10, random_state=seed).fit(spectra).cluster_centers_)
    return _learned(_double(spectra), _double(centres), None, sparsity, iterations, seed, TOLERANCE, positive=True)


def _learned(spectra: np.ndarray, atoms: np.ndarray, codes: np.ndarray | None, sparsity: float, iterations: int,
             seed: int, tolerance: float, *, positive: bool = False, title: str | None = None) -> Dictionary:
    """Codes and atoms in turn, until the objective settles."""
    random, objective, settled = np.random.default_rng(seed), [], False
    with tqdm(total=iterations, desc=title, unit="iteration", disable=title is None) as bar:
        while not settled and len(objective) < iterations:
            codes = lasso_codes(spectra, atoms, sparsity, positive=positive, start=codes)
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
    return Dictionary(atoms, sparsity, positive, iterations, objective)


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


def _scalings(physical: np.ndarray, channels: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Stacked spectra under each scaling, and its unit in physical units."""
    least, extent = physical.min(axis=(0, 1)), np.ptp(physical, axis=(0, 1))
    mean, deviation = physical.mean(axis=1, keepdims=True), physical.std(axis=1, keepdims=True)
    per_step = StandardScaler().fit(stack_channels(physical))
    scaler = StandardScaler().fit(physical.reshape(-1, len(channels)))
    global_z = scaler.transform(physical.reshape(-1, len(channels))).reshape(physical.shape)

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
             for i, name in enumerate(channels)} if len(channels) > 1 else {}
    return both | alone


def beps_attempts(physical: np.ndarray, channels: Sequence[str], seed: int, *, atoms: int = 5,
                  iterations: int = 40, every: int = 5) -> list[tuple[str, float]]:
    """Every way tried to come to the paper's 0.36 (BEPS, dictionary learning, n = 5, λ = 1).

    All scalings with all codings, each as a mean squared error, its root, its sum over the
    channels, and for the resonance in kHz². With so many values some lie near any number: one
    that does is a lead, no explanation.

    Parameters
    ----------
    physical : ndarray, shape (n, steps, channels)
        Spectra of the usable pixels, in physical units.
    channels : sequence of str
        Names of the channels.
    every : int
        Dictionaries are fitted on one spectrum in so many, and their error taken on all.

    Returns
    -------
    list of (str, float)
        What was done, and what came of it.
    """
    rows, steps = [], physical.shape[1]
    with warnings.catch_warnings():
        # Unscaled, the centres of k-means are too nearly collinear for any number of passes. Leads need no more digits.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Orthogonal matching pursuit ended", RuntimeWarning)
        for scaling, (spectra, unit) in tqdm(_scalings(physical, channels).items(), "attempts", unit="scaling"):
            unit = np.broadcast_to(unit, spectra.shape)
            for model, made in _beps_models(spectra, spectra[::every], atoms, iterations, seed):
                rows += _measures(f"{scaling}; {model}", spectra - made, unit, steps)
    return rows


def _beps_models(spectra, part, atoms, iterations, seed) -> Iterator[tuple[str, np.ndarray]]:
    """Reconstructions of the spectra by dictionaries fitted on a part of them at λ = 1."""
    yield "mean spectrum alone", spectra.mean(axis=0)
    plain = learn_dictionary(part, atoms, 1.0, iterations, seed, TOLERANCE).components_
    codings = {
        **{f"lasso at {sparsity:g}": partial(lasso_codes, sparsity=sparsity) for sparsity in (1.0, 6.0, 12.0)},
        **{f"OMP, {k} of {atoms}": partial(sparse_encode, algorithm="omp", n_nonzero_coefs=k)
           for k in range(1, atoms + 1)},
        "positive lasso at 1": partial(lasso_codes, sparsity=1.0, positive=True),
        "soft threshold at 1": partial(sparse_encode, algorithm="threshold", alpha=1.0),
    }
    for coding, code in codings.items():
        yield f"DL, {coding}", code(spectra, plain) @ plain
    positive = learn_positive_dictionary(part, atoms, 1.0, iterations, seed)
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
