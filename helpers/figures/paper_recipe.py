"""Course of the paper's own network and schedule at a fraction of their epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def figure_paper_recipe(parts: Mapping[tuple[str, int], Sequence[Mapping]]) -> Figure:
    """Error above, active channels below, along the epochs of every run.

    Parameters
    ----------
    parts : mapping of (benchmark, part) to sequence of mapping
        Runs of one part of the epochs, one for each seed, as `helpers.paper_recipe.by_part` gives them.
    """
    figure = page_figure(2.9)
    axes = figure.subplots(2, len(parts), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2))
    for column, ((benchmark, part), runs) in zip(axes.T, parts.items(), strict=True):
        for run in runs:
            _plot_run(*column, run)
        _scale_and_mark(column, runs[0]["training"])
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        panel_title(column[0], "", f"{TITLES[benchmark]}, 1/{part} of the epochs{seeds}")
    axes[0, 0].set_ylabel("MSE (s.d.²)")
    axes[1, 0].set_ylabel("Active channels")
    plain_log_ticks(axes[0, 0].yaxis)
    model, bound = axes[0, -1].lines[:2]
    axes[0, -1].legend([model, bound], ["the paper's β-VAE", "PCA, as many\ncomponents as active"])
    letter_panels(axes.flat, "abcdef"[: axes.size])
    return figure


def _plot_run(errors: Axes, channels: Axes, run: Mapping) -> None:
    course = run["course"]
    components = np.maximum(course["active"], 1)
    errors.plot(course["epoch"], course["mse"], color=VAE, linewidth=0.8)
    errors.step(course["epoch"], np.array(run["pca_mse"])[components - 1], color=BOUND, where="mid", linewidth=0.8)
    channels.step(course["epoch"], course["active"], color=VAE, where="mid", linewidth=0.8)


def _scale_and_mark(column: Sequence[Axes], training: Mapping) -> None:
    errors, channels = column
    for ax in column:
        ax.axvline(training["priming"], color="0.6", linestyle=":")
    channels.annotate("β rises from here", (training["priming"], 0.5), xytext=(2, 1), textcoords="offset points",
                      fontsize=6, color="0.4")
    errors.set_yscale("log")
    channels.set_ylim(0, 17)
    channels.set_xlim(0, training["epochs"])
    channels.set_xlabel("Epoch")
    channels.yaxis.set_major_locator(MaxNLocator(4, integer=True))
