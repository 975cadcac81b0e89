"""What an error owes to the kind of model, the order of the steps and each setting: controls and sweeps."""

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
    VAE,
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
COLOURS = {"vae": VAE, "dl": DL}
MODELS = {"vae": "β-VAE", "dl": "DL"}
NAMES = {"units": "LSTM units", "latents": "latents", "learning_rate": "learning rate", "end": "last β over first",
         "beta_step": "step of β", "first_share": "first share of β·KL", "atoms": "atoms n", "sparsity": "λ"}
COLUMNS = 5


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
