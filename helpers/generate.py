"""Spectra generated while one channel of an embedding is swept (Figure 5, Movies S1–S6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def sweep_channel(embeddings: np.ndarray, channel: int, points: int = 200,
                  neighbours: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Latents met while `channel` goes linearly from its minimum to its maximum.

    At each value the pixels nearest in that channel are averaged and the channel itself
    is set to the value, so the other channels stay typical of such pixels (original code).

    Parameters
    ----------
    embeddings : ndarray, shape (n_pixels, n_channels)
    channel : int
    points, neighbours : int
        The paper takes 200 values and 100 neighbours; fewer pixels than neighbours are
        all taken.

    Returns
    -------
    values : ndarray, shape (points,)
    latents : ndarray, shape (points, n_channels)
    """
    neighbours = min(neighbours, len(embeddings))
    order = np.argsort(embeddings[:, channel], kind="stable")
    ranked = embeddings[order]
    values = np.linspace(ranked[0, channel], ranked[-1, channel], points)
    starts = _nearest_windows(ranked[:, channel], values, neighbours)
    summed = np.concatenate([np.zeros((1, ranked.shape[1])), np.cumsum(ranked, 0, "float64")])
    latents = (summed[starts + neighbours] - summed[starts]) / neighbours
    latents[:, channel] = values
    return values, latents


def _nearest_windows(ranked: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """First index of the `size` sorted numbers nearest to each value."""
    first, last = np.zeros(len(values), int), np.full(len(values), len(ranked) - size)
    while (first < last).any():
        middle = (first + last) // 2
        upper = np.minimum(middle + size, len(ranked) - 1)
        move = (first < last) & (values - ranked[middle] > ranked[upper] - values)
        first = np.where(move, middle + 1, first)
        last = np.where((first < last) & ~move, middle, last)
    return first


def generate_sweeps(embeddings: np.ndarray, channels: list[int],
                    decode: Callable[[np.ndarray], np.ndarray],
                    points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Generated spectra of several channels, swept one at a time.

    Parameters
    ----------
    embeddings : ndarray, shape (n_pixels, n_channels)
    channels : list of int
    decode : callable
        Latents (n, n_channels) to spectra (n, steps, measured channels).

    Returns
    -------
    values : ndarray, shape (len(channels), points)
    spectra : ndarray, shape (len(channels), points, steps, measured channels)
    """
    sweeps = [sweep_channel(embeddings, channel, points) for channel in channels]
    spectra = decode(np.concatenate([latents for _, latents in sweeps]))
    return np.stack([values for values, _ in sweeps]), spectra.reshape(
        len(channels), points, *spectra.shape[1:])
