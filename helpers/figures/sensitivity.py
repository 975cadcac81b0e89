"""What an error owes to the kind of model, the order of the steps and each setting: controls and sweeps.

`source` is that of the loops, as in `helpers.figures.inputs.Look`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures.style import BOUND, DATA, DL, VAE, letter_panels, page_panels, plain_log_ticks

TITLES = {"toy": "toy, gamut", "beps": "BEPS, held-out blocks"}
LABELS = {
    "dense": "dense autoencoder", "lstm": "LSTM autoencoder",
    "vae_full": "companion's β-VAE", "vae_few_latents": "… no spare channels",
    "vae_mixed": "… ordinary decoder", "vae_beta0": "… β = 0", "vae_dense_encoder": "… dense encoder",
}
# Colour, filled or open, and place above or below the line of the model.
MARKS = {"kept": (DATA, DATA, 0.12), "shuffled": (DATA, "white", -0.12)}
UNSETTLED = "0.65"  # colour of a training that had not converged
MODELS = {"vae": ("companion's β-VAE", VAE), "dl": ("DL", DL)}
NAMES = {"units": "LSTM units", "latents": "latents", "learning_rate": "learning rate", "patch": "steps at a time",
         "beta_step": "step of β", "first_share": "first share of β·KL", "atoms": "atoms n", "sparsity": "λ"}
COLUMNS = 5


def _plot_controls(ax: Axes, runs: Sequence[Mapping[str, float]], benchmark: str, wide: float) -> None:
    """Draw each run of each model as a point, and the median of kept and shuffled joined by a line."""

    def found(model: str, order: str, score: str = "mse") -> list[float]:
        name = f"{benchmark}.control.{model}.{order}.{score}"
        return [run[name] for run in runs if name in run]

    models = [model for model in reversed(LABELS) if found(model, "kept")]
    labels = []
    for height, model in enumerate(models):
        orders = {order: values for order in MARKS if (values := found(model, order))}
        for order, values in orders.items():
            edge, face, above = MARKS[order]
            if 0 in found(model, order, "converged"):
                edge = UNSETTLED
                face = face if face == "white" else edge
            ax.plot(values, np.full(len(values), height + above), "o", color=edge, markerfacecolor=face, markersize=4,
                    gid="run")
        ax.plot([np.median(values) for values in orders.values()], [height + MARKS[order][2] for order in orders],
                color="0.6", zorder=1)
        # The median of the active channels, in order and, where they differ, shuffled.
        counts = dict.fromkeys(f"{np.median(n):g}" for order in MARKS if (n := found(model, order, "channels")))
        labels.append(f"{LABELS[model]} ({' → '.join(counts)})" if counts else LABELS[model])
    if bounds := found("pca", "kept"):
        ax.axvline(np.median(bounds), color=BOUND, linestyle="--", zorder=0)
    ax.axvline(wide, color=BOUND, linestyle=":", zorder=0)
    ax.set(xscale="log", xlabel="MSE (s.d.²)", ylim=(-0.6, max(len(models), 1) - 0.4), title=TITLES[benchmark])
    ax.set_yticks(range(len(models)), labels)
    plain_log_ticks(ax.xaxis)


def figure_controls(runs: Sequence[Mapping[str, float]], wide: Mapping[str, float], *, source: str) -> Figure:
    """Held-out error of every control, time steps in order against shuffled, and the PCA bound.

    In brackets the active channels; two numbers where the shuffle changes them. `runs` are the scores of all controls,
    one mapping for each seed, as `helpers.controls.run_control` names them; `wide`, by benchmark ("toy", "beps"), is
    the error of PCA of 16 components.
    """
    figure, axes = page_panels(2.4, 1, 2, source=source)
    for ax, benchmark in zip(axes, TITLES, strict=True):
        _plot_controls(ax, runs, benchmark, wide[benchmark])
    marks = [Line2D([], [], marker="o", color=edge, markerfacecolor=face, linestyle="")
             for edge, face, _ in MARKS.values()]
    marks += [Line2D([], [], marker="o", color=UNSETTLED, linestyle=""), Line2D([], [], color=BOUND, linestyle="--"),
              Line2D([], [], color=BOUND, linestyle=":")]
    ranks = dict.fromkeys(f"{run[name]:g}" for run in runs for benchmark in TITLES
                          if (name := f"{benchmark}.control.pca.kept.channels") in run)
    labels = ["steps in order", "steps shuffled", "not converged",
              f"PCA of {' and '.join(ranks)} (either order)" if ranks else "PCA", "PCA of 16"]
    figure.legend(marks, labels, loc="outside upper center", ncols=5)
    return letter_panels(axes)


def _plot_sensitivity(ax: Axes, errors: Mapping[float, Mapping[int, float]], own: float, model: str) -> None:
    """Draw a point for each seed and a line through the medians; the profile's own value is filled."""
    title, colour = MODELS[model]
    values = sorted(errors)
    at = range(len(values))
    for x, value in zip(at, values, strict=True):
        mse = list(errors[value].values())
        ax.plot([x] * len(mse), mse, "o", color=colour, markerfacecolor=colour if value == own else "white",
                markersize=4, gid="seed")
    ax.plot(at, [np.median(list(errors[value].values())) for value in values], color=colour, linewidth=0.7, zorder=1)
    ax.set_xticks(at, [f"{value:g}" for value in values])
    ax.set(yscale="log", xlim=(-0.4, len(values) - 0.6), title=title)
    plain_log_ticks(ax.yaxis)


def figure_sensitivity(found: Mapping[str, Mapping[int, float]], own: Mapping[str, float], *, source: str) -> Figure:
    """Held-out error of the β-VAE and of dictionary learning along every setting varied; a ValueError if none was.

    `found` are the finished cells by name and seed: ``sensitivity.<model>.<setting>=<value>``, and the profile's own
    errors ``beps.<model>.mse_heldout``, where they are there; `own` is the profile's own value of each setting.
    """
    panels = _panels(found, own)
    if not panels:
        raise ValueError("no setting was varied: expected cells vary.…; list some in the file of the sweep")
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    # One scale, so that a flat line is a model that minds the setting little.
    figure, axes = page_panels(0.5 + 1.5 * rows, rows, columns, source=source, squeeze=False, sharey=True)
    for ax, ((model, name), errors) in zip(axes.flat, sorted(panels.items(), reverse=True), strict=False):
        _plot_sensitivity(ax, errors, own[name], model)
        ax.set_xlabel(NAMES.get(name, name))
    for ax in axes.flat[len(panels):]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("held-out MSE (s.d.²)")
    marks = [Line2D([], [], marker="o", color="0.3", markerfacecolor=face, linestyle="") for face in ("0.3", "white")]
    figure.legend(marks, ["value of the profile", "other value, one point a seed"], loc="outside upper center", ncols=2)
    return letter_panels(figure.axes)


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
