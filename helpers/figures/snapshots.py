"""Embedding maps through the training: a row for each of some snapshots, or one behind a slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ipywidgets
import numpy as np
from IPython import get_ipython
from IPython.display import display

from helpers.figures.inputs import QUANTITIES, Look, Recorded
from helpers.figures.maps import map_height, plot_map, signed_norm
from helpers.figures.style import PAGE, PageFigure, page_figure

STRIP = 4  # snapshots of the static picture


@dataclass(frozen=True)
class Snapshots:
    """Maps of a training.

    Attributes
    ----------
    maps : ndarray, shape (n_snapshots, n_channels, rows, columns)
        Posterior means, the same channels in the same order at every snapshot; NaN at unusable pixels.
    kl : ndarray, shape (n_snapshots, n_channels)
        Mean KL of each channel (nat).
    epochs, beta, mse : ndarray, shape (n_snapshots,)
        Epoch, β and mean squared error (s.d.²).
    names : tuple of str
        Of the channels.
    look : Look
        Of the scan.
    """

    maps: np.ndarray
    kl: np.ndarray
    epochs: np.ndarray
    beta: np.ndarray
    mse: np.ndarray
    names: tuple[str, ...]
    look: Look

    @classmethod
    def of(cls, scan: Recorded, stored: Mapping[str, np.ndarray], stride: int = 1) -> Snapshots:
        """What notebook 3 keeps of the training on a scan: channels ever open, the largest KL first.

        Parameters
        ----------
        scan : helpers.scans.scan.Scan
        stored : mapping of str to ndarray
            Content of ``vae_beps.npz``.
        stride : int
            Take every so manieth row and column.
        """
        embeddings = stored["snapshot_embeddings"]
        order = [k for k in stored["order"] if embeddings[..., k].any()]
        maps = np.stack([scan.maps(codes)[:, ::stride, ::stride] for codes in embeddings[..., order]])
        return cls(maps, stored["snapshot_kl"][:, order], stored["snapshot_epochs"], stored["snapshot_beta"],
                   stored["snapshot_mse"], tuple(f"z{k + 1}" for k in order), Look.of(scan))

    @property
    def half(self) -> float:
        """Where the colour scale ends: fixed by the second half of the training, as in Movie S5."""
        return float(signed_norm(self.maps[len(self.maps) // 2:]).vmax)

    def title(self, index: int) -> str:
        """Epoch, β and error of a snapshot."""
        return f"epoch {self.epochs[index]}, β = {self.beta[index]:.3g}, error {self.mse[index]:.3g} s.d.²"


def training_strip(kept: Snapshots, chosen: Sequence[int]) -> PageFigure:
    """A row of maps, one of each channel, for each of the `chosen` snapshots; one colour bar for all."""
    count, tall = kept.maps.shape[1], map_height(kept.maps.shape, kept.look.orientation)
    width = min(PAGE, 1.1 * count)
    heights = np.full(len(chosen), width / count * tall + 0.35)
    heights[-1] += 0.3  # the colour bar
    figure = page_figure(heights.sum(), width, kept.look.source)
    norm = signed_norm(kept.maps[len(kept.maps) // 2:])
    lines = figure.subfigures(len(chosen), 1, squeeze=False, height_ratios=heights)[:, 0]
    for line, index in zip(lines, chosen, strict=True):
        line.suptitle(kept.title(index), x=0.01, ha="left", fontsize=7)
        axes = line.subplots(1, count, squeeze=False)[0]
        for ax, values, name in zip(axes, kept.maps[index], kept.names, strict=True):
            first_of_last = line is lines[-1] and ax is axes[0]
            plot_map(ax, values, kept.look.orientation, label=QUANTITIES["β-VAE"] if first_of_last else "", norm=norm)
            ax.set_title(name, pad=1.5)
    figure.alt = (f"Maps of {', '.join(kept.names)}, from left to right, at epoch "
                  f"{', '.join(str(kept.epochs[index]) for index in chosen)}, from top to bottom.")
    return figure


def attended() -> bool:
    """Whether a person sits at this kernel: a run by papermill takes no input."""
    shell = get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return bool(request.get("content", {}).get("allow_stdin"))


def show_training(kept: Snapshots) -> None:
    """Show the maps of a training: behind a slider where a person sits at the kernel, else some of them."""
    last = len(kept.maps) - 1
    if attended():
        slider = ipywidgets.SelectionSlider(
            # Short, since the slider cuts what is longer; the rest stands above the maps.
            options=[(f"epoch {epoch}", index) for index, epoch in enumerate(kept.epochs)], value=last,
            description="Snapshot", layout={"width": "100%"})
        ipywidgets.interact(lambda snapshot: display(training_strip(kept, [snapshot])), snapshot=slider)
    else:
        display(training_strip(kept, np.unique(np.linspace(0, last, STRIP).round().astype(int)).tolist()))
