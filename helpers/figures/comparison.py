"""Models beside one another: linear models of equal size, PCA of every size (Figure S9), features of the loops.

`toy` and `beps` are the errors on the two benchmarks; `source` is that of the loops (see `Look`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import Look
from helpers.figures.maps import map_height, plot_map
from helpers.figures.style import BOUND, DATA, DL, MODEL_COLOURS, VAE, letter_panels, page_panels, plain_log_ticks
from helpers.linear import Baseline

MARKERS = ("o", "s", "^", "v")
OTHERS = {"paper's network, 1/25": "^", "kernel ridge": "s"}  # models of Figure S9 without a colour of their own
BESIDE = {"kernel ridge": 0.4}  # drawn so far beside its number of components, where it would hide another
SIZES = (1, 3, 5, 8, 12, 16)
SHOWN_FEATURES = {
    "coercive_positive_V": "Coercive\nvoltage + (V)",
    "imprint_V": "Imprint (V)",
    "loop_area_arb_V": "Loop area\n(10⁻³ arb. u. V)",
    "softening_negative_kHz": "Softening −\n(kHz)",
    "softening_positive_kHz": "Softening +\n(kHz)",
    "hardening_negative_kHz": "Hardening −\n(kHz)",
    "hardening_positive_kHz": "Hardening +\n(kHz)",
    "concavity_positive": "Concavity +",
}
FACTORS = {"loop_area_arb_V": 1e3}


@dataclass(frozen=True)
class BaselineErrors:
    """Errors of the same models at several sizes."""

    title: str  # benchmark, and which spectra the errors are of
    names: Sequence[str]  # models; that called "PCA" gives the lines
    mse: Mapping[int, np.ndarray]  # (n_models,): mean squared error (s.d.²) by number of components
    converged: Mapping[int, np.ndarray]  # bool (n_models,): whether the fit stopped by its own tolerance

    @classmethod
    def of(cls, title: str, fitted: Mapping[int, Sequence[Baseline]]) -> Self:
        """Of what `helpers.linear.compare` returns, by number of components."""
        names = [model.name for model in next(iter(fitted.values()))]
        return cls(title, names, {n: np.array([model.mse for model in models]) for n, models in fitted.items()},
                   {n: np.array([model.converged for model in models]) for n, models in fitted.items()})


def plot_baselines(ax: Axes, errors: BaselineErrors) -> Axes:
    """One row per model, one marker per size, PCA of each size as a line; a ring where a fit ended at its limit."""
    rows, pca = np.arange(len(errors.names)), list(errors.names).index("PCA")
    colours = [BOUND if name == "PCA" else DL if "DL" in name else DATA for name in errors.names]
    for (n, mse), marker in zip(errors.mse.items(), MARKERS, strict=False):
        ax.scatter(mse, rows, c=colours, marker=marker, s=14, zorder=2)
        ax.plot([], [], marker, color="0.4", label=f"n = {n}")  # for the legend, as no model's colour stands for all
        bound = ax.axvline(mse[pca], color=BOUND, linestyle="--", linewidth=0.8, zorder=0)
        short = ~np.asarray(errors.converged[n], bool)
        ring = ax.scatter(mse[short], rows[short], s=55, facecolors="none", edgecolors="0.5", linewidths=0.6)
    bound.set_label("PCA of that size")
    ring.set_label("ended at its limit")
    ax.set(xscale="log", xlabel="MSE (s.d.²)", yticks=rows, yticklabels=errors.names, ylim=(len(rows) - 0.4, -0.6),
           title=errors.title, axisbelow=True)
    plain_log_ticks(ax.xaxis)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="0.92", linewidth=0.6)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4, columnspacing=1.0)
    return ax


def figure_baselines(toy: BaselineErrors, beps: BaselineErrors, *, source: str) -> Figure:
    """Error of every linear model at equal size, on spectra that it was not fitted on."""
    _, axes = page_panels(2.7, 1, 2, source=source)
    for ax, errors in zip(axes, (toy, beps), strict=True):
        plot_baselines(ax, errors)
    return letter_panels(axes)


@dataclass(frozen=True)
class Errors:
    """Error of linear models of growing size, and of the fitted models."""

    title: str  # benchmark
    pca_mse: np.ndarray  # (n_components,): mean squared error (s.d.²) of PCA with 1, 2, … components
    # Number of components (active channels of a β-VAE) and error, of one or several runs.
    models: Mapping[str, tuple[int | Sequence[int], float | Sequence[float]]]
    paper: Mapping[str, tuple[int, float]] = field(default_factory=dict)  # the same as the paper states them
    # Active channels and error at each snapshot of a training, by model.
    paths: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    noise: float | None = None  # variance of the noise white along the steps, which few channels cannot follow


def plot_component_errors(ax: Axes, errors: Errors) -> None:
    """Draw the PCA bound as a curve and each model as a point."""
    components = np.arange(1, len(errors.pca_mse) + 1)
    ax.plot(components, errors.pca_mse, ".-", color=BOUND, label="PCA: best linear model in training")
    if errors.noise is not None:
        ax.axhline(errors.noise, color="0.5", linestyle=":", label="noise of the loops")
    for (name, (active, mse)), style in zip(errors.paths.items(), ("-", "-."), strict=False):
        numbers = np.unique(active[active > 0])
        ax.plot(numbers, [mse[active == n].min() for n in numbers], style, color=VAE, label=f"{name}, along β")
    for name, (n, mse) in errors.models.items():
        ax.plot(np.add(n, BESIDE.get(name, 0)), mse, OTHERS.get(name, "D"), color=MODEL_COLOURS.get(name, DATA),
                markersize=4, markerfacecolor="none" if name in OTHERS else None, label=name)
    for name, (n, mse) in errors.paper.items():
        ax.plot(n, mse, "D", color=MODEL_COLOURS[name], markersize=5, markerfacecolor="none", label=f"{name}, stated")
    ax.set(xlabel="Components", ylabel="MSE (s.d.²)", yscale="log", title=errors.title)
    plain_log_ticks(ax.yaxis)
    ax.set_xticks([n for n in SIZES if n <= len(components)])


def figure_s9(toy: Errors, beps: Errors, *, source: str) -> Figure:
    """Figure S9: mean squared error against the number of components."""
    figure, axes = page_panels(2.8, 1, 2, 5.0, source)
    for ax, errors in zip(axes, (toy, beps), strict=True):
        plot_component_errors(ax, errors)
    named = {name: handle for ax in axes for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=3, columnspacing=1.2)
    return letter_panels(axes)


def figure_loop_features(measured: Mapping[str, np.ndarray], models: Mapping[str, Mapping[str, np.ndarray]],
                         look: Look) -> Figure:
    """Maps of features of the measured loops (top), and the error of each model in them, on one scale a column (below).

    `measured`, and `models` by name, are maps (rows, columns) by feature of `helpers.loops.loop_features`; those in
    SHOWN_FEATURES are drawn.
    """
    names = [name for name in SHOWN_FEATURES if name in measured]
    height = 7.2 / len(names) * map_height(next(iter(measured.values())).shape, look.orientation)
    figure, axes = page_panels((height + 0.05) * (1 + len(models)) + 0.75, 1 + len(models), len(names),
                               source=look.source, squeeze=False)
    bare = replace(look.orientation, size_um=None)  # scale bars at the top are enough
    for column, name in zip(axes.T, names, strict=True):
        factor = FACTORS.get(name, 1.0)
        values = factor * measured[name]
        errors = [factor * features[name] - values for features in models.values()]
        plot_map(column[0], values, look.orientation, norm=Normalize(*np.nanpercentile(values, [1, 99])))
        column[0].set_title(SHOWN_FEATURES[name], loc="center")
        signed = CenteredNorm(0.0, halfrange=np.nanpercentile(np.abs(errors), 98))
        for ax, error in zip(column[1:], errors, strict=True):
            plot_map(ax, error, bare, norm=signed)
        for ax in column[[0, -1]]:
            bar = figure.colorbar(ax.images[0], ax=ax, location="bottom", shrink=0.9, aspect=14, pad=0.03)
            bar.ax.locator_params(nbins=3)
            bar.ax.xaxis.set_major_formatter("{x:g}")
            bar.outline.set_visible(False)
            bar.set_label("error" if ax is column[-1] else "", labelpad=1)
    loops = "measured" if look.source == "measured" else "simulated"
    labels = [loops.capitalize(), *(f"{model}\n− {loops}".replace("companion's ", "companion's\n") for model in models)]
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[], ylabel=label)
        ax.spines[:].set_visible(False)
    return figure
