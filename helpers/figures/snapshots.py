"""Embedding maps through the training: a row for each of some snapshots, or one behind a slider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import ipywidgets
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.colors import CenteredNorm
from matplotlib.figure import SubFigure

from helpers.figures.inputs import QUANTITIES, TOY, Look
from helpers.figures.maps import map_height, plot_map, signed_norm
from helpers.figures.style import DATA, PAGE, PageFigure, page_figure
from helpers.scores import ACTIVE_KL_NAT

STRIP = 4  # snapshots of the static picture, besides the one of the other figures
ALONG = 10  # maps side by side, at most
CLIPPED = 0.05  # share of the values beyond the colours from which a picture says so


@dataclass(frozen=True)
class Snapshots:
    """Maps of a training, the same channels in the same order at every snapshot."""

    maps: np.ndarray  # (n_snapshots, n_channels, rows, columns): posterior means; NaN at unusable pixels
    kl: np.ndarray  # (n_snapshots, n_channels): mean KL of each channel (nat)
    epochs: np.ndarray  # (n_snapshots,), as β and the mean squared error (s.d.²)
    beta: np.ndarray
    mse: np.ndarray
    names: tuple[str, ...]  # of the channels
    look: Look
    shown_epoch: int | None = None  # of the snapshot that other figures show

    @classmethod
    def of_picture(cls, shape: tuple[int, int], stored: Mapping[str, np.ndarray]) -> Self:
        """What notebook 3 keeps of a training on the toy: every channel over a painting of `shape`."""
        order = stored["order"]
        maps = np.moveaxis(stored["snapshot_embeddings"][..., order], -1, 1).reshape(-1, len(order), *shape)
        return cls._of(stored, order, maps, TOY)

    @classmethod
    def of(cls, scan, stored: Mapping[str, np.ndarray], stride: int = 1) -> Self:
        """What notebook 3 keeps of the training on a `Scan`: every channel that was stored, the largest KL first.

        `stored` is the content of ``vae_beps.npz``; of the rows and columns every `stride`-th is taken.
        """
        embeddings = stored["snapshot_embeddings"]
        order = [k for k in stored["order"] if embeddings[..., k].any()]
        maps = np.stack([scan.maps(codes)[:, ::stride, ::stride] for codes in embeddings[..., order]])
        return cls._of(stored, order, maps, Look.of(scan))

    @classmethod
    def _of(cls, stored: Mapping[str, np.ndarray], order: Sequence[int], maps: np.ndarray, look: Look) -> Self:
        epochs, beta, mse = (stored[f"snapshot_{name}"] for name in ("epochs", "beta", "mse"))
        names = tuple(f"z{k + 1}" for k in order)
        return cls(maps, stored["snapshot_kl"][:, order], epochs, beta, mse, names, look, int(epochs[stored["chosen"]]))

    @property
    def norm(self) -> CenteredNorm:
        """One colour scale for all maps, fixed by the second half of the training."""
        return signed_norm(self.maps[len(self.maps) // 2:])

    def title(self, index: int) -> str:
        """Epoch, β, error and active channels of a snapshot."""
        return (f"epoch {self.epochs[index]}, β = {self.beta[index]:.3g}, error {self.mse[index]:.3g} s.d.², "
                f"{(self.kl[index] > ACTIVE_KL_NAT).sum()} active")


def training_strip(kept: Snapshots, chosen: Sequence[int]) -> PageFigure:
    """Maps at each of the `chosen` snapshots, of every channel active in one of them; one colour bar for all.

    Below each name, grey while the channel is not active, stands the KL (nat).
    """
    shown = np.flatnonzero((kept.kl[list(chosen)] > ACTIVE_KL_NAT).any(axis=0))
    shown = shown if len(shown) else np.arange(1)
    lines, tall = -(-len(shown) // ALONG), map_height(kept.maps.shape, kept.look.orientation)
    columns = -(-len(shown) // lines)
    width = min(PAGE - 0.7, 1.1 * columns)
    height = lines * (width / columns * tall + 0.3) + 0.2
    figure = page_figure(len(chosen) * height, width + 0.7, kept.look.source)
    rows, aside = figure.subfigures(1, 2, width_ratios=[width, 0.7])
    for row, index in zip(rows.subfigures(len(chosen), 1, squeeze=False)[:, 0], chosen, strict=True):
        _draw_snapshot(row, kept, index, shown, (lines, columns))
    image = row.axes[0].images[0]
    bar = aside.colorbar(image, cax=aside.add_axes((0.05, 0.3, 0.15, 0.4)), extend="both")
    bar.set_label(QUANTITIES["companion's β-VAE"])
    figure.alt = (f"Maps of {', '.join(kept.names[channel] for channel in shown)}, from left to right, at epoch "
                  f"{', '.join(str(kept.epochs[index]) for index in chosen)}, from top to bottom.")
    return figure


def _draw_snapshot(row: SubFigure, kept: Snapshots, index: int, shown: np.ndarray, grid: tuple[int, int]) -> None:
    """Maps of the `shown` channels at one snapshot, in a grid of so many rows and columns, below its title."""
    bare, norm = replace(kept.look.orientation, size_um=None), kept.norm  # no room for scale bars
    drawn = kept.maps[index][shown]
    beyond = (np.abs(drawn) > norm.halfrange).sum() / np.isfinite(drawn).sum()
    clipped = f"; {beyond:.0%} clipped" if beyond > CLIPPED else ""
    row.suptitle(kept.title(index) + clipped, x=0.01, ha="left", fontsize=7)
    axes = row.subplots(*grid, squeeze=False).ravel()
    for ax, channel, values in zip(axes, shown, drawn, strict=False):
        nat = kept.kl[index][channel]
        plot_map(ax, values, bare, norm=norm)
        ax.set_title(f"{kept.names[channel]}\n{nat:.2g}", pad=1.5, fontsize=6,
                     color=DATA if nat > ACTIVE_KL_NAT else "0.5")
    for ax in axes[len(shown):]:
        ax.set_axis_off()


def show_training(kept: Snapshots) -> None:
    """Show the maps of a training: behind a slider where a person sits at the kernel, else some of them."""
    last, shell = len(kept.maps) - 1, get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    if request.get("content", {}).get("allow_stdin"):  # a run by papermill takes no input
        slider = ipywidgets.SelectionSlider(
            # Short, since the slider cuts what is longer; the rest stands above the maps.
            options=[(f"epoch {epoch}", index) for index, epoch in enumerate(kept.epochs)], value=last,
            description="Snapshot", layout={"width": "100%"})
        ipywidgets.interact(lambda snapshot: display(training_strip(kept, [snapshot])), snapshot=slider)
    else:
        spread = np.linspace(0, last, STRIP).round().astype(int)
        display(training_strip(kept, np.union1d(spread, np.flatnonzero(kept.epochs == kept.shown_epoch)).tolist()))
