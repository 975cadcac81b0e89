"""Figures of the toy benchmark: 1 and 2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import ModelOutput
from helpers.figures.maps import IMAGE, plot_map, plot_no_map
from helpers.figures.spectra import (
    VISIBLE_SHARE,
    plot_error_violins,
    plot_reconstruction,
    plot_spectra,
    share_limits,
)
from helpers.figures.style import letter_panels, page_figure, panel_title, plain

TIME = "Time t"
INTENSITY = "Intensity (s.d.)"
RANKS = ("best", "median", "worst")


def _colour_ramp(primary: int, values: np.ndarray) -> np.ndarray:
    """RGB colours, shape (n, 3), along one primary with the two others at 0.5."""
    colours = np.full((len(values), 3), 0.5)
    colours[:, primary] = values
    return colours


def plot_colour_axis(
    ax: Axes, time: np.ndarray, spectra: np.ndarray, values: np.ndarray, primary: int
) -> Axes:
    """Draw the spectra along one primary colour, each in the colour it belongs to."""
    colours = _colour_ramp(primary, values)
    plot_spectra(ax, time, spectra, colours, x_label=TIME, y_label="Intensity (arb. u.)")
    scale = Normalize(values[0], values[-1])
    ramp = ListedColormap(_colour_ramp(primary, np.linspace(values[0], values[-1], 256)))
    bar = ax.figure.colorbar(
        ScalarMappable(scale, ramp), ax=ax, location="bottom", aspect=25, pad=0.02
    )
    others = [name for name in "RGB" if name != "RGB"[primary]]
    bar.set_label(f"{'RGB'[primary]}  ({others[0]} = {others[1]} = 0.5)")
    return ax


def figure_1(
    time: np.ndarray, spectra: np.ndarray, values: np.ndarray, painting: np.ndarray
) -> Figure:
    """Figure 1: spectra along each primary colour, and the painting.

    Parameters
    ----------
    time : ndarray, shape (n_steps,)
        Time steps on [-1, 1].
    spectra : ndarray, shape (3, n_values, n_steps)
        Spectra along R, G and B (arb. u.), the two other colours at 0.5.
    values : ndarray, shape (n_values,)
        Value of the varied colour, ascending in [0, 1].
    painting : ndarray, shape (height, width, 3)
        RGB in [0, 1].
    """
    figure = page_figure(2.3)
    axes = figure.subplots(1, 4, gridspec_kw={"width_ratios": [1, 1, 1, 1.15]})
    for primary, ax in enumerate(axes[:3]):
        plot_colour_axis(ax, time, spectra[primary], values, primary)
    share_limits(axes[:3])
    axes[3].imshow(painting)
    axes[3].set_axis_off()
    letter_panels(axes, "abcd")
    return figure


def _draw_toy_model(
    axes: Sequence[Axes], time: np.ndarray, data: np.ndarray, model: ModelOutput
) -> None:
    """Three maps, then the best, median and worst reconstruction, of one model."""
    for index, ax in enumerate(axes[:3]):
        if index >= len(model.maps):
            plot_no_map(ax)
            continue
        plot_map(ax, model.maps[index], label=model.quantity, orientation=IMAGE)
        panel_title(ax, "", model.map_name(index))
    for rank, spectrum, ax in zip(RANKS, model.best_median_worst(), axes[3:], strict=True):
        plot_reconstruction(
            ax, time, data[spectrum], {model.name: model.reconstruction[spectrum]},
            x_label=TIME, y_label=INTENSITY,
        )
        panel_title(ax, "", f"{model.name} {rank}\nMSE {plain(model.mse[spectrum])}")
    share_limits(axes[3:])
    axes[3].legend(loc="best")


def figure_2(
    time: np.ndarray, data: np.ndarray, dl: ModelOutput, vae: ModelOutput
) -> Figure:
    """Figure 2: both models on the spectra of the painting.

    Parameters
    ----------
    time : ndarray, shape (n_steps,)
        Time steps.
    data : ndarray, shape (n_spectra, n_steps)
        Spectra of the painting, standardised.
    dl, vae : ModelOutput
        Dictionary learning and β-VAE; the first three maps of each are drawn.
    """
    figure = page_figure(5.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.2, 1])
    left, right = top.subfigures(1, 2)
    axes = np.hstack([left.subplots(2, 3), right.subplots(2, 3)])
    for row, model in zip(axes, (dl, vae), strict=True):
        _draw_toy_model(row, time, data, model)
    letter_panels(axes.flat, "abcdefghijkl")
    if vae.n_active is not None:
        shown = min(3, len(vae.maps))
        note = f"{shown} of {vae.n_active} active channels shown"
        axes[1, 1].text(
            0.5, -0.38, note, transform=axes[1, 1].transAxes, ha="center", va="top", color="0.35"
        )
    violins = bottom.subplots()
    errors = {model.name: model.reconstruction - data for model in (dl, vae)}
    plot_error_violins(violins, errors, x_label="Spectrum index", y_label="Error (s.d.)")
    panel_title(violins, "m", f"reconstruction − data ({100 * VISIBLE_SHARE:g} % in frame)")
    return figure
