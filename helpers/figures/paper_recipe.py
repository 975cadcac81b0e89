"""Course of the paper's own network and schedule at a fraction of their epochs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.figures.style import (
    BOUND,
    VAE,
    letter_panels,
    page_figure,
    panel_title,
    plain_log_ticks,
)

TITLES = {"toy": "Toy", "beps": "BEPS, published film"}


def figure_paper_recipe(runs: Mapping[str, Mapping]) -> Figure:
    """Error above, active channels below, along the epochs of every run.

    Parameters
    ----------
    runs : mapping of str to mapping
        As `helpers.paper_recipe.stored_runs` gives them, by ``<benchmark>-<part>``.
    """
    figure = page_figure(2.9)
    axes = figure.subplots(2, len(runs), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2))
    for column, (name, run) in zip(axes.T, runs.items(), strict=True):
        _plot_errors(column[0], run)
        _plot_channels(column[1], run)
        panel_title(column[0], "", f"{TITLES[name.split('-')[0]]}, 1/{run['shortened_by']} of the epochs")
        column[1].set_xlabel("Epoch")
    axes[0, 0].set_ylabel("MSE (s.d.²)")
    axes[1, 0].set_ylabel("Active channels")
    plain_log_ticks(axes[0, 0].yaxis)
    axes[0, -1].legend()
    letter_panels(axes.flat, "abcdef"[: axes.size])
    return figure


def _plot_errors(ax: Axes, run: Mapping) -> None:
    course = run["course"]
    components = np.maximum(course["active"], 1)
    ax.plot(course["epoch"], course["mse"], color=VAE, label="the paper's β-VAE")
    ax.step(course["epoch"], np.array(run["pca_mse"])[components - 1], color=BOUND, where="mid",
            label="PCA, as many\ncomponents as active")
    ax.set_yscale("log")
    _mark_first_beta(ax, run)


def _plot_channels(ax: Axes, run: Mapping) -> None:
    ax.step(run["course"]["epoch"], run["course"]["active"], color=VAE, where="mid")
    ax.set_ylim(0, 17)
    ax.set_xlim(0, run["training"]["epochs"])
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    _mark_first_beta(ax, run, "β rises from here")


def _mark_first_beta(ax: Axes, run: Mapping, text: str = "") -> None:
    priming = run["training"]["priming"]
    ax.axvline(priming, color="0.6", linestyle=":")
    if text:
        ax.annotate(text, (priming, 0.5), xytext=(2, 1), textcoords="offset points", fontsize=6, color="0.4")
