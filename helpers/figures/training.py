"""Course of a training, the number of channels, and the paper's own network and schedule at a part of its epochs.

`source` is that of the training data, as in `helpers.figures.inputs.Look`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.figures.style import BOUND, COLUMN, DATA, VAE, letter_panels, page_figure, plain_log_ticks
from helpers.scores import ACTIVE_KL_NAT

TITLES = {"toy": "Toy", "beps": "BEPS, published film"}


def training_curves(history: Mapping[str, np.ndarray], *, source: str, snapshot_epochs: np.ndarray,
                    active: np.ndarray) -> Figure:
    """Error, β·KL, β and active channels over the epochs.

    Parameters
    ----------
    history : mapping of str to ndarray, shape (n_epochs,)
        "mse" (s.d.²), "kl" (nat, summed over latents) and "beta" of every epoch.
    snapshot_epochs, active : ndarray, shape (n_snapshots,)
        Number of active channels and the epochs at which they were counted.
    """
    figure = page_figure(2.95, COLUMN, source)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[2, 1, 1])
    epochs = np.arange(1, len(history["mse"]) + 1)
    axes[0].plot(epochs, history["mse"], color=DATA, label="MSE (s.d.²)")
    penalty = history["beta"] * history["kl"]  # zero at first, which a logarithmic axis cannot show
    axes[0].plot(epochs, np.where(penalty > 0, penalty, np.nan), color=VAE, label="β·KL (nat)")
    axes[0].set(ylabel="Loss terms", yscale="log")
    plain_log_ticks(axes[0].yaxis)
    axes[0].legend(ncols=2)
    axes[1].step(epochs, history["beta"], color=VAE)
    axes[1].set_ylabel("β")
    axes[2].step(snapshot_epochs, active, "-", color=DATA, where="post")
    axes[2].set(xlabel="Epoch", ylabel="Active\nchannels", ylim=(0, None))
    axes[2].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    letter_panels(axes)
    return figure


def channels_found(coordinate_errors: np.ndarray, found: int, snapshots: Mapping[str, np.ndarray], *, shown: int,
                   source: str) -> Figure:
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
    """
    figure = page_figure(2.1, source=source)
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
    carried.plot(beta[at_work], kl[at_work][:, active], ".-", color=VAE)
    carried.axhline(ACTIVE_KL_NAT, color="0.6", linestyle=":")
    counted = (kl[shown] > ACTIVE_KL_NAT).sum()
    carried.set(ylabel="KL of each channel (nat)", ylim=(0, None))
    for ax in (elbow, error):
        plain_log_ticks(ax.yaxis)
    carried.set_title(f"{counted} active")
    letter_panels((elbow, error, carried))
    return figure


def figure_paper_recipe(parts: Mapping[tuple[str, int], Sequence[Mapping]]) -> Figure:
    """Error above, active channels below, along the epochs of every run.

    Parameters
    ----------
    parts : mapping of (benchmark, part) to sequence of mapping
        Runs of one part of the epochs, one for each seed, as `helpers.paper_vae.by_part` gives them.
    """
    figure = page_figure(2.9)
    axes = figure.subplots(2, len(parts), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2))
    for column, ((benchmark, part), runs) in zip(axes.T, parts.items(), strict=True):
        _plot_runs(*column, runs)
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        column[0].set_title(f"{TITLES[benchmark]}, 1/{part} of the epochs{seeds}")
    axes[0, 0].set_ylabel("MSE (s.d.²)")
    axes[1, 0].set_ylabel("Active channels")
    plain_log_ticks(axes[0, 0].yaxis)
    model, bound = axes[0, -1].lines[:2]
    axes[0, -1].legend([model, bound], ["the paper's β-VAE", "PCA, as many\ncomponents as active"])
    letter_panels(axes.flat)
    return figure


def _plot_runs(errors: Axes, channels: Axes, runs: Sequence[Mapping]) -> None:
    """Course of the error beside that of PCA with as many components as active channels, and their number."""
    for run in runs:
        course = run["course"]
        bound = np.array(run["pca_mse"])[np.maximum(course["active"], 1) - 1]
        errors.plot(course["epoch"], course["mse"], color=VAE, linewidth=0.8)
        errors.step(course["epoch"], bound, color=BOUND, where="mid", linewidth=0.8)
        channels.step(course["epoch"], course["active"], color=VAE, where="mid", linewidth=0.8)
    training = runs[0]["training"]
    for ax in (errors, channels):
        ax.axvline(training["priming"], color="0.6", linestyle=":")
    channels.annotate("β rises from here", (training["priming"], 0.5), xytext=(2, 1), textcoords="offset points",
                      fontsize=6, color="0.4")
    errors.set_yscale("log")
    channels.set(xlabel="Epoch", xlim=(0, training["epochs"]), ylim=(0, 17))
    channels.yaxis.set_major_locator(MaxNLocator(4, integer=True))
