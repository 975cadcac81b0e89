"""What channels do to a loop, where the companion's β-VAE is sure and where it gains, and which loops harden."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from helpers.figures.inputs import Look
from helpers.figures.maps import map_height, plot_map
from helpers.figures.spectra import VOLTAGE, plot_loops
from helpers.figures.style import DATA, DL, PAGE, SIGNED, letter_panels, page_panels, plain
from helpers.loops import feature_title
from helpers.physics import NARROW, Effects

CLASSES = (("neither", "0.85"), ("narrow", "#AA4499"), ("hardens under both", DL),
           ("narrow and hardens under both", DATA))


def figure_effects(effects: Effects, titles: Sequence[str], *, source: str) -> Figure:
    """Slope of every feature along every channel; a number in brackets has an interval that holds 0."""
    figure, ax = page_panels(0.9 + 0.28 * len(effects.slope), source=source)
    half = max(float(np.abs(effects.slope).max()), 1e-12)
    image = ax.imshow(effects.slope, cmap=SIGNED, norm=Normalize(-half, half), aspect="auto")
    for (row, column), slope in np.ndenumerate(effects.slope):
        number = f"{slope:+.2f}".replace("-", "−")
        text = number if effects.certain[row, column] else f"({number})"
        dark = abs(slope) < 0.45 * half
        ax.text(column, row, text, ha="center", va="center", fontsize=5.5, color="white" if dark else "black")
    names = [feature_title(name) for name in effects.features]
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right")
    ax.set_yticks(range(len(titles)), titles)
    ax.tick_params(length=0)
    bar = figure.colorbar(image, ax=ax, aspect=12, pad=0.01)
    bar.set_label("s.d. of the feature\nper s.d. of the channel")
    bar.outline.set_visible(False)
    return figure


def figure_beside(maps: np.ndarray, others: np.ndarray, titles: Sequence[str], other_titles: Sequence[str],
                  look: Look) -> Figure:
    """Maps of one model (top) above those of another, both of shape (n_maps, rows, columns), each on its own scale."""
    height = PAGE / len(maps) * map_height(maps.shape, look.orientation) + 0.2
    _, axes = page_panels(2 * height, 2, len(maps), source=look.source, squeeze=False)
    for row, shown, names in zip(axes, (maps, others), (titles, other_titles), strict=True):
        for ax, values, name in zip(row, shown, names, strict=True):
            plot_map(ax, values, look.orientation).set_title(name)
    return letter_panels(axes[:, 0])


def figure_sureness(deviation: np.ndarray, titles: Sequence[str], ratio: np.ndarray, look: Look) -> Figure:
    """Posterior σ of every active channel, on one scale, and the error of the β-VAE over that of PCA in each pixel.

    `deviation`, shape (channels, rows, columns), is 1 where a pixel tells nothing of the channel; `ratio`, shape
    (rows, columns), is below 1 where the β-VAE is closer.
    """
    count = len(deviation) + 1
    _, axes = page_panels(PAGE / count * map_height(ratio.shape, look.orientation) + 0.7, 1, count, source=look.source)
    low, high = np.nanpercentile(deviation, [1, 99])
    for ax, values, title in zip(axes, deviation, titles, strict=False):
        plot_map(ax, values, look.orientation, label="posterior σ", norm=Normalize(low, high)).set_title(title)
    plot_map(axes[-1], np.log2(ratio), look.orientation, label="log₂ ratio; below 0:\ncompanion's is closer")
    axes[-1].set_title("MSE over that of PCA")
    return letter_panels(axes)


def figure_gains(voltage_V: np.ndarray, data: np.ndarray, models: dict[str, np.ndarray], pixels: Sequence[int],
                 look: Look) -> Figure:
    """Loops of some pixels with what two models make of them (`plot_loops`).

    `data` and `models`, named as in `helpers.figures.style.MODEL_COLOURS`, have the shape (n_pixels, steps, channels).
    The titles give the errors, in squared standard deviations of each channel over the scan.
    """
    figure, axes = page_panels(1.4 * len(look.channels) + 0.55, len(look.channels), len(pixels), source=look.source,
                               squeeze=False, sharex=True)
    usable = slice(None) if look.unusable is None else ~look.unusable.ravel()
    variance = data[usable].var(axis=(0, 1))
    plot_loops(axes, voltage_V, data, models, pixels, look.channels)
    for ax, pixel in zip(axes[0], pixels, strict=True):
        errors = (f"{name.split()[-1]} {plain(((loops[pixel] - data[pixel]) ** 2 / variance).mean())}"
                  for name, loops in models.items())
        ax.set_title(f"MSE: {', '.join(errors)}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return letter_panels(axes.flat)


def figure_narrow(narrow: np.ndarray, hardened: np.ndarray, along: tuple[np.ndarray, np.ndarray, np.ndarray],
                  differences: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], look: Look) -> Figure:
    """Which loops are narrow and harden under both polarities, how that depends on their area, and by how much.

    `narrow` and `hardened`, shape (rows, columns), are bool; `along` are areas over the median area, and the share that
    hardens with its interval, as of `helpers.physics.share_along`; `differences`, of "narrow" and "others", are
    voltages and the mean difference of the branches under either polarity (`helpers.loops.resonance_differences`).
    """
    figure, axes = page_panels(2.2, 1, 3, source=look.source, width_ratios=[1.1, 1, 1.2])
    where, share, rise = axes
    plot_map(where, look.masked(narrow + 2.0 * hardened), look.orientation, norm=Normalize(-0.5, 3.5), order=0,
             colours=ListedColormap([colour for _, colour in CLASSES]))
    where.set_title("Narrow loops and loops that harden")
    patches = [Patch(color=colour, label=name) for name, colour in CLASSES]
    figure.legend(handles=patches, loc="outside upper center", ncols=4)
    centre, found, interval = along
    share.fill_between(centre, *interval.T, color=DATA, alpha=0.2, linewidth=0)
    share.plot(centre, found, ".-", color=DATA)
    share.axvline(NARROW, color="0.5", linestyle=":")
    share.set(xlabel="Loop area / median", ylabel="Share that hardens\nunder both polarities", ylim=(0, None),
              title="Hardening against loop area")
    for name, colour in (("narrow", dict(CLASSES)["narrow"]), ("others", "0.45")):
        for number, (voltage_V, change_kHz) in enumerate(differences.get(name, ())):
            rise.plot(voltage_V, change_kHz, color=colour, label=name if number == 0 else None)
    rise.axhline(0, color="0.7", linewidth=0.6)
    rise.set(xlabel=VOLTAGE, ylabel="Switching − other branch,\nlevelled (kHz)",
             title="Mean difference of the branches")
    rise.legend()
    return letter_panels(axes)
