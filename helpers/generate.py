"""Spectra generated while one channel of an embedding is swept (Figure 5, Movies S1–S6)."""

from collections.abc import Callable

import numpy as np

# The paper averages this many pixels.
NEIGHBOURS = 100


def nearest_pixels(channel: np.ndarray, value: float) -> np.ndarray:
    """Which NEIGHBOURS pixels are nearest to a value, and all as near as the last of them; all, if there are fewer.

    A sparse code is exactly 0 in many pixels, whose first hundred would lie in the first rows of the scan. `channel`
    has any shape, that of the bool returned; NaN is never near.
    """
    distance = np.nan_to_num(np.abs(channel - value), nan=np.inf)
    last = min(NEIGHBOURS, np.isfinite(distance).sum()) - 1
    return distance <= np.partition(distance, last, axis=None)[last]


def sweep_channel(embeddings: np.ndarray, channel: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Values (points,) of a channel from its minimum to its maximum, and the latents (points, n_channels) met there.

    At each value the pixels nearest in that channel (`nearest_pixels`) are averaged and the channel
    itself is set to the value, so the other channels stay typical of such pixels (original code).
    `embeddings` has shape (n_pixels, n_channels); the paper takes 200 points.
    """
    swept = embeddings[:, channel]
    values = np.linspace(swept.min(), swept.max(), points)
    latents = np.stack([embeddings[nearest_pixels(swept, value)].mean(axis=0, dtype="float64") for value in values])
    latents[:, channel] = values
    return values, latents


def nearest_spectra(channels: np.ndarray, values: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Mean measured spectrum of the pixels nearest to each value, beside which a generated one can be judged.

    Parameters
    ----------
    channels : ndarray, shape (n_channels, n_pixels)
        Maps of the swept channels; NaN at unusable pixels.
    values : ndarray, shape (n_channels, points)
    spectra : ndarray, shape (n_pixels, ...)

    Returns
    -------
    ndarray, shape (n_channels, points, ...)
    """
    return np.stack([[spectra[nearest_pixels(channel, value)].mean(axis=0) for value in along]
                     for channel, along in zip(channels, values, strict=True)])


def generate_sweeps(embeddings: np.ndarray, channels: list[int], decode: Callable[[np.ndarray], np.ndarray],
                    points: int) -> tuple[np.ndarray, np.ndarray]:
    """Generated spectra of several channels, swept one at a time (`sweep_channel`).

    `decode` leads from latents (n, n_channels) to spectra (n, steps, measured channels).

    Returns
    -------
    values : ndarray, shape (len(channels), points)
    spectra : ndarray, shape (len(channels), points, steps, measured channels)
    """
    sweeps = [sweep_channel(embeddings, channel, points) for channel in channels]
    spectra = decode(np.concatenate([latents for _, latents in sweeps]))
    return np.stack([values for values, _ in sweeps]), spectra.reshape(len(channels), points, *spectra.shape[1:])
