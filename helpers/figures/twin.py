"""A scan beside its simulated twin, and what the twin is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import Channel, Look, Recorded
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import close_loop, share_axis
from helpers.figures.style import BOUND, DL, PAGE, VAE, letter_panels, page_figure

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


def _draw_channel(axes: np.ndarray, scans: Sequence[Recorded], name: str, channels: Sequence[Channel]) -> None:
    """One channel of both scans: panels (3, 2) of examples, mean and map."""
    cubes = [scan.channels[name] for scan in scans]
    steps = [int(np.argmax(scan.voltage_V)) for scan in scans]
    maps = [Look.of(scan).masked(cube[..., step] * channel.scale)
            for scan, cube, step, channel in zip(scans, cubes, steps, channels, strict=True)]
    together = channels[0] == channels[1] and comparable(*cubes)
    limits = [np.nanpercentile(m, [1, 99]) for m in maps]
    if together:
        limits = [np.nanpercentile(np.concatenate([m.ravel() for m in maps]), [1, 99])] * 2
    for (examples, spread, of_map), scan, cube, channel, step, values, norm in zip(
            axes.T, scans, cubes, channels, steps, maps, limits, strict=True):
        loops, usable = (x.reshape(-1, x.shape[-1])[scan.usable] for x in (cube, scan.piezoresponse))
        for loop, colour in zip(loops[opening_pixels(usable)], (VAE, DL, BOUND), strict=True):
            examples.plot(close_loop(scan.voltage_V), close_loop(loop) * channel.scale, color=colour, linewidth=0.8)
        plot_loop_spread(spread, scan.voltage_V, loops, channel)
        plot_map(of_map, values, Look.of(scan).orientation, label=channel.label.replace("\n", " "),
                 norm=Normalize(*norm))
        for ax in (examples, spread):
            ax.set(xlabel="Voltage (V)", ylabel=channel.label)
        titles = "one pixel each", "mean, 10–90 %", f"at {scan.voltage_V[step]:.1f} V"
        for ax, title in zip((examples, spread, of_map), titles, strict=True):
            ax.set_title(f"{SOURCE_NAMES[scan.source]}\n{title}")
    for row in axes[:2] if together else []:
        share_axis(row)


def compare_scans(one: Recorded, other: Recorded) -> Figure:
    """Example loops, mean loops and the map at the largest voltage of two scans, side by side.

    The channels that both have are drawn. A pair of panels shares one scale where values and units allow it.
    """
    looks = [Look.of(scan) for scan in (one, other)]
    tall = max(map_height(scan.piezoresponse.shape[:2], look.orientation)
               for scan, look in zip((one, other), looks, strict=True))
    channels = dict(zip(one.channels, zip(*(look.channels for look in looks), strict=False), strict=False))
    figure = page_figure(4.6 + 1.6 * tall, PAGE if len(channels) > 1 else 0.6 * PAGE)
    blocks = np.atleast_1d(figure.subfigures(1, len(channels)))
    for block, (name, labels), letters in zip(blocks, channels.items(), ("abcdef", "ghijkl"), strict=False):
        axes = block.subplots(3, 2, height_ratios=[1, 1, 0.35 + 0.9 * tall])
        _draw_channel(axes, (one, other), name, labels)
        letter_panels(axes.flat, letters)
        # On the block, since the figure itself makes no room for a legend beside its blocks.
        block.legend(axes[0, 0].lines, ["5th", "50th", "95th percentile of mean |P|"], loc="outside upper center",
                     ncols=3)
    return figure


def fraction_maps(fractions: Mapping[str, np.ndarray], look: Look) -> Figure:
    """True fraction of each switching mechanism, 0 to 1, in every pixel of the twin: maps (rows, columns) by name."""
    figure = page_figure(2.3, source=look.source)
    axes = figure.subplots(1, len(fractions))
    for ax, (name, fraction) in zip(axes, fractions.items(), strict=True):
        plot_map(ax, fraction, look.orientation, label="fraction", norm=Normalize(0, 1))
        ax.set_title(name.replace("_", " "))
    return figure
