"""Maps beside the loops generated while their channel is swept: Figures 5, S5 and S10."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from helpers.figures.inputs import PHYSICAL, Channel, Sweep
from helpers.figures.maps import TURNED, Orientation, map_height, plot_map, signed_norm
from helpers.figures.spectra import channel_values, plot_spectra
from helpers.figures.style import PAGE, SIGNED, label_source, page_figure, panel_title

VOLTAGE = "Voltage (V)"


def _draw_channel(
    axes: np.ndarray,
    voltage_V: np.ndarray,
    sweep: Sweep,
    index: int,
    *,
    n_lines: int,
    channels: Sequence[Channel],
    orientation: Orientation,
) -> None:
    """One row: the map, then each channel of the generated loops in the map's colours."""
    norm = signed_norm(sweep.maps[index])
    plot_map(
        axes[0], sweep.maps[index], label=sweep.quantity, norm=norm, orientation=orientation
    )
    n_values = sweep.values.shape[1]
    lines = np.unique(np.linspace(0, n_values - 1, n_lines).round().astype(int))
    colours = mpl.colormaps[SIGNED](norm(sweep.values[index, lines]))
    for spectral, channel in enumerate(channels):
        loops = channel_values(sweep.generated[index, lines], spectral, channel)
        plot_spectra(
            axes[1 + spectral], voltage_V, loops, colours,
            x_label=VOLTAGE, y_label=channel.label, loop=True,
        )


def draw_sweep(
    block: Figure | SubFigure,
    voltage_V: np.ndarray,
    sweep: Sweep,
    *,
    letters: str,
    n_lines: int = 9,
    channels: Sequence[Channel] = PHYSICAL,
    orientation: Orientation = TURNED,
) -> np.ndarray:
    """One row for each map of a sweep: map, generated loops of each channel.

    Parameters
    ----------
    block : Figure or SubFigure
        Where to draw.
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    sweep : Sweep
        Generated loops, in the units of `channels`.
    letters : str
        One panel letter a row.
    n_lines : int
        Loops drawn of the swept values, evenly spaced.
    channels : sequence of Channel
        Labels of the spectral channels.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.

    Returns
    -------
    ndarray of Axes, shape (n_maps, 1 + n_channels)
        The panels; each channel has one vertical range.
    """
    rows = len(sweep.maps)
    axes = block.subplots(
        rows, 1 + len(channels), squeeze=False, width_ratios=[1.3] + [1] * len(channels)
    )
    for index, row in enumerate(axes):
        _draw_channel(
            row, voltage_V, sweep, index,
            n_lines=n_lines, channels=channels, orientation=orientation,
        )
        panel_title(row[0], letters[index], sweep.map_name(index))
    for column in axes.T[1:]:
        _share_range(column)
        for ax in column[:-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    return axes


def _taller(sweep: Sweep, orientation: Orientation) -> float:
    """Inches by which a row is higher than one of square maps, whose loops need most of it."""
    return max(-0.35, 1.1 * (map_height(sweep.maps.shape, orientation) - 1))


def _share_range(axes: Sequence[Axes]) -> None:
    """One vertical range for all panels, so that loops of channels and models can be compared."""
    low = min(ax.get_ylim()[0] for ax in axes)
    high = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, high)


def figure_5(
    voltage_V: np.ndarray,
    dl: Sweep,
    vae: Sweep,
    *,
    source: str,
    channels: Sequence[Channel] = PHYSICAL,
    orientation: Orientation = TURNED,
) -> Figure:
    """Figure 5: what each channel means, dictionary learning left, β-VAE right.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    dl, vae : Sweep
        Generated loops; the first three channels of each are drawn.
    source : {"measured", "twin"}
        Origin of the data.
    channels : sequence of Channel
        Labels of the spectral channels.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    rows = max(min(3, len(dl.maps)), min(3, len(vae.maps)))
    figure = page_figure((1.6 + _taller(dl, orientation)) * rows, PAGE if len(channels) > 1 else 0.75 * PAGE)
    blocks = figure.subfigures(1, 2, wspace=0.03)
    drawn = [
        draw_sweep(
            block, voltage_V, sweep.first(3),
            letters=letters, channels=channels, orientation=orientation,
        )
        for block, sweep, letters in zip(blocks, (dl, vae), ("abc", "def"), strict=True)
    ]
    for columns in zip(*(axes.T[1:] for axes in drawn), strict=True):
        _share_range(np.concatenate(columns))
    label_source(figure, source)
    return figure


def figure_s5(
    voltage_V: np.ndarray,
    sweep: Sweep,
    *,
    source: str,
    channels: Sequence[Channel] = PHYSICAL,
    orientation: Orientation = TURNED,
) -> Figure:
    """Figures S5 and S10: every channel of one model and its generated loops.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    sweep : Sweep
        All channels of dictionary learning (S5), or all active channels of the β-VAE (S10).
    source : {"measured", "twin"}
        Origin of the data.
    channels : sequence of Channel
        Labels of the spectral channels.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    rows = len(sweep.maps)
    width = 5.0 if len(channels) > 1 else 3.6
    figure = page_figure((1.55 + _taller(sweep, orientation)) * rows + 0.2, width)
    draw_sweep(
        figure, voltage_V, sweep, letters="abcdefghijklmnop"[:rows],
        channels=channels, orientation=orientation,
    )
    label_source(figure, source)
    return figure


figure_s10 = figure_s5
