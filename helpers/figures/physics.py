"""What the channels do to a loop, where the β-VAE is sure and where it gains, and which loops harden twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from helpers.figures.inputs import Look
from helpers.figures.maps import lay_out, map_height, plot_map
from helpers.figures.spectra import channel_loops, close_loop, plot_reconstruction
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
    names = [name.removesuffix("_kHz").removesuffix("_arb_V").removesuffix("_arb").removesuffix("_V").replace("_", " ")
             for name in effects.features]
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right")
    ax.set_yticks(range(len(titles)), titles)
    ax.tick_params(length=0)
    bar = figure.colorbar(image, ax=ax, aspect=12, pad=0.01)
    bar.set_label("s.d. of the feature\nper s.d. of the channel")
    bar.outline.set_visible(False)
    return figure


def figure_sureness(deviation: np.ndarray, titles: Sequence[str], ratio: np.ndarray, look: Look) -> Figure:
    """Posterior σ of every active channel, on one scale, and the error of the β-VAE over that of PCA in each pixel.

    Parameters
    ----------
    deviation : ndarray, shape (channels, rows, columns)
        1 where a pixel tells nothing of the channel.
    ratio : ndarray, shape (rows, columns)
        Below 1 where the β-VAE is closer.
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

    Parameters
    ----------
    data : ndarray, shape (pixels, steps, channels)
    models : dict of str to ndarray
        Reconstructions of the same shape, named as in `helpers.figures.style.MODEL_COLOURS`.
    pixels : sequence of int
    """
    figure = page_figure(1.35 * len(look.channels) + 0.35, source=look.source)
    axes = figure.subplots(len(look.channels), len(pixels), squeeze=False, sharex=True)
    for column, pixel in zip(axes.T, pixels, strict=True):
        for index, (ax, channel) in enumerate(zip(column, look.channels, strict=True)):
            drawn = {name: channel_loops(made[pixel], index, channel) for name, made in models.items()}
            plot_reconstruction(ax, close_loop(voltage_V), channel_loops(data[pixel], index, channel), drawn)
    for ax, channel in zip(axes[:, 0], look.channels, strict=True):
        ax.set_ylabel(channel.label)
    for ax in axes[-1]:
        ax.set_xlabel("Voltage (V)")
    axes[0, -1].legend(loc="best")
    letter_panels(axes.flat)
    return figure


def figure_narrow(narrow: np.ndarray, twice: np.ndarray, loops: np.ndarray, voltage_V: np.ndarray,
                  look: Look) -> Figure:
    """Where loops are narrow and harden under both polarities, and the mean loop of these and of all others.

    Parameters
    ----------
    narrow, twice : ndarray of bool, shape (rows, columns)
    loops : ndarray, shape (rows * columns, steps, 2)
        Piezoresponse and resonance in physical units; the resonance is drawn from its mean along each loop.
    """
    figure = page_figure(2.2, source=look.source)
    axes = figure.subplots(1, 3, width_ratios=[1, 1.2, 1.2])
    classes = look.masked((narrow + 2 * twice).astype(float))
    colours = ListedColormap([colour for _, colour in CLASSES])
    axes[0].imshow(np.round(lay_out(classes, look.orientation)), cmap=colours, vmin=-0.5, vmax=3.5)
    axes[0].set_axis_off()
    axes[0].set_title("where")
    patches = [Patch(color=colour, label=name) for name, colour in CLASSES]
    figure.legend(handles=patches, loc="outside upper center", ncols=4)
    usable = np.isfinite(classes.ravel())
    shifted = loops.copy()
    shifted[..., 1] -= shifted[..., 1].mean(axis=1, keepdims=True)
    for ax, index, label in ((axes[1], 0, look.channels[0].label), (axes[2], 1, "Δ resonance\n(kHz)")):
        for number, (_, colour) in enumerate(CLASSES):
            own = usable & (classes.ravel() == number)
            if own.any():
                scale = look.channels[index].scale
                ax.plot(close_loop(voltage_V), close_loop(shifted[own, :, index].mean(axis=0) * scale),
                        color="0.55" if number == 0 else colour)
        ax.set(xlabel="Voltage (V)", ylabel=label)
    axes[1].set_title("mean loop")
    axes[2].set_title("mean resonance")
    letter_panels(axes)
    return figure
