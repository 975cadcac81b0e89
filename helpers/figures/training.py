"""Course of a training, the number of channels, and the paper's own network and schedule at a part of its epochs.

`source` is that of the training data, as in `helpers.figures.inputs.Look`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.figures.style import BOUND, COLUMN, DATA, VAE, letter_panels, page_panels, plain_log_ticks
from helpers.scores import ACTIVE_KL_NAT

DASHES = ("-", "--", ":")  # of the seeds
TITLES = {"toy": "Toy", "beps": "BEPS, published film"}


def training_curves(history: Mapping[str, np.ndarray], *, source: str, snapshot_epochs: np.ndarray,
                    active: np.ndarray) -> Figure:
    """Error, β·KL, β and active channels over the epochs.

    `history` holds "mse" (s.d.²), "kl" (nat, summed over latents) and "beta" of every epoch, shape (n_epochs,);
    `active` are numbers of channels, counted at the `snapshot_epochs`, shape (n_snapshots,).
    """
    figure, axes = page_panels(2.95, 3, 1, COLUMN, source, sharex=True, height_ratios=[2, 1, 1])
    epochs = np.arange(1, len(history["mse"]) + 1)
    axes[0].plot(epochs, history["mse"], color=DATA, label="MSE (s.d.²)")
    penalty = history["beta"] * history["kl"]  # zero at first, which a logarithmic axis cannot show
    axes[0].plot(epochs, np.where(penalty > 0, penalty, np.nan), color=VAE, label="β·KL (s.d.²)")
    axes[0].set(ylabel="Loss terms", yscale="log")
    plain_log_ticks(axes[0].yaxis)
    axes[0].legend(ncols=2)
    axes[1].step(epochs, np.where(history["beta"] > 0, history["beta"], np.nan), color=VAE)
    axes[1].set(ylabel="β", yscale="log")
    plain_log_ticks(axes[1].yaxis)
    axes[2].step(snapshot_epochs, active, "-", color=DATA, where="post")
    axes[2].set(xlabel="Epoch", ylabel="Active\nchannels", ylim=(0, None))
    axes[2].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    letter_panels(axes)
    beta = history["beta"][history["beta"] > 0] if penalty.any() else np.zeros(1)
    drawn = {"the error goes": history["mse"], "β": beta, "the number of active channels": active}
    ends = (f"{name} from {values[0]:.2g} to {values[-1]:.2g}" for name, values in drawn.items())
    figure.alt = f"Curves over {len(epochs)} epochs: {', '.join(ends)}."
    return figure


def path_of_beta(snapshots: Mapping[str, np.ndarray], *, shown: int, pca_mse: np.ndarray, source: str,
                 waking: np.ndarray | None = None) -> Figure:
    """What happens along the path of β: the error, what each channel carries, and how many are active.

    `snapshots` hold "snapshot_beta", "snapshot_mse" (s.d.²) and "snapshot_kl" (nat), shape (n_snapshots, n_latents);
    those with β = 0 are left out, and `shown` is that of the other figures. `pca_mse` is the error of PCA with 1, 2, …
    components; `waking` the β at which a linear Gaussian model would wake its channels (`helpers.schedule`).
    """
    at_work = snapshots["snapshot_beta"] > 0
    beta, mse, kl = (snapshots[f"snapshot_{name}"][at_work] for name in ("beta", "mse", "kl"))
    active = (kl > ACTIVE_KL_NAT).sum(axis=1)
    _, axes = page_panels(2.2, 1, 3, source=source)
    error, carried, counted = axes
    error.plot(beta, mse, ".-", color=VAE, label="the network")
    bound = np.where(active > 0, pca_mse[np.clip(active, 1, len(pca_mse)) - 1], np.nan)
    error.step(beta, bound, color=BOUND, where="mid", label="PCA, as many\nas active")
    if at_work[shown]:
        error.plot(snapshots["snapshot_beta"][shown], snapshots["snapshot_mse"][shown], "o", color=DATA, label="shown")
    error.set(ylabel="MSE (s.d.²)", yscale="log")
    error.legend()
    plain_log_ticks(error.yaxis)
    for last, colour in ((False, "0.65"), (True, VAE)):  # those active at the end in front
        of_kind = (kl > ACTIVE_KL_NAT).any(axis=0) & ((kl[-1] > ACTIVE_KL_NAT) == last)
        carried.plot(beta, kl[:, of_kind], ".-", color=colour, markersize=3)
    carried.axhline(ACTIVE_KL_NAT, color="0.6", linestyle=":")
    carried.set(ylabel="KL of each channel (nat)", ylim=(0, None))
    counted.step(beta, active, color=VAE, where="mid", label="the network")
    if waking is not None:
        counted.step(waking, np.arange(1, len(waking) + 1), "--", color=BOUND, where="post", label="a linear model")
        counted.legend()
    counted.set(ylabel="Active channels", ylim=(0, kl.shape[1] + 0.5))
    counted.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    for ax in axes:
        ax.set(xscale="log", xlabel="β (training runs left to right)")
        plain_log_ticks(ax.xaxis)
        if beta[-1] < beta[0]:
            ax.invert_xaxis()
    return letter_panels(axes)


def figure_paper_runs(parts: Mapping[tuple[str, int], Sequence[Mapping]]) -> Figure:
    """Error above, active channels below, along the epochs of every run, as `helpers.paper_runs.by_part` gives them."""
    _, axes = page_panels(2.9, 2, len(parts), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2))
    for column, ((benchmark, part), runs) in zip(axes.T, parts.items(), strict=True):
        _plot_runs(*column, runs)
        seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
        column[0].set_title(f"{TITLES[benchmark]}, 1/{part} of the epochs{seeds}")
    axes[0, 0].set_ylabel("MSE (s.d.²)")
    axes[1, 0].set_ylabel("Active channels")
    plain_log_ticks(axes[0, 0].yaxis)
    model, bound = axes[0, -1].lines[:2]
    axes[0, -1].legend([model, bound], ["the paper's β-VAE", "PCA, as many\ncomponents as active"])
    return letter_panels(axes.flat)


def _plot_runs(errors: Axes, channels: Axes, runs: Sequence[Mapping]) -> None:
    """Course of the error beside that of PCA with as many components as active channels, and their number."""
    for run, dashes in zip(runs, DASHES, strict=False):
        course = run["course"]
        bound = np.array(run["pca_mse"])[np.maximum(course["active"], 1) - 1]
        errors.plot(course["epoch"], course["mse"], dashes, color=VAE, linewidth=0.8)
        errors.step(course["epoch"], bound, dashes, color=BOUND, where="mid", linewidth=0.8)
        channels.step(course["epoch"], course["active"], dashes, color=VAE, where="mid", linewidth=0.8)
    training = runs[0]["training"]
    for ax in (errors, channels):
        ax.axvline(training["priming"], color="0.6", linestyle=":")
    channels.annotate("β rises from here", (training["priming"], 0.5), xytext=(2, 1), textcoords="offset points",
                      fontsize=6, color="0.4")
    errors.set_yscale("log")
    channels.set(xlabel="Epoch", xlim=(0, training["epochs"]), ylim=(0, 17))
    channels.yaxis.set_major_locator(MaxNLocator(4, integer=True))
