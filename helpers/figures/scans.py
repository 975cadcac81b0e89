"""Two scans side by side, such as the measured loops and the twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import Channel, channels_of
from helpers.figures.maps import (
    TURNED,
    Orientation,
    map_height,
    orientation_of,
    plot_map,
)
from helpers.figures.spectra import close_loop, share_limits
from helpers.figures.style import (
    PAGE,
    label_source,
    letter_panels,
    page_figure,
    panel_title,
)

VOLTAGE = "Voltage (V)"
EXAMPLE_COLOURS = ("#0072B2", "#D55E00", "#009E73")
SOURCE_NAMES = {"measured": "measured", "twin": "simulated (twin)"}


class ScanArrays(Protocol):
    """What is drawn of a scan; `helpers.scans.scan.Scan` has it."""

    piezoresponse: np.ndarray
    resonance_kHz: np.ndarray | None
    voltage_V: np.ndarray
    source: str
    shape: tuple[int, int]
    size_um: float
    turned: bool
    usable: np.ndarray


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
    loops : ndarray, shape (..., n_steps)
        One channel.
    channel : Channel
        Its label and scale.
    colour : str
        Line colour.
    """
    # From the largest voltage on, so that a loop has two branches wherever its drive begins.
    first = int(np.argmax(voltage_V))
    flat = close_loop(np.roll(loops.reshape(-1, loops.shape[-1]), -first, axis=-1)) * channel.scale
    x = close_loop(np.roll(voltage_V, -first))
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


def opening_pixels(scan: ScanArrays) -> list[int]:
    """Pixels whose loop opens little, as usual and widely (5th, 50th, 95th percentile).

    The indices count row by row.
    """
    opening = np.abs(scan.piezoresponse).mean(axis=-1).ravel()
    order = np.argsort(np.where(scan.usable, opening, np.inf), kind="stable")[: scan.usable.sum()]
    return [int(order[round(part * (len(order) - 1))]) for part in (0.05, 0.5, 0.95)]


def plot_example_loops(
    ax: Axes, voltage_V: np.ndarray, loops: np.ndarray, channel: Channel, pixels: Sequence[int]
) -> Axes:
    """Loops of three pixels, as `opening_pixels` gives them.

    Other parameters are those of `plot_loop_spread`.
    """
    for loop, colour in zip(loops.reshape(-1, loops.shape[-1])[pixels], EXAMPLE_COLOURS, strict=True):
        ax.plot(close_loop(voltage_V), close_loop(loop) * channel.scale, color=colour, linewidth=0.8)
    ax.set(xlabel=VOLTAGE, ylabel=channel.label)
    return ax


def comparable(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one axis serves both: their 1–99 % ranges overlap by a fifth of the wider one."""
    ranges = np.array([np.nanpercentile(x, [1, 99]) for x in (a, b)])
    overlap = ranges[:, 1].min() - ranges[:, 0].max()
    return bool(overlap > 0.2 * np.ptp(ranges, axis=1).max())


def _draw_channel(axes: np.ndarray, scans: tuple[ScanArrays, ScanArrays], index: int) -> None:
    """One channel of both scans: panels (3, 2) of examples, mean and map."""
    channels = [channels_of(s.piezoresponse, s.resonance_kHz)[index] for s in scans]
    cubes = [(s.piezoresponse, s.resonance_kHz)[index] for s in scans]
    steps = [int(np.argmax(s.voltage_V)) for s in scans]
    maps = [np.where(s.usable.reshape(s.shape), cube[..., step] * channel.scale, np.nan)
            for s, cube, channel, step in zip(scans, cubes, channels, steps, strict=True)]
    together = channels[0] == channels[1] and comparable(*cubes)
    limits = [np.nanpercentile(m, [1, 99]) for m in maps]
    if together:
        limits = [np.nanpercentile(np.concatenate([m.ravel() for m in maps]), [1, 99])] * 2
    for column, (scan, cube, channel) in enumerate(zip(scans, cubes, channels, strict=True)):
        plot_example_loops(axes[0, column], scan.voltage_V, cube, channel, opening_pixels(scan))
        usable = cube.reshape(-1, cube.shape[-1])[scan.usable]
        plot_loop_spread(axes[1, column], scan.voltage_V, usable, channel, "0.15")
        label = channel.label.replace("\n", " ")
        plot_map(axes[2, column], maps[column], label=label, norm=Normalize(*limits[column]),
                 orientation=orientation_of(scan))
        at = f"at {scan.voltage_V[steps[column]]:.1f} V"
        titles = ("one pixel each", "mean, 10–90 %", at)
        for row, title in zip(axes, titles, strict=True):
            panel_title(row[column], "", f"{SOURCE_NAMES[scan.source]}\n{title}")
    for row in axes[:2] if together else []:
        share_limits(row)


def compare_scans(scan_a: ScanArrays, scan_b: ScanArrays) -> Figure:
    """Example loops, mean loops and one map of two scans, side by side.

    Parameters
    ----------
    scan_a, scan_b : Scan
        Usually measured and twin; the channels that both have are drawn. A pair of panels shares
        one scale where values and units allow it. The map is that at the largest voltage.
    """
    tall = max(map_height(scan.shape, orientation_of(scan)) for scan in (scan_a, scan_b))
    both = 1 + all(scan.resonance_kHz is not None for scan in (scan_a, scan_b))
    figure = page_figure(4.6 + 1.6 * tall, PAGE if both > 1 else 0.6 * PAGE)
    blocks = np.atleast_1d(figure.subfigures(1, both))
    for index, (block, letters) in enumerate(zip(blocks, ("abcdef", "ghijkl"), strict=False)):
        axes = block.subplots(3, 2, gridspec_kw={"height_ratios": [1, 1, 0.35 + 0.9 * tall]})
        _draw_channel(axes, (scan_a, scan_b), index)
        letter_panels(axes.flat, letters)
        # On the block, since the figure itself makes no room for a legend beside its blocks.
        block.legend(axes[0, 0].lines, ["5th", "50th", "95th percentile of mean |P|"], loc="outside upper center", ncols=3)
    return figure


def cleaning_map(flagged: np.ndarray, unusable: np.ndarray | None, *, orientation: Orientation) -> Figure:
    """Where points were flagged and interpolated.

    Parameters
    ----------
    flagged : ndarray of int, shape (rows, columns)
        Points of each pixel, over all channels.
    unusable : ndarray of bool, shape (rows, columns), or None
        Pixels beyond repair, drawn grey.
    orientation : Orientation
    """
    values = np.where(False if unusable is None else unusable, np.nan, flagged)
    figure = page_figure(0.75 + 2 * map_height(flagged.shape, orientation), 2.6)
    norm = Normalize(0, max(1, np.nanmax(values)))
    plot_map(figure.subplots(), values, label="points interpolated", norm=norm, orientation=orientation)
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
