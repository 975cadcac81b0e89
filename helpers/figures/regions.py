"""Mean loops of regions of a scan, and what models make of them."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.figures.inputs import Look
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import VOLTAGE, branches, share_range, without_level
from helpers.figures.style import DATA, MODEL_COLOURS, letter_panels, page_panels

POINTS = {"color": DATA, "marker": "o", "markersize": 2, "markeredgewidth": 0.4}
# Line of a model and points of the measured mean, by branch.
WAYS = {"falling voltage": ("-", POINTS), "rising voltage": ("--", POINTS | {"markerfacecolor": "white"})}


def figure_regions(voltage_V: np.ndarray, data: np.ndarray, models: Mapping[str, np.ndarray],
                   regions: Mapping[str, np.ndarray], look: Look) -> Figure:
    """A row for each region: where it lies, and its mean loop of each channel, measured and of every model.

    `data` and `models`, by name, have the shape (n_pixels, steps, channels); `regions`, by title, are bool maps (rows,
    columns). The band holds the middle two thirds of the measured loops. The resonance is drawn from the mean of each.
    """
    tall = map_height(next(iter(regions.values())).shape, look.orientation)
    figure, axes = page_panels(len(regions) * max(1.5, 1.9 * tall) + 0.4, len(regions), 1 + len(look.channels),
                               source=look.source, squeeze=False)
    for (title, where), (of_map, *of_loops) in zip(regions.items(), axes, strict=True):
        plot_map(of_map, look.masked(where.astype(float)), look.orientation, norm=Normalize(0, 1),
                 colours=ListedColormap(["0.88", DATA])).set_title(title)
        own = where.ravel()
        measured, *made = (without_level(x[own], data[own]) for x in (data, *models.values()))
        for k, (ax, channel) in enumerate(zip(of_loops, look.channels, strict=True)):
            for steps, (line, points) in zip(branches(voltage_V), WAYS.values(), strict=True):
                low, high = np.percentile(measured[:, steps, k], [100 / 6, 500 / 6], axis=0) * channel.scale
                ax.fill_between(voltage_V[steps], low, high, color=DATA, alpha=0.12, linewidth=0)
                ax.plot(voltage_V[steps], measured[:, steps, k].mean(axis=0) * channel.scale, linestyle="", **points)
                for name, x in zip(models, made, strict=True):
                    ax.plot(voltage_V[steps], x[:, steps, k].mean(axis=0) * channel.scale, line,
                            color=MODEL_COLOURS[name])
            ax.set_ylabel("Δ " * (k > 0) + channel.label)
    for column in axes.T[1:]:
        share_range(column)
        column[-1].set_xlabel(VOLTAGE)
    keys = [Line2D([], [], color=DATA, linestyle="", marker="o", label="measured mean"),
            *(Line2D([], [], color=MODEL_COLOURS[name], label=name) for name in models),
            *(Line2D([], [], linestyle=line, label=way, **points) for way, (line, points) in WAYS.items())]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return letter_panels(axes.flat)
