"""Error of the toy models along λ and over the colour gamut: Figures S3 and S4."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from helpers.figures.spectra import share_limits
from helpers.figures.style import (
    BOUND,
    COLUMN,
    DATA,
    MODEL_COLOURS,
    letter_panels,
    page_figure,
    plain_log_ticks,
)


def figure_s3(
    alphas: np.ndarray, mse: np.ndarray, chosen: float, pca_mse: float
) -> Figure:
    """Figure S3: error of dictionary learning along the grid of λ.

    Parameters
    ----------
    alphas, mse : ndarray, shape (n_alphas,)
        Grid of λ and the mean squared error (scaled units) at each.
    chosen : float
        λ used by the figures.
    pca_mse : float
        Error of PCA with as many components: no linear model is below it.
    """
    figure = page_figure(2.3, COLUMN)
    ax = figure.subplots()
    ax.plot(alphas, mse, "o-", color=MODEL_COLOURS["DL"], label="DL, n = 3")
    ax.axhline(pca_mse, color=BOUND, linestyle="--", label="PCA bound, n = 3")
    ax.axvline(chosen, color=DATA, linestyle=":", label=f"chosen λ = {chosen:g}")
    ax.set(xlabel="λ", ylabel="MSE (s.d.²)", ylim=(0, None))
    ax.legend()
    return figure


def plot_error_along(
    ax: Axes, values: np.ndarray, mse: Mapping[str, np.ndarray], *, label: str
) -> Axes:
    """Median and 10–90 % range of the error in 20 bins of one colour.

    Parameters
    ----------
    ax : Axes
        Panel.
    values : ndarray, shape (n_spectra,)
        Value of the colour, in [0, 1].
    mse : mapping of str to ndarray, shape (n_spectra,)
        Mean squared error of each spectrum by model name.
    label : str
        Name of the colour.
    """
    edges = np.linspace(0, 1, 21)
    bins = np.clip(np.digitize(values, edges) - 1, 0, 19)
    centres = edges[:-1] + 0.025
    for name, errors in mse.items():
        groups = [errors[bins == b] if np.any(bins == b) else [np.nan] for b in range(20)]
        low, middle, high = np.transpose([np.percentile(g, [10, 50, 90]) for g in groups])
        ax.fill_between(
            centres, low, high, color=MODEL_COLOURS[name], alpha=0.25, linewidth=0
        )
        ax.plot(centres, middle, color=MODEL_COLOURS[name], label=name)
    ax.set(xlabel=label, ylabel="MSE (s.d.²)", xlim=(0, 1), yscale="log")
    plain_log_ticks(ax.yaxis)
    return ax


def figure_s4(
    rgb: np.ndarray, mse: Mapping[str, np.ndarray], pca_mse: float
) -> Figure:
    """Figure S4: validation over the whole colour gamut.

    Parameters
    ----------
    rgb : ndarray, shape (n_spectra, 3)
        Colours, uniform in [0, 1].
    mse : mapping of str to ndarray, shape (n_spectra,)
        Mean squared error of each spectrum by model name, in scaled units.
    pca_mse : float
        Mean error of PCA with three components.
    """
    figure = page_figure(2.4)
    axes = figure.subplots(1, 4, gridspec_kw={"width_ratios": [1, 1, 1, 1.3]})
    for primary, ax in enumerate(axes[:3]):
        plot_error_along(ax, rgb[:, primary], mse, label="RGB"[primary])
    share_limits(axes[:3])
    plot_error_histogram(axes[3], mse, pca_mse)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  title="line: median; band: 10–90 %", title_fontsize=6)
    letter_panels(axes, "abcd")
    return figure


def plot_error_histogram(
    ax: Axes, mse: Mapping[str, np.ndarray], pca_mse: float
) -> Axes:
    """Histogram of the error of each spectrum, with the means and the PCA bound."""
    positive = np.concatenate([errors[errors > 0] for errors in mse.values()])
    bins = np.geomspace(positive.min(), positive.max(), 60)
    for name, errors in mse.items():
        colour = MODEL_COLOURS[name]
        ax.hist(errors, bins, color=colour, alpha=0.5)
        label = f"{name}, mean {errors.mean():.3g}"
        ax.axvline(errors.mean(), ymax=0.65, color=colour, label=label)
    label = f"PCA, mean {pca_mse:.3g}"
    ax.axvline(pca_mse, ymax=0.65, color=BOUND, linestyle="--", label=label)
    ax.set(xlabel="MSE (s.d.²)", ylabel="Spectra", xscale="log")
    ax.xaxis.set_minor_formatter(NullFormatter())  # else labelled, and crowded, where errors span less than a decade
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.set_ylim(0, 1.5 * ax.get_ylim()[1])
    ax.legend(loc="upper left")
    return ax
