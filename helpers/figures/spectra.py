"""Spectra, loops, reconstructions and error distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from helpers.figures.inputs import Channel
from helpers.figures.style import DATA, MODEL_COLOURS

# A density estimate from this many spectra differs from that of all by less than a line.
VIOLIN_SPECTRA = 4000
# Few outliers would otherwise press the distributions flat.
VISIBLE_SHARE = 0.998


def close_loop(values: np.ndarray) -> np.ndarray:
    """Repeat the first step of the last axis at the end, so that a loop closes."""
    return np.concatenate([values, values[..., :1]], axis=-1)


def plot_spectra(ax: Axes, x: np.ndarray, spectra: np.ndarray, colours: Sequence) -> Axes:
    """Draw spectra, shape (n_spectra, n_steps), over time or voltage, shape (n_steps,), each in its colour."""
    for spectrum, colour in zip(spectra, colours, strict=True):
        ax.plot(x, spectrum, color=colour, linewidth=0.8)
    return ax


def plot_reconstruction(ax: Axes, x: np.ndarray, data: np.ndarray, models: Mapping[str, np.ndarray]) -> Axes:
    """Draw one spectrum (points) and, by model name, its reconstructions (lines), all of shape (n_steps,)."""
    ax.plot(x, data, ".-", color=DATA, markersize=2, linewidth=0.3, label="data")
    for name, reconstruction in models.items():
        ax.plot(x, reconstruction, color=MODEL_COLOURS[name], label=name)
    return ax


def plot_error_violins(ax: Axes, errors: Mapping[str, np.ndarray]) -> Axes:
    """Distribution of the signed error at each step, one half violin a model.

    Parameters
    ----------
    errors : mapping of str to ndarray, shape (n_spectra, n_steps)
        Reconstruction minus data by model name: first left halves, then right halves.
        The frame holds at least 99.8 % of each.
    """
    for (name, error), side in zip(errors.items(), ("low", "high"), strict=True):
        stride = max(1, len(error) // VIOLIN_SPECTRA)
        steps = np.arange(error.shape[1])
        parts = ax.violinplot(error[::stride], steps, widths=0.95, side=side, points=80, showextrema=False,
                              showmedians=True)
        for body in parts["bodies"]:
            body.set(facecolor=MODEL_COLOURS[name], alpha=0.75, linewidth=0)
        parts["cmedians"].set(color=MODEL_COLOURS[name], linewidth=0.8)
    limit = max(np.quantile(np.abs(error), VISIBLE_SHARE) for error in errors.values())
    ax.axhline(0.0, color="0.4", linewidth=0.5, zorder=0)
    ax.set(xlim=(-1, error.shape[1]), ylim=(-1.1 * limit, 1.1 * limit))
    ax.legend(handles=[Patch(color=MODEL_COLOURS[name], label=name) for name in errors], loc="lower right",
              bbox_to_anchor=(1.0, 1.0), borderpad=0.0, ncols=2)
    return ax


def share_range(axes: Sequence[Axes]) -> None:
    """Give panels of one quantity the same vertical range."""
    lows, highs = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_ylim(min(lows), max(highs))


def share_axis(axes: Sequence[Axes]) -> None:
    """The same vertical range, labelled at the left panel alone."""
    share_range(axes)
    for ax in axes[1:]:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False, which="both")


def channel_loops(spectra: np.ndarray, index: int, channel: Channel) -> np.ndarray:
    """Closed loops of one channel of (…, n_steps, n_channels), in the units of its axis."""
    return close_loop(spectra[..., index] * channel.scale)
