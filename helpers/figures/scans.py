"""Two scans side by side, such as the measured loops and the twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import PHYSICAL, Channel
from helpers.figures.maps import TURNED, Orientation, plot_map
from helpers.figures.spectra import close_loop, share_limits
from helpers.figures.style import label_source, letter_panels, page_figure, panel_title

VOLTAGE = "Voltage (V)"
EXAMPLE_COLOURS = ("#0072B2", "#D55E00", "#009E73")
SOURCE_NAMES = {"measured": "measured", "twin": "simulated (twin)"}


class ScanArrays(Protocol):
    """What is drawn of a scan; `helpers.data.Scan` has it."""

    piezoresponse: np.ndarray
    resonance_kHz: np.ndarray
    voltage_V: np.ndarray
    source: str


def plot_loop_spread(
    ax: Axes, voltage_V: np.ndarray, loops: np.ndarray, channel: Channel, colour: str
) -> Axes:
    """Mean loop and the 10–90 % range over pixels.

    Parameters
    ----------
    ax : Axes
        Panel.
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    loops : ndarray, shape (rows, columns, n_steps)
        One channel.
    channel : Channel
        Its label and scale.
    colour : str
        Line colour.
    """
    flat = close_loop(loops.reshape(-1, loops.shape[-1])) * channel.scale
    x = close_loop(voltage_V)
    low, high = np.percentile(flat, [10, 90], axis=0)
    turn = int(np.argmin(x))
    # Branch by branch: a fill of the whole loop cancels where the branches overlap.
    for branch in (slice(None, turn + 1), slice(turn, None)):
        ax.fill_between(
            x[branch], low[branch], high[branch], color=colour, alpha=0.15, linewidth=0
        )
    ax.plot(x, flat.mean(0), color=colour)
    ax.set(xlabel=VOLTAGE, ylabel=channel.label)
    return ax


def opening_pixels(piezoresponse: np.ndarray) -> list[int]:
    """Pixels whose loop opens little, as usual and widely (5th, 50th, 95th percentile).

    `piezoresponse` has shape (rows, columns, n_steps); the indices count row by row.
    """
    opening = np.abs(piezoresponse).mean(axis=-1).ravel()
    order = np.argsort(opening, kind="stable")
    return [int(order[round(part * (len(order) - 1))]) for part in (0.05, 0.5, 0.95)]


def plot_example_loops(
    ax: Axes, voltage_V: np.ndarray, loops: np.ndarray, channel: Channel, pixels: Sequence[int]
) -> Axes:
    """Loops of three pixels, which count row by row.

    Other parameters are those of `plot_loop_spread`.
    """
    for loop, colour in zip(loops.reshape(-1, loops.shape[-1])[pixels], EXAMPLE_COLOURS, strict=True):
        ax.plot(
            close_loop(voltage_V), close_loop(loop) * channel.scale,
            color=colour, linewidth=0.8,
        )
    ax.set(xlabel=VOLTAGE, ylabel=channel.label)
    return ax


def _draw_channel(
    axes: np.ndarray,
    scans: tuple[ScanArrays, ScanArrays],
    channel: Channel,
    step: int,
    orientation: Orientation,
) -> None:
    """One channel of both scans: panels (3, 2) of examples, mean and map."""
    cubes = [
        s.piezoresponse if channel is PHYSICAL[0] else s.resonance_kHz for s in scans
    ]
    maps = [cube[..., step] * channel.scale for cube in cubes]
    norm = Normalize(*np.percentile(np.concatenate([m.ravel() for m in maps]), [1, 99]))
    for column, (scan, cube) in enumerate(zip(scans, cubes, strict=True)):
        pixels = opening_pixels(scan.piezoresponse)
        plot_example_loops(axes[0, column], scan.voltage_V, cube, channel, pixels)
        plot_loop_spread(axes[1, column], scan.voltage_V, cube, channel, "0.15")
        plot_map(
            axes[2, column], maps[column], label="", norm=norm,
            orientation=orientation, colour_bar=False,
        )
        titles = ("5th, 50th, 95th percentile of |P|", "mean, 10–90 %", f"at {scan.voltage_V[step]:.1f} V")
        for row, title in zip(axes, titles, strict=True):
            panel_title(row[column], "", f"{SOURCE_NAMES[scan.source]}\n{title}")
    for row in axes[:2]:
        share_limits(row)
    bar = axes[2, 0].figure.colorbar(
        axes[2, 0].images[0], ax=axes[2], location="bottom", aspect=30, shrink=0.8, pad=0.02
    )
    bar.set_label(channel.label.replace("\n", " "))


def compare_scans(
    scan_a: ScanArrays,
    scan_b: ScanArrays,
    *,
    step: int = 0,
    orientation: Orientation = TURNED,
) -> Figure:
    """Example loops, mean loops and one map of two scans, side by side.

    Parameters
    ----------
    scan_a, scan_b : Scan
        Usually measured and twin; each panel pair shares one scale.
    step : int
        Voltage step of the maps.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    figure = page_figure(5.8)
    blocks = figure.subfigures(1, 2)
    for block, channel, letters in zip(blocks, PHYSICAL, ("abcdef", "ghijkl"), strict=True):
        axes = block.subplots(3, 2, gridspec_kw={"height_ratios": [1, 1, 1.25]})
        _draw_channel(axes, (scan_a, scan_b), channel, step, orientation)
        letter_panels(axes.flat, letters)
    return figure


def fraction_maps(
    fractions: Mapping[str, np.ndarray], *, orientation: Orientation = TURNED
) -> Figure:
    """True fraction of each switching mechanism in every pixel of the twin.

    Parameters
    ----------
    fractions : mapping of str to ndarray, shape (rows, columns)
        Between 0 and 1, by the name of the mechanism.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    figure = page_figure(2.3)
    axes = figure.subplots(1, len(fractions))
    for ax, (name, fraction) in zip(axes, fractions.items(), strict=True):
        plot_map(ax, fraction, label="fraction", norm=Normalize(0, 1), orientation=orientation)
        panel_title(ax, "", name.replace("_", " "))
    label_source(figure, "twin")
    return figure
