"""A scan beside its simulated twin, and what the twin is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from sklearn.metrics import r2_score

from helpers.figures.inputs import Look
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import VOLTAGE, branches, close_loop, share_range
from helpers.figures.style import PAGE, letter_panels, page_figure, page_panels
from helpers.twin.domains import MECHANISMS

GREYS = "0.58", "0.35", "0"  # of loops that open little, as usual and widely
KINDS = {"c": "c domains", "a": "a domains", "charged_wall": "charged walls", "three_state": "three-state"}
SOURCE_NAMES = {"measured": "measured", "twin": "simulated (twin)"}


def plot_loop_spread(ax: Axes, voltage_V: np.ndarray, loops: np.ndarray) -> None:
    """Mean loop and the 10–90 % range of loops of shape (n_spectra, n_steps)."""
    low, high = np.percentile(loops, [10, 90], axis=0)
    # Branch by branch: a fill of the whole loop cancels where the branches overlap.
    for steps in branches(voltage_V):
        ax.fill_between(voltage_V[steps], low[steps], high[steps], color="0.15", alpha=0.15, linewidth=0)
    ax.plot(close_loop(voltage_V), close_loop(loops.mean(axis=0)), color="0.15")


def opening_pixels(piezoresponse: np.ndarray) -> list[int]:
    """Loops, of shape (n_spectra, n_steps), that open little, as usual and widely (5th, 50th, 95th percentile)."""
    order = np.argsort(np.abs(piezoresponse).mean(axis=-1), kind="stable")
    return [int(order[round(part * (len(order) - 1))]) for part in (0.05, 0.5, 0.95)]


def comparable(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one axis serves both: their 1–99 % ranges overlap by a fifth of the wider one."""
    ranges = np.array([np.nanpercentile(x, [1, 99]) for x in (a, b)])
    overlap = ranges[:, 1].min() - ranges[:, 0].max()
    return bool(overlap > 0.2 * np.ptp(ranges, axis=1).max())


def _draw_channel(axes: np.ndarray, scans: Sequence, looks: Sequence[Look], index: int) -> None:
    """One channel of both scans: panels (3, 2) of examples, mean and map at the largest voltage."""
    channels = [look.channels[index] for look in looks]
    cubes = [list(scan.channels.values())[index] * channel.scale for scan, channel in zip(scans, channels, strict=True)]
    steps = [int(scan.voltage_V.argmax()) for scan in scans]
    maps = [look.masked(cube[..., step]) for look, cube, step in zip(looks, cubes, steps, strict=True)]
    together = channels[0] == channels[1] and comparable(*cubes)
    limits = [np.nanpercentile(np.concatenate([m.ravel() for m in (maps if together else [own])]), [1, 99])
              for own in maps]
    for (examples, spread, of_map), scan, look, cube, step, values, ends in zip(
            axes.T, scans, looks, cubes, steps, maps, limits, strict=True):
        loops, piezoresponse = (x.reshape(-1, x.shape[-1])[scan.usable] for x in (cube, scan.piezoresponse))
        for loop, colour in zip(loops[opening_pixels(piezoresponse)], GREYS, strict=True):
            examples.plot(close_loop(scan.voltage_V), close_loop(loop), color=colour, linewidth=0.8)
        # From its mean along each loop, as in Figure 5: else the spread between pixels hides its course.
        plot_loop_spread(spread, scan.voltage_V, loops - loops.mean(axis=1, keepdims=True) if index else loops)
        label, source = look.channels[index].label, SOURCE_NAMES[scan.source]
        plot_map(of_map, values, look.orientation, label=label.replace("\n", " "), norm=Normalize(*ends))
        examples.set(xlabel=VOLTAGE, ylabel=label, title=f"{source}\none pixel each")
        spread.set(xlabel=VOLTAGE, ylabel="Δ " * (index > 0) + label, title=f"{source}\nmean, 10–90 %")
        of_map.set_title(f"{source}\nat {scan.voltage_V[step]:.1f} V")
    for row in axes[:2] if together else []:
        share_range(row, labels_left=True)


def compare_scans(one, other) -> Figure:
    """Example loops, mean loops and the map at the largest voltage of two `helpers.scans.scan.Scan`, side by side.

    The channels that both have are drawn, on one scale where values and units allow it.
    """
    scans = one, other
    looks = [Look.of(scan) for scan in scans]
    tall = max(map_height(scan.piezoresponse.shape[:2], look.orientation)
               for scan, look in zip(scans, looks, strict=True))
    count = min(len(scan.channels) for scan in scans)
    figure = page_figure(4.8 + 1.6 * tall, PAGE if count > 1 else 0.6 * PAGE)
    blocks = np.atleast_1d(figure.subfigures(1, count))
    for index, (block, letters) in enumerate(zip(blocks, ("abcdef", "ghijkl"), strict=False)):
        axes = block.subplots(3, 2, height_ratios=[1, 1, 0.5 + 0.9 * tall])
        _draw_channel(axes, scans, looks, index)
        letter_panels(axes.flat, letters)
        # On the block, since the figure itself makes no room for a legend beside its blocks.
        block.legend(axes[0, 0].lines, ["5th", "50th", "95th percentile of mean |P|"], loc="outside upper center",
                     ncols=3)
    return figure


def fraction_maps(fractions: Mapping[str, np.ndarray], look: Look) -> Figure:
    """True fraction of each switching mechanism, 0 to 1, in every pixel of the twin: maps (rows, columns) by name."""
    figure, axes = page_panels(2.3, 1, len(fractions), source=look.source)
    for ax, (name, fraction) in zip(axes, fractions.items(), strict=True):
        plot_map(ax, fraction, look.orientation, label="fraction", norm=Normalize(0, 1))
        ax.set_title(KINDS[name])
    return figure


def figure_fractions(fractions: Mapping[str, np.ndarray], models: Mapping[str, str], look: Look) -> Figure:
    """True fractions of the twin's mechanisms (a), as predicted from one channel each (b) and from all channels (c).

    `fractions` are those of `helpers.ledger.twin_fractions`; `models` are the titles of those that are drawn. Above
    each prediction stands its R².
    """
    truth = fractions["truth"].astype(float)
    names = ["truth", *(f"{name}_{way}" for way in ("one", "all") for name in models)]
    heads = {0: "$\\mathbf{a}$  truth", 1: "$\\mathbf{b}$  one channel for each",
             1 + len(models): "$\\mathbf{c}$  all channels"}
    tall = map_height(truth.shape[:2], look.orientation)
    height = 0.4 + len(MECHANISMS) * (0.2 + tall * PAGE / (len(names) + 1))
    figure, axes = page_panels(height, len(MECHANISMS), len(names), source=look.source)
    bare = replace(look.orientation, size_um=None)  # scale bars on the left are enough
    for (row, column), ax in np.ndenumerate(axes):
        shown = fractions[names[column]][..., row].astype(float)
        plot_map(ax, shown, bare if column else look.orientation, norm=Normalize(0, 1))
        r2 = r2_score(truth[..., row].ravel(), shown.ravel())
        title = f"{[*models.values()][(column - 1) % len(models)]}, R² {r2:.2f}" if column else ""
        ax.set_title(f"{heads.get(column, '')}\n{title}" if row == 0 else title)
    for ax, mechanism in zip(axes[:, 0], MECHANISMS, strict=True):
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[], ylabel=KINDS[mechanism])
        ax.spines[:].set_visible(False)
    bar = figure.colorbar(ax.images[0], ax=axes, shrink=0.4, aspect=25)
    bar.set_label("fraction")
    bar.outline.set_visible(False)
    return figure
