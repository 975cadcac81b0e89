"""Linear models of equal size, the set-up of reference 34, and what the coding does to the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from helpers.figures.style import (
    BOUND,
    COLUMN,
    DATA,
    DL,
    VAE,
    label_source,
    letter_panels,
    page_figure,
    panel_title,
    plain_log_ticks,
)

MARKERS = ("o", "s", "^", "v")


@dataclass(frozen=True)
class BaselineErrors:
    """Errors of the same models at several sizes.

    Attributes
    ----------
    title : str
        Benchmark, and which spectra the errors are of.
    names : sequence of str
        Models; that called "PCA" gives the lines.
    mse : mapping of int to ndarray, shape (n_models,)
        Mean squared error (s.d.²) by number of components.
    converged : mapping of int to ndarray of bool, shape (n_models,)
        Whether the fit stopped by its own tolerance.
    """

    title: str
    names: Sequence[str]
    mse: Mapping[int, np.ndarray]
    converged: Mapping[int, np.ndarray]


def _colour(name: str) -> str:
    return BOUND if name == "PCA" else DL if "DL" in name else DATA


def plot_baselines(ax: Axes, errors: BaselineErrors) -> Axes:
    """One row per model, one marker per size, PCA of each size as a line.

    A ring marks a fit that ended at its limit of iterations.
    """
    rows, pca = np.arange(len(errors.names)), list(errors.names).index("PCA")
    colours = [_colour(name) for name in errors.names]
    handles = []
    for (n, mse), marker in zip(errors.mse.items(), MARKERS, strict=False):
        style = {"marker": marker, "color": "0.4", "linestyle": "none"}
        handles.append(Line2D([], [], label=f"n = {n}", **style))
        ax.axvline(mse[pca], color=BOUND, linestyle="--", linewidth=0.8, zorder=0)
        ax.scatter(mse, rows, c=colours, marker=marker, s=14, zorder=2)
        short = ~np.asarray(errors.converged[n], bool)
        ax.scatter(np.asarray(mse)[short], rows[short], s=55, facecolors="none", edgecolors="0.5",
                   linewidths=0.6)
    handles.append(Line2D([], [], color=BOUND, linestyle="--", linewidth=0.8, label="PCA of that size"))
    handles.append(Line2D([], [], marker="o", color="0.5", markerfacecolor="none", linestyle="none",
                          markersize=6, markeredgewidth=0.6, label="ended at its limit"))
    ax.set(xscale="log", xlabel="MSE (s.d.²)", yticks=rows, yticklabels=errors.names)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    plain_log_ticks(ax.xaxis)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4,
              columnspacing=1.0)
    panel_title(ax, "", errors.title)
    return ax


def figure_baselines(toy: BaselineErrors, beps: BaselineErrors, *, source: str) -> Figure:
    """Error of every linear model at equal size, on spectra that it was not fitted on.

    Parameters
    ----------
    toy, beps : BaselineErrors
        The two benchmarks.
    source : {"measured", "twin"}
        Origin of the BEPS data.
    """
    figure = page_figure(2.7)
    axes = figure.subplots(1, 2)
    for ax, errors in zip(axes, (toy, beps), strict=True):
        plot_baselines(ax, errors)
    letter_panels(axes, "ab")
    label_source(figure, source)
    return figure


def figure_reference_34(components: Sequence[int], rms: Mapping[float, np.ndarray], pca_rms: np.ndarray,
                        *, source: str) -> Figure:
    """RMS error against (n, α) of the dictionary learning of the paper's reference 34.

    Parameters
    ----------
    components : sequence of int
        n.
    rms : mapping of float to ndarray, shape (n_components,)
        Root of the mean squared error (s.d.) by α.
    pca_rms : ndarray, shape (n_components,)
        The same of PCA with as many components.
    source : {"measured", "twin"}
        Origin of the data.
    """
    figure = page_figure(2.2, COLUMN)
    ax = figure.subplots()
    for (alpha, values), marker, shade in zip(rms.items(), MARKERS, ("#f0a57a", DL, "#7a3600"), strict=False):
        ax.plot(components, values, marker=marker, color=shade, label=f"α = {alpha:g}")
    ax.plot(components, pca_rms, "--", color=BOUND, label="PCA")
    ax.set(xlabel="Atoms n", ylabel="RMS error (s.d.)", ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    label_source(figure, source)
    return figure


def figure_lambda_codings(grid: Sequence[float], errors: Mapping[str, np.ndarray], pca_mse: float, *,
                          paper_lambda: float, paper_mse: float) -> Figure:
    """Error of the toy's dictionary along the λ of the fit, one curve per way of coding.

    Parameters
    ----------
    grid : sequence of float
        λ.
    errors : mapping of str to ndarray, shape (n_grid,)
        Mean squared error (s.d.²) by coding, lowest marked.
    pca_mse : float
        Error of PCA with as many components.
    paper_lambda, paper_mse : float
        What the paper chose and found.
    """
    figure = page_figure(2.3, COLUMN)
    ax = figure.subplots()
    for (name, values), colour in zip(errors.items(), (DL, VAE), strict=True):
        best = int(np.argmin(values))
        ax.plot(grid, values, ".-", color=colour, label=f"{name}, lowest at λ = {grid[best]:g}")
        ax.plot(grid[best], values[best], "o", color=colour, markersize=6, markerfacecolor="none")
    ax.axhline(pca_mse, color=BOUND, linestyle="--", label="PCA")
    ax.plot(paper_lambda, paper_mse, "x", color=DATA, markersize=5, label="paper")
    ax.set(xlabel="λ of the fit", ylabel="MSE (s.d.²)", ylim=(0, None))
    ax.legend()
    return figure
