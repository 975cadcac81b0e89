"""Held-out error against each setting that a sweep has varied."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures.style import (
    DL,
    VAE,
    label_source,
    page_figure,
    panel_title,
    plain_log_ticks,
)

COLOURS = {"vae": VAE, "dl": DL}
MODELS = {"vae": "β-VAE", "dl": "DL"}
NAMES = {"units": "LSTM units", "latents": "latents", "learning_rate": "learning rate", "end": "last β over first",
         "beta_step": "step of β", "first_share": "first share of β·KL", "atoms": "atoms n", "sparsity": "λ"}
COLUMNS = 5


def plot_sensitivity(ax: Axes, errors: Mapping[float, Mapping[int, float]], own: float, model: str) -> Axes:
    """Draw a point for each seed and a line through the medians; the profile's own value is filled.

    Parameters
    ----------
    errors : mapping of float to mapping of int to float
        Held-out MSE (s.d.²) by value of the setting and by seed.
    own : float
        Value of the profile.
    model : {"vae", "dl"}
    """
    values = sorted(errors)
    colour = COLOURS[model]
    for at, value in enumerate(values):
        mse = list(errors[value].values())
        ax.plot([at] * len(mse), mse, "o", color=colour, markerfacecolor=colour if value == own else "white",
                markersize=4, gid="seed")
    ax.plot(range(len(values)), [np.median(list(errors[value].values())) for value in values],
            color=colour, linewidth=0.7, zorder=1)
    ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    ax.set(yscale="log", xlim=(-0.4, len(values) - 0.6))
    plain_log_ticks(ax.yaxis)
    return ax


def figure_sensitivity(found: Mapping[str, Mapping[int, float]], own: Mapping[str, float], *, source: str) -> Figure:
    """Held-out error of the β-VAE and of dictionary learning along every setting varied.

    Parameters
    ----------
    found : mapping of str to mapping of int to float
        Finished cells by name and seed: ``sensitivity.<model>.<setting>=<value>``, and the
        profile's own errors ``beps.<model>.mse_heldout``, where they are there.
    own : mapping of str to float
        The profile's own value of each setting.
    source : {"measured", "twin"}
        Origin of the BEPS data.

    Raises
    ------
    ValueError
        If no setting was varied.
    """
    panels = _panels(found, own)
    if not panels:
        raise ValueError("no setting was varied: expected cells vary.…; list some in the file of the sweep")
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = page_figure(0.5 + 1.5 * rows)
    # One scale, so that a flat line is a model that minds the setting little.
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for ax, letter, ((model, name), errors) in zip(axes, "abcdefghijklmnop", sorted(panels.items(), reverse=True)):
        plot_sensitivity(ax, errors, own[name], model)
        panel_title(ax, letter, MODELS[model])
        ax.set_xlabel(NAMES.get(name, name))
    for ax in axes[len(panels):]:
        ax.remove()
    for ax in figure.axes[::columns]:
        ax.set_ylabel("held-out MSE (s.d.²)")
    marks = [Line2D([], [], marker="o", color="0.3", markerfacecolor=face, linestyle="") for face in ("0.3", "white")]
    figure.legend(marks, ["value of the profile", "other value, one point a seed"], loc="outside upper center", ncols=2)
    label_source(figure, source)
    return figure


def _panels(found: Mapping[str, Mapping[int, float]],
            own: Mapping[str, float]) -> dict[tuple[str, str], dict[float, dict[int, float]]]:
    """Errors by (model, setting), value and seed; the profile's own at the seeds of the others."""
    panels: dict[tuple[str, str], dict[float, dict[int, float]]] = {}
    for cell, errors in found.items():
        if cell.startswith("sensitivity.") and "=" in cell:
            _, model, setting = cell.split(".", 2)
            name, value = setting.split("=")
            panels.setdefault((model, name), {})[float(value)] = dict(errors)
    for (model, name), by_value in panels.items():
        seeds = {seed for errors in by_value.values() for seed in errors}
        of_profile = {seed: mse for seed, mse in found.get(f"beps.{model}.mse_heldout", {}).items() if seed in seeds}
        if of_profile:
            by_value.setdefault(float(own[name]), of_profile)
    return panels
