"""A scan beside its simulated twin, and what the twin is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import Channel, Look
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import close_loop, share_axis
from helpers.figures.style import BOUND, DL, PAGE, VAE, label_source, letter_panels, page_figure, panel_title

VOLTAGE = "Voltage (V)"
EXAMPLE_COLOURS = (VAE, DL, BOUND)
SOURCE_NAMES = {"measured": "measured", "twin": "simulated (twin)"}


def plot_loop_spread(ax: Axes, voltage_V: np.ndarray, loops: np.ndarray, channel: Channel) -> Axes:
    """Mean loop and the 10–90 % range of loops of shape (n_spectra, n_steps)."""
    # From the largest voltage on, so that a loop has two branches wherever its drive begins.
    first = int(np.argmax(voltage_V))
    closed = close_loop(np.roll(loops, -first, axis=-1)) * channel.scale
    x = close_loop(np.roll(voltage_V, -first))
    low, high = np.percentile(closed, [10, 90], axis=0)
    turn = int(np.argmin(x))
    # Branch by branch: a fill of the whole loop cancels where the branches overlap.
    for branch in (slice(None, turn + 1), slice(turn, None)):
        ax.fill_between(x[branch], low[branch], high[branch], color="0.15", alpha=0.15, linewidth=0)
    ax.plot(x, closed.mean(0), color="0.15")
    ax.set(xlabel=VOLTAGE, ylabel=channel.label)
    return ax


def plot_example_loops(ax: Axes, voltage_V: np.ndarray, loops: np.ndarray, channel: Channel) -> Axes:
    """Loops, shape (3, n_steps), of three pixels."""
    for loop, colour in zip(loops, EXAMPLE_COLOURS, strict=True):
        ax.plot(close_loop(voltage_V), close_loop(loop) * channel.scale, color=colour, linewidth=0.8)
    ax.set(xlabel=VOLTAGE, ylabel=channel.label)
    return ax


def opening_pixels(piezoresponse: np.ndarray) -> list[int]:
    """Loops, of shape (n_spectra, n_steps), that open little, as usual and widely (5th, 50th, 95th percentile)."""
    order = np.argsort(np.abs(piezoresponse).mean(axis=-1), kind="stable")
    return [int(order[round(part * (len(order) - 1))]) for part in (0.05, 0.5, 0.95)]


def comparable(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one axis serves both: their 1–99 % ranges overlap by a fifth of the wider one."""
    ranges = np.array([np.nanpercentile(x, [1, 99]) for x in (a, b)])
    overlap = ranges[:, 1].min() - ranges[:, 0].max()
    return bool(overlap > 0.2 * np.ptp(ranges, axis=1).max())


@dataclass(frozen=True)
class RecordedLoops:
    """Loops of a scan, to be compared with those of another.

    Attributes
    ----------
    cubes : sequence of ndarray, shape (rows, columns, n_steps)
        One for each channel of `look`, in arb. u. and kHz.
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    look : Look
    """

    cubes: Sequence[np.ndarray]
    voltage_V: np.ndarray
    look: Look

    def usable(self, index: int) -> np.ndarray:
        """Loops of one channel that hold a measurement, shape (n_spectra, n_steps)."""
        cube = self.cubes[index]
        return cube[np.ones(cube.shape[:2], bool) if self.look.unusable is None else ~self.look.unusable]


def _draw_channel(axes: np.ndarray, scans: tuple[RecordedLoops, RecordedLoops], index: int) -> None:
    """One channel of both scans: panels (3, 2) of examples, mean and map."""
    channels = [scan.look.channels[index] for scan in scans]
    steps = [int(np.argmax(scan.voltage_V)) for scan in scans]
    maps = [scan.look.masked(scan.cubes[index][..., step] * channel.scale)
            for scan, channel, step in zip(scans, channels, steps, strict=True)]
    together = channels[0] == channels[1] and comparable(*(scan.cubes[index] for scan in scans))
    limits = [np.nanpercentile(m, [1, 99]) for m in maps]
    if together:
        limits = [np.nanpercentile(np.concatenate([m.ravel() for m in maps]), [1, 99])] * 2
    for column, (scan, channel) in enumerate(zip(scans, channels, strict=True)):
        loops = scan.usable(index)
        plot_example_loops(axes[0, column], scan.voltage_V, loops[opening_pixels(scan.usable(0))], channel)
        plot_loop_spread(axes[1, column], scan.voltage_V, loops, channel)
        plot_map(axes[2, column], maps[column], scan.look.orientation, label=channel.label.replace("\n", " "),
                 norm=Normalize(*limits[column]))
        titles = ("one pixel each", "mean, 10–90 %", f"at {scan.voltage_V[steps[column]]:.1f} V")
        for row, title in zip(axes, titles, strict=True):
            panel_title(row[column], "", f"{SOURCE_NAMES[scan.look.source]}\n{title}")
    for row in axes[:2] if together else []:
        share_axis(row)


def compare_scans(one: RecordedLoops, other: RecordedLoops) -> Figure:
    """Example loops, mean loops and the map at the largest voltage of two scans, side by side.

    The channels that both have are drawn. A pair of panels shares one scale where values and units allow it.
    """
    tall = max(map_height(scan.cubes[0].shape[:2], scan.look.orientation) for scan in (one, other))
    both = min(len(one.cubes), len(other.cubes))
    figure = page_figure(4.6 + 1.6 * tall, PAGE if both > 1 else 0.6 * PAGE)
    blocks = np.atleast_1d(figure.subfigures(1, both))
    for index, (block, letters) in enumerate(zip(blocks, ("abcdef", "ghijkl"), strict=False)):
        axes = block.subplots(3, 2, gridspec_kw={"height_ratios": [1, 1, 0.35 + 0.9 * tall]})
        _draw_channel(axes, (one, other), index)
        letter_panels(axes.flat, letters)
        # On the block, since the figure itself makes no room for a legend beside its blocks.
        block.legend(axes[0, 0].lines, ["5th", "50th", "95th percentile of mean |P|"], loc="outside upper center",
                     ncols=3)
    return figure


def fraction_maps(fractions: Mapping[str, np.ndarray], look: Look) -> Figure:
    """True fraction of each switching mechanism in every pixel of the twin.

    Parameters
    ----------
    fractions : mapping of str to ndarray, shape (rows, columns)
        Between 0 and 1, by the name of the mechanism.
    look : Look
        Of the twin.
    """
    figure = page_figure(2.3)
    axes = figure.subplots(1, len(fractions))
    for ax, (name, fraction) in zip(axes, fractions.items(), strict=True):
        plot_map(ax, fraction, look.orientation, label="fraction", norm=Normalize(0, 1))
        panel_title(ax, "", name.replace("_", " "))
    label_source(figure, look.source)
    return figure
