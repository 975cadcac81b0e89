"""Spectra, loops, reconstructions and error distributions."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from helpers.figures.inputs import Channel
from helpers.figures.style import DATA, MODEL_COLOURS

VOLTAGE = "Voltage (V)"


def close_loop(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Repeat the first step at the end of an axis, so that a loop closes."""
    return np.concatenate([values, np.take(values, [0], axis)], axis)


def branches(voltage_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the falling and of the rising branch of a closed cycle, wherever it begins; both hold their ends."""
    order = close_loop(np.roll(np.arange(len(voltage_V)), -int(voltage_V.argmax())))
    turn = int(voltage_V[order].argmin())
    return order[: turn + 1], order[turn:]


def plot_reconstruction(ax: Axes, x: np.ndarray, data: np.ndarray, models: Mapping[str, np.ndarray]) -> None:
    """Draw one spectrum (points) and, by model name, its reconstructions (lines), all of shape (n_steps,)."""
    ax.plot(x, data, ".-", color=DATA, markersize=2, linewidth=0.3, label="data")
    for name, reconstruction in models.items():
        ax.plot(x, reconstruction, color=MODEL_COLOURS[name], label=name)


def plot_error_bands(ax: Axes, x: np.ndarray, errors: Mapping[str, np.ndarray]) -> Axes:
    """Signed error over `x`: the median, and the bands of half and of nine tenths of the spectra.

    `errors` are reconstruction minus data by model name, shape (n_spectra, n_steps).
    """
    for name, error in errors.items():
        colour = MODEL_COLOURS[name]
        low, quarter, middle, three, high = np.percentile(error, [5, 25, 50, 75, 95], axis=0)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.fill_between(x, quarter, three, color=colour, alpha=0.35, linewidth=0)
        ax.plot(x, middle, color=colour, label=name)
    ax.axhline(0.0, color="0.4", linewidth=0.5, zorder=0)
    return ax


def share_range(axes: Sequence[Axes], labels_left: bool = False) -> None:
    """Give panels of one quantity the same vertical range, labelled, where asked, at the left panel alone."""
    lows, highs = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_ylim(min(lows), max(highs))
    if labels_left:
        for ax in axes[1:]:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False, which="both")


def without_level(loops: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Loops (…, steps, channels) with the resonance taken from its mean along the loops `own`.

    Levels differ from pixel to pixel by ten times what a loop does.
    """
    level = own.mean(axis=-2, keepdims=True)
    level[..., 0] = 0
    return loops - level


def plot_loops(axes: np.ndarray, voltage_V: np.ndarray, data: np.ndarray, models: Mapping[str, np.ndarray],
               pixels: Collection[int], channels: Sequence[Channel]) -> None:
    """Loops of some pixels and what models make of them: a row for each channel, a column for each pixel.

    `data` and `models`, by name, are (n_spectra, n_steps, n_channels); a resonance is drawn from its mean in the data.
    """
    for row, (of_channel, channel) in enumerate(zip(axes, channels, strict=True)):
        for ax, pixel in zip(of_channel, pixels, strict=True):
            drawn, *made = (close_loop(without_level(loops[pixel], data[pixel])[:, row] * channel.scale)
                            for loops in (data, *models.values()))
            plot_reconstruction(ax, close_loop(voltage_V), drawn, dict(zip(models, made, strict=True)))
        of_channel[0].set_ylabel("Δ " * (row > 0) + channel.label)
    for ax in axes[-1]:
        ax.set_xlabel(VOLTAGE)
