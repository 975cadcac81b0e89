"""Error of the controls with the time steps in order and shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures.style import (
    BOUND,
    DATA,
    DL,
    label_source,
    letter_panels,
    page_figure,
    panel_title,
    plain_log_ticks,
)

TITLES = {"toy": "toy, gamut", "beps": "BEPS, held-out blocks"}
LABELS = {
    "dense": "dense", "convolutional": "convolutional", "lstm": "LSTM, no noise, β = 0",
    "vae": "LSTM β-VAE", "vae_recurrent": "LSTM β-VAE, no linear path", "vae_recipe": "recipe",
    "vae_beta0": "recipe, β = 0", "vae_random": "recipe, random start",
    "vae_linear": "recipe, linear path only",
}
# Colour, filled or open, and place above or below the line of the model.
MARKS = {"kept": (DATA, DATA, 0.12), "shuffled": (DL, "white", -0.12)}


def plot_controls(ax: Axes, runs: Sequence[Mapping[str, float]], benchmark: str) -> Axes:
    """Draw each run of each model as a point, and the median of kept and shuffled joined by a line.

    Parameters
    ----------
    runs : sequence of mapping of str to float
        One per seed, as `helpers.controls.run_control` names the scores.
    benchmark : {"toy", "beps"}
    """
    found = [model for model in LABELS if any(_mse(run, benchmark, model, "kept") for run in runs)]
    for height, model in enumerate(reversed(found)):
        medians = {}
        for order, (edge, face, above) in MARKS.items():
            values = [mse for run in runs if (mse := _mse(run, benchmark, model, order)) is not None]
            if values:
                medians[order] = np.median(values)
                ax.plot(values, np.full(len(values), height + above), "o", color=edge,
                        markerfacecolor=face, markersize=4, gid="run")
        heights = [height + MARKS[order][2] for order in medians]
        ax.plot(list(medians.values()), heights, color="0.6", zorder=1)
    bounds = [mse for run in runs if (mse := _mse(run, benchmark, "pca", "kept")) is not None]
    if bounds:
        ax.axvline(np.median(bounds), color=BOUND, linestyle="--", zorder=0)
    ax.set(xscale="log", xlabel="MSE (s.d.²)", ylim=(-0.6, max(len(found), 1) - 0.4))
    ax.set_yticks(range(len(found)), [_name(runs, benchmark, model) for model in reversed(found)])
    plain_log_ticks(ax.xaxis)
    panel_title(ax, "", TITLES[benchmark])
    return ax


def _name(runs: Sequence[Mapping[str, float]], benchmark: str, model: str) -> str:
    """Label of a model with the median of its active channels, in order and, where they differ, shuffled."""
    counts = []
    for order in MARKS:
        name = f"{benchmark}.control.{model}.{order}.channels"
        if found := [run[name] for run in runs if name in run]:
            counts.append(f"{np.median(found):g}")
    return f"{LABELS[model]} ({' → '.join(dict.fromkeys(counts))})" if counts else LABELS[model]


def _mse(run: Mapping[str, float], benchmark: str, model: str, order: str) -> float | None:
    return run.get(f"{benchmark}.control.{model}.{order}.mse")


def figure_controls(runs: Sequence[Mapping[str, float]], *, source: str) -> Figure:
    """Held-out error of every control, time steps in order against shuffled, and the PCA bound.

    In brackets the active channels; two numbers where the shuffle changes them.

    Parameters
    ----------
    runs : sequence of mapping of str to float
        Scores of all controls, one mapping for each seed.
    source : {"measured", "twin"}
        Origin of the BEPS data.
    """
    figure = page_figure(2.4)
    axes = figure.subplots(1, 2)
    for ax, benchmark in zip(axes, TITLES, strict=True):
        plot_controls(ax, runs, benchmark)
    marks = [Line2D([], [], marker="o", color=edge, markerfacecolor=face, linestyle="")
             for edge, face, _ in MARKS.values()]
    bound = Line2D([], [], color=BOUND, linestyle="--")
    ranks = dict.fromkeys(f"{run[name]:g}" for run in runs for benchmark in TITLES
                          if (name := f"{benchmark}.control.pca.kept.channels") in run)
    labels = ["steps in order", "steps shuffled", f"PCA of {' and '.join(ranks)} (either order)" if ranks else "PCA"]
    figure.legend([*marks, bound], labels, loc="outside upper center", ncols=3)
    letter_panels(axes, "ab")
    label_source(figure, source)
    return figure
