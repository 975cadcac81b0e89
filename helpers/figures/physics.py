"""What the channels do to a loop, where the β-VAE is sure and where it gains, and which loops harden twice."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from helpers.figures.inputs import Look
from helpers.figures.maps import lay_out, map_height, plot_map
from helpers.figures.spectra import VOLTAGE, close_loop, plot_loops
from helpers.figures.style import DATA, PAGE, SIGNED, letter_panels, page_figure
from helpers.physics import Effects

# Neither, narrow, hardening under both polarities, and both of these.
CLASSES = (("neither", "0.85"), ("narrow", "#56B4E9"), ("harden twice", "#E69F00"), ("narrow and harden twice", DATA))


def figure_effects(effects: Effects, titles: Sequence[str], *, source: str) -> Figure:
    """Slope of every feature along every channel; a number in brackets has an interval that holds 0."""
    figure = page_figure(0.9 + 0.28 * len(effects.slope), PAGE, source)
    ax = figure.subplots()
    half = max(float(np.abs(effects.slope).max()), 1e-12)
    image = ax.imshow(effects.slope, cmap=SIGNED, norm=Normalize(-half, half), aspect="auto")
    for (row, column), slope in np.ndenumerate(effects.slope):
        text = f"{slope:+.2f}" if effects.certain[row, column] else f"({slope:+.2f})"
        dark = abs(slope) < 0.45 * half
        ax.text(column, row, text, ha="center", va="center", fontsize=5.5, color="white" if dark else "black")
    names = [re.sub("_(kHz|arb_V|arb|V)$", "", name).replace("_", " ") for name in effects.features]
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right")
    ax.set_yticks(range(len(titles)), titles)
    ax.tick_params(length=0)
    bar = figure.colorbar(image, ax=ax, aspect=12, pad=0.01)
    bar.set_label("s.d. of the feature\nper s.d. of the channel")
    bar.outline.set_visible(False)
    return figure


def figure_sureness(deviation: np.ndarray, titles: Sequence[str], ratio: np.ndarray, look: Look) -> Figure:
    """Posterior σ of every active channel, on one scale, and the error of the β-VAE over that of PCA in each pixel.

    `deviation`, shape (channels, rows, columns), is 1 where a pixel tells nothing of the channel; `ratio`, shape
    (rows, columns), is below 1 where the β-VAE is closer.
    """
    count = len(deviation) + 1
    figure = page_figure(PAGE / count * map_height(ratio.shape, look.orientation) + 0.45, source=look.source)
    axes = figure.subplots(1, count)
    low, high = np.nanpercentile(deviation, [1, 99])
    for ax, values, title in zip(axes, deviation, titles, strict=False):
        plot_map(ax, values, look.orientation, label="posterior σ", norm=Normalize(low, high)).set_title(title)
    log2 = np.log2(ratio)
    plot_map(axes[-1], log2, look.orientation, label="log₂ of the ratio").set_title("MSE, β-VAE over PCA")
    letter_panels(axes)
    return figure


def figure_gains(voltage_V: np.ndarray, data: np.ndarray, models: dict[str, np.ndarray], pixels: Sequence[int],
                 look: Look) -> Figure:
    """Loops of some pixels with what two models make of them.

    `data` and `models`, named as in `helpers.figures.style.MODEL_COLOURS`, have the shape (n_pixels, steps, channels).
    """
    figure = page_figure(1.35 * len(look.channels) + 0.35, source=look.source)
    axes = figure.subplots(len(look.channels), len(pixels), squeeze=False, sharex=True)
    plot_loops(axes, voltage_V, data, models, pixels, look.channels)
    axes[0, -1].legend(loc="best")
    letter_panels(axes.flat)
    return figure


def figure_narrow(narrow: np.ndarray, twice: np.ndarray, loops: np.ndarray, voltage_V: np.ndarray,
                  look: Look) -> Figure:
    """Where loops are narrow and harden under both polarities, and the mean loop of these and of all others.

    `narrow` and `twice`, shape (rows, columns), are bool; `loops`, shape (rows * columns, steps, 2), are piezoresponse
    and resonance in physical units, the resonance drawn from its mean along each loop.
    """
    figure = page_figure(2.2, source=look.source)
    axes = figure.subplots(1, 3, width_ratios=[1, 1.2, 1.2])
    classes = look.masked((narrow + 2 * twice).astype(float))
    colours = ListedColormap([colour for _, colour in CLASSES])
    axes[0].imshow(lay_out(classes, look.orientation, order=0), cmap=colours, vmin=-0.5, vmax=3.5)
    axes[0].set_axis_off()
    axes[0].set_title("where")
    patches = [Patch(color=colour, label=name) for name, colour in CLASSES]
    figure.legend(handles=patches, loc="outside upper center", ncols=4)
    usable = np.isfinite(classes.ravel())
    shifted = loops.copy()
    shifted[..., 1] -= shifted[..., 1].mean(axis=1, keepdims=True)
    labels = look.channels[0].label, "Δ resonance\n(kHz)"
    for ax, values, channel, label in zip(axes[1:], np.moveaxis(shifted, -1, 0), look.channels, labels, strict=True):
        for number, (_, colour) in enumerate(CLASSES):
            own = usable & (classes.ravel() == number)
            if own.any():
                ax.plot(close_loop(voltage_V), close_loop(values[own].mean(axis=0) * channel.scale),
                        color=colour if number else "0.55")
        ax.set(xlabel=VOLTAGE, ylabel=label)
    axes[1].set_title("mean loop")
    axes[2].set_title("mean resonance")
    letter_panels(axes)
    return figure
