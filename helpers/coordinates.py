"""Coordinates in which the spectra are spread out, and how many of them are needed.

A β-VAE alone cannot tell which of many equivalent codes is meant (Locatello et al., ICML 2019);
a map that keeps distances along the data can, where the factors are independent, not Gaussian, and
change the spectra without stretching distances (Horan et al., NeurIPS 2021), which the toy does roughly.
These coordinates are where a training starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

NEIGHBOURS = 8
SMOOTHING_NEIGHBOURS = 100
PROBE_SPECTRA = 3000
KINDS = ("pca", "isomap")


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of the spectra, the largest variance first, and which of them are kept.

    Attributes
    ----------
    values : ndarray, shape (n, candidates)
    kept : ndarray of int, shape (found,)
        Those that the others cannot replace.
    errors : ndarray, shape (candidates,)
        ``errors[k - 1]`` is the error with which the k least replaceable tell the spectrum.
    """

    values: np.ndarray
    kept: np.ndarray
    errors: np.ndarray

    @property
    def found(self) -> int:
        """Number of coordinates kept."""
        return len(self.kept)


def probe(n: int) -> slice:
    """Evenly spaced subset of `n` spectra, at most PROBE_SPECTRA of them."""
    return slice(None, None, -(-n // PROBE_SPECTRA))


def find_coordinates(spectra: np.ndarray, candidates: int, kind: str) -> Coordinates:
    """Coordinates of the spectra, reduced to those needed.

    Parameters
    ----------
    spectra : ndarray, shape (n, steps, channels)
        Standardised.
    candidates : int
        Number of coordinates to begin with; fewer where the spectra have fewer.
    kind : str
        "pca": principal components. "isomap": coordinates that keep geodesic distances between
        the spectra (Tenenbaum et al., Science 2000), so that a shifted feature, whose path
        through the space of spectra is curved, becomes one straight coordinate.

    Raises
    ------
    ValueError
        If `kind` is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"kind of coordinates is {kind!r}: expected one of {', '.join(KINDS)}; correct the name")
    flat = spectra.reshape(len(spectra), -1)
    few = probe(len(flat))
    candidates = min(candidates, len(flat[few]) - 1, flat.shape[1])
    if kind == "pca":
        values = PCA(candidates, random_state=0).fit(flat).transform(flat)
    else:
        isomap = Isomap(n_neighbors=min(NEIGHBOURS, len(flat[few]) - 1), n_components=candidates)
        isomap.fit(flat[few])
        parts = np.array_split(flat, -(-len(flat) // PROBE_SPECTRA))
        values = np.concatenate([isomap.transform(part) for part in parts])
    order, errors = eliminate(values[few], flat[few])
    return Coordinates(values, np.sort(order[: elbow(errors)]), errors)


def eliminate(values: np.ndarray, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop coordinates one by one, always the one that the others replace best.

    The error of a set of coordinates is that of predicting each spectrum as the mean of its
    nearest neighbours in these coordinates, itself left out. A harmonic of another coordinate
    costs nothing, however large its variance; a small coordinate of its own does.

    Parameters
    ----------
    values : ndarray, shape (n, candidates)
    spectra : ndarray, shape (n, numbers)

    Returns
    -------
    order : ndarray of int, shape (candidates,)
        The last one left comes first.
    errors : ndarray, shape (candidates,)
        Mean squared error with the first k of `order`, for k = 1, 2, …
    """
    def error(chosen: list[int]) -> float:
        nearest = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(values) - 1)).fit(values[:, chosen])
        near = nearest.kneighbors(return_distance=False)
        return float(np.square(spectra[near].mean(axis=1) - spectra).mean())

    left = list(range(values.shape[1]))
    dropped, errors = [], [error(left)]
    while len(left) > 1:
        without = [error([j for j in left if j != i]) for i in left]
        dropped.append(left.pop(int(np.argmin(without))))
        errors.append(min(without))
    return np.array(left + dropped[::-1]), np.array(errors[::-1])


def elbow(errors: np.ndarray) -> int:
    """Number of coordinates at the elbow of a curve of errors.

    The elbow is the point furthest below the straight line between the ends of the curve
    (Satopää et al., ICDCSW 2011), the error on a logarithmic scale. `errors` has shape
    (candidates,), for 1, 2, … coordinates; a curve of one or two points has its end as elbow.
    """
    errors = np.log(np.maximum(errors, np.finfo(float).tiny))
    if len(errors) < 3 or errors[0] <= errors[-1]:
        return len(errors) if errors[0] > errors[-1] else 1
    line = np.linspace(errors[0], errors[-1], len(errors))
    return int(np.argmax(line - errors)) + 1


def innovations(values: np.ndarray) -> np.ndarray:
    """What each coordinate adds to those before it, in standard deviations.

    From every coordinate its mean, given those before it, is taken away: a Gram–Schmidt
    procedure with nonlinear regression (Hyvärinen & Pajunen, Neural Networks 1999), the
    conditional mean being that of the nearest neighbours. Shapes (n, coordinates) in and out.
    """
    neighbours = min(SMOOTHING_NEIGHBOURS, len(values))
    new = values[:, :1]
    for column in values[:, 1:].T:
        expected = KNeighborsRegressor(neighbours).fit(new, column).predict(new)
        new = np.column_stack([new, column - expected])
    return (new - new.mean(axis=0)) / new.std(axis=0)
