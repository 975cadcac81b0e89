"""Course of the training, the number of channels, and error against the number of components (Figure S9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.figures.style import (
    BOUND,
    COLUMN,
    DATA,
    MODEL_COLOURS,
    VAE,
    label_source,
    letter_panels,
    page_figure,
    panel_title,
    plain_log_ticks,
)
from helpers.metrics import ACTIVE_KL_NAT


def training_curves(
    history: Mapping[str, np.ndarray],
    *,
    source: str,
    snapshot_epochs: np.ndarray | None = None,
    active: np.ndarray | None = None,
) -> Figure:
    """Error, β·KL, β and active channels over the epochs.

    Parameters
    ----------
    history : mapping of str to ndarray, shape (n_epochs,)
        "mse" (s.d.²), "kl" (nat, summed over latents) and "beta" of every epoch.
    source : {"measured", "twin", "toy"}
        Origin of the training data.
    snapshot_epochs, active : ndarray, shape (n_snapshots,), optional
        Number of active channels and the epochs at which they were counted.
    """
    rows = 2 if active is None else 3
    figure = page_figure(1.0 + 0.65 * rows, COLUMN)
    axes = figure.subplots(rows, 1, sharex=True, height_ratios=[2, 1, 1][:rows])
    epochs = np.arange(1, len(history["mse"]) + 1)
    plot_loss_terms(axes[0], epochs, history)
    axes[1].step(epochs, history["beta"], color=VAE)
    axes[1].set_ylabel("β")
    if active is not None:
        axes[2].step(snapshot_epochs, active, "-", color=DATA, where="post")
        axes[2].set(ylabel="Active\nchannels", ylim=(0, None))
        axes[2].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[-1].set_xlabel("Epoch")
    letter_panels(axes, "abc"[:rows])
    label_source(figure, source)
    return figure


def plot_loss_terms(
    ax: Axes, epochs: np.ndarray, history: Mapping[str, np.ndarray]
) -> Axes:
    """Mean squared error and β·KL (where β is not zero) over the epochs."""
    penalty = history["beta"] * history["kl"]
    ax.plot(epochs, history["mse"], color=DATA, label="MSE (s.d.²)")
    ax.plot(epochs, np.where(penalty > 0, penalty, np.nan), color=VAE, label="β·KL (nat)")
    ax.set(ylabel="Loss terms", yscale="log")
    plain_log_ticks(ax.yaxis)
    ax.legend(ncols=2)
    return ax


def channels_found(
    coordinate_errors: np.ndarray, found: int, snapshots: Mapping[str, np.ndarray], *, shown: int, source: str
) -> Figure:
    """How many channels the spectra need, and what each channel carries as β changes.

    Parameters
    ----------
    coordinate_errors : ndarray, shape (candidates,)
        Error with 1, 2, … coordinates of the spectra (see `helpers.coordinates`).
    found : int
        Number at the elbow of that curve.
    snapshots : mapping of str to ndarray, shape (n_snapshots, …)
        "snapshot_beta", "snapshot_mse" (s.d.²) and "snapshot_kl" (…, latents) in nat.
    shown : int
        Index of the chosen snapshot.
    source : {"measured", "twin", "toy"}
        Origin of the training data.
    """
    figure = page_figure(2.1)
    elbow, error, carried = figure.subplots(1, 3)
    numbers = np.arange(1, len(coordinate_errors) + 1)
    elbow.plot(numbers, coordinate_errors, ".-", color=DATA)
    elbow.plot(numbers[[0, -1]], coordinate_errors[[0, -1]], ":", color="0.6", label="line between the ends")
    elbow.plot(found, coordinate_errors[found - 1], "o", color=VAE, markersize=6, label=f"elbow: {found}")
    elbow.set(xlabel="Coordinates kept", ylabel="Error of neighbours (s.d.²)", yscale="log")
    elbow.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    elbow.legend()
    beta, kl = snapshots["snapshot_beta"], snapshots["snapshot_kl"]
    at_work = beta > 0
    for ax in (error, carried):
        ax.set(xscale="log", xlabel="β, in the order of training")
        plain_log_ticks(ax.xaxis)
        if beta[-1] < beta[at_work][0]:
            ax.invert_xaxis()
    error.plot(beta[at_work], snapshots["snapshot_mse"][at_work], ".-", color=DATA)
    if at_work[shown]:
        error.plot(beta[shown], snapshots["snapshot_mse"][shown], "o", color=VAE, markersize=6, label="shown")
        error.legend()
    error.set(ylabel="MSE (s.d.²)", yscale="log")
    active = (kl > ACTIVE_KL_NAT).any(axis=0)
    for channel in np.flatnonzero(active):
        carried.plot(beta[at_work], kl[at_work, channel], ".-", color=VAE)
    carried.axhline(ACTIVE_KL_NAT, color="0.6", linestyle=":")
    counted = (kl[shown] > ACTIVE_KL_NAT).sum()
    carried.set(ylabel="KL of each channel (nat)", ylim=(0, None))
    for ax in (elbow, error):
        plain_log_ticks(ax.yaxis)
    panel_title(carried, "", f"{counted} active")
    letter_panels((elbow, error, carried), "abc")
    label_source(figure, source)
    return figure


@dataclass(frozen=True)
class Errors:
    """Error of linear models of growing size, and of the fitted models.

    Parameters
    ----------
    title : str
        Benchmark.
    pca_mse : ndarray, shape (n_components,)
        Mean squared error (s.d.²) of PCA with 1, 2, … components.
    models : mapping of str to tuple of (int, float)
        Number of components (active channels for the β-VAE) and error by model name.
    paper : mapping of str to tuple of (int, float)
        The same as the paper states them.
    """

    title: str
    pca_mse: np.ndarray
    models: Mapping[str, tuple[int, float]]
    paper: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def plot_component_errors(ax: Axes, errors: Errors) -> Axes:
    """Draw the PCA bound as a curve and each model as a point."""
    components = np.arange(1, len(errors.pca_mse) + 1)
    ax.plot(components, errors.pca_mse, ".-", color=BOUND, label="PCA: bound of linear models")
    for name, (n, mse) in errors.models.items():
        ax.plot(n, mse, "D", color=MODEL_COLOURS[name], markersize=5, label=name)
    for name, (n, mse) in errors.paper.items():
        ax.plot(n, mse, "D", color=MODEL_COLOURS[name], markersize=5, markerfacecolor="none",
                label=f"{name}, paper")
    ax.set(xlabel="Components", ylabel="MSE (s.d.²)", yscale="log")
    plain_log_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    panel_title(ax, "", errors.title)
    return ax


def figure_s9(toy: Errors, beps: Errors, *, source: str) -> Figure:
    """Figure S9: mean squared error against the number of components.

    Parameters
    ----------
    toy, beps : Errors
        The two benchmarks.
    source : {"measured", "twin"}
        Origin of the BEPS data.
    """
    figure = page_figure(2.6, 5.0)
    axes = figure.subplots(1, 2)
    for ax, errors in zip(axes, (toy, beps), strict=True):
        plot_component_errors(ax, errors)
    named = dict(zip(*axes[0].get_legend_handles_labels()[::-1], strict=True))
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=5, columnspacing=1.2)
    letter_panels(axes, "ab")
    label_source(figure, source)
    return figure
