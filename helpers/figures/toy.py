"""Figures of the toy benchmark: 1, 2, S3 and S4."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, NullFormatter

from helpers.figures.inputs import IMAGE, ModelOutput
from helpers.figures.maps import plot_maps
from helpers.figures.spectra import plot_error_bands, plot_reconstruction, share_range
from helpers.figures.style import COLUMN, DATA, MODEL_COLOURS, letter_panels, page_figure, page_panels, plain_log_ticks

TIME = "Time t"
MOVED = "R moves a step (tanh)", "G moves a kink (SELU)", "B moves a fall (sigmoid)"


def _colour_ramp(primary: int, values: np.ndarray) -> np.ndarray:
    """RGB colours, shape (n, 3), along one primary with the two others at 0.5."""
    return np.where(np.arange(3) == primary, values[:, None], 0.5)


def plot_colour_axis(ax: Axes, time: np.ndarray, spectra: np.ndarray, values: np.ndarray, primary: int) -> None:
    """Draw the spectra along one primary colour, each in the colour it belongs to."""
    outlined = [Stroke(linewidth=1.8, foreground="0.25"), Normal()]  # the lightest would be lost on white
    for spectrum, colour in zip(spectra, _colour_ramp(primary, values), strict=True):
        ax.plot(time, spectrum, color=colour, linewidth=1.0, path_effects=outlined)
    ax.set(xlabel=TIME, ylabel="Intensity (arb. u.)", title=MOVED[primary])
    ramp = ListedColormap(_colour_ramp(primary, np.linspace(values[0], values[-1], 256)))
    bar = ax.figure.colorbar(ScalarMappable(Normalize(values[0], values[-1]), ramp), ax=ax, location="bottom",
                             aspect=25, pad=0.02)
    one, other = "RGB".replace("RGB"[primary], "")
    bar.set_label(f"{'RGB'[primary]}  ({one} = {other} = 0.5)")


def figure_1(time: np.ndarray, spectra: np.ndarray, values: np.ndarray, painting: np.ndarray) -> Figure:
    """Figure 1: spectra along each primary colour, and the painting, RGB in [0, 1].

    `spectra` (arb. u.), shape (3, n_values, n_steps), run along R, G and B, whose `values`, shape (n_values,), ascend
    in [0, 1], the two other colours at 0.5.
    """
    _, axes = page_panels(2.3, 1, 4, width_ratios=[1, 1, 1, 1.15])
    for primary, ax in enumerate(axes[:3]):
        plot_colour_axis(ax, time, spectra[primary], values, primary)
    share_range(axes[:3], labels_left=True)
    axes[3].imshow(painting)
    axes[3].set_axis_off()
    return letter_panels(axes)


def _draw_model(axes: Sequence[Axes], time: np.ndarray, data: np.ndarray, model: ModelOutput) -> None:
    """Three maps, then the best, median and worst reconstruction, of one model."""
    plot_maps(axes[:3], model, IMAGE)
    for ax, (title, spectrum) in zip(axes[3:], model.best_median_worst().items(), strict=True):
        plot_reconstruction(ax, time, data[spectrum], {model.name: model.reconstruction[spectrum]})
        ax.set(xlabel=TIME, ylabel="Intensity (s.d.)", title=title)
    share_range(axes[3:], labels_left=True)


def figure_2(time: np.ndarray, data: np.ndarray, dl: ModelOutput, vae: ModelOutput, picture: np.ndarray) -> Figure:
    """Figure 2: dictionary learning and the β-VAE on the spectra of the painting, below its true colours.

    `data`, standardised, have the shape (n_spectra, n_steps), and `picture`, whose R, G and B in [0, 1] are the truth,
    (rows, columns, 3).
    """
    figure = page_figure(6.5)
    top, bottom = figure.subfigures(2, 1, height_ratios=[3.1, 1.1])
    lettered, halves = [], [half.subplots(3, 3, height_ratios=[0.8, 1, 1]) for half in top.subfigures(1, 2)]
    for axes, model in zip(halves, (dl, vae), strict=True):
        for ax, colour, values in zip(axes[0], "RGB", np.moveaxis(picture, -1, 0), strict=True):
            ax.imshow(values, cmap="gray", vmin=0, vmax=1)
            ax.set_axis_off()
            ax.set_title(f"true {colour}")
        _draw_model(axes[1:].ravel(), time, data, model)
        lettered += list(axes[1:].flat)
    # Every line once: the data are those of both.
    drawn = {line.get_label(): line for half in halves for line in half[2, 0].lines}
    top.legend(drawn.values(), drawn, loc="outside lower center", ncols=3)
    for ax, model in zip(below := bottom.subplots(1, 2), (dl, vae), strict=True):
        plot_error_bands(ax, np.arange(len(time)), {model.name: model.reconstruction - data})
        ax.set(xlabel="Spectrum index", ylabel="Error (s.d.)", title=f"{model.name}, reconstruction − data")
    return letter_panels([*lettered, *below])


def figure_truth(rgb: np.ndarray, models: Mapping[str, np.ndarray]) -> Figure:
    """Channels against the true colours `rgb`, shape (n_spectra, 3), over the gamut, three by three for each model.

    `models` are the channels matched to R, G and B, shape (n_spectra, 3), by name. A channel per colour is a narrow
    curve on the diagonal and a flat cloud elsewhere.
    """
    figure = page_figure(2.15)
    for block, (name, channels) in zip(figure.subfigures(1, len(models)), models.items(), strict=True):
        axes = block.subplots(3, 3, sharex=True, sharey="row")
        block.suptitle(name, fontsize=7)
        for row, values in enumerate(channels.T):
            low, high = np.percentile(values, [0.5, 99.5])
            for column, ax in enumerate(axes[row]):
                counts, *_, image = ax.hist2d(
                    rgb[:, column], values, bins=40, range=[(0, 1), (low, max(high, low + 1e-9))], cmap="Greys")
                # A sparse code is 0 in many spectra, and that line would leave the rest pale.
                image.set_norm(PowerNorm(0.5, 0, np.percentile(counts[counts > 0], 95)))
                ax.set(xticks=[0, 1], yticks=[])
                ax.spines[:].set_visible(True)
            axes[row, 0].set_ylabel(f"channel for {'RGB'[row]}", fontsize=5)
        for ax, colour in zip(axes[-1], "RGB", strict=True):
            ax.set_xlabel(f"true {colour}")
    return figure


def figure_s3(alphas: np.ndarray, mse: Mapping[str, np.ndarray], chosen: float, pca_mse: float) -> Figure:
    """Figure S3: error of dictionary learning along the grid of λ, under each way to code; a ring marks the lowest.

    `mse` (scaled units) has the shape of `alphas`, the grid, by what the spectra are coded at; `chosen` is the λ of the
    figures, `pca_mse` the error of PCA with as many components.
    """
    figure, ax = page_panels(2.6, width=COLUMN)
    for (name, errors), style in zip(mse.items(), ("o-", "s--"), strict=True):
        ax.plot(alphas, errors, style, color=MODEL_COLOURS["DL"], markersize=3.5, label=f"DL, n = 3, {name}")
        lowest = errors.argmin()
        ax.plot(alphas[lowest], errors[lowest], "o", color=DATA, markerfacecolor="none", markersize=9)
    ax.axhline(pca_mse, color=MODEL_COLOURS["PCA"], linestyle="--", label="PCA bound, n = 3")
    ax.axvline(chosen, color=DATA, linestyle=":", label=f"chosen λ = {chosen:g}")
    ax.set(xlabel="λ of the fit", ylabel="MSE (s.d.²)", ylim=(0, None))
    ax.legend()
    return figure


def plot_error_along(ax: Axes, values: np.ndarray, mse: Mapping[str, np.ndarray], label: str) -> None:
    """Median and 10–90 % range of the errors of `figure_s4` in 20 bins of one colour, whose values lie in [0, 1]."""
    edges = np.linspace(0, 1, 21)
    bins = np.clip(np.digitize(values, edges) - 1, 0, 19)
    centres = edges[:-1] + 0.025
    for name, errors in mse.items():
        groups = [errors[bins == b] if np.any(bins == b) else [np.nan] for b in range(20)]
        low, middle, high = np.transpose([np.percentile(g, [10, 50, 90]) for g in groups])
        ax.fill_between(centres, low, high, color=MODEL_COLOURS[name], alpha=0.25, linewidth=0)
        ax.plot(centres, middle, color=MODEL_COLOURS[name], label=name)
    ax.set(xlabel=label, ylabel="MSE (s.d.²)", xlim=(0, 1), yscale="log")
    plain_log_ticks(ax.yaxis)


def plot_error_histogram(ax: Axes, mse: Mapping[str, np.ndarray], pca_mse: float) -> None:
    """Histogram of the error of each spectrum, with the means and the PCA bound."""
    positive = np.concatenate([errors[errors > 0] for errors in mse.values()])
    bins = np.geomspace(positive.min(), positive.max(), 60)
    for name, errors in mse.items():
        colour = MODEL_COLOURS[name]
        ax.hist(errors, bins, color=colour, alpha=0.5)
        ax.axvline(errors.mean(), ymax=0.65, color=colour, label=f"{name}, mean {errors.mean():.3g}")
    ax.axvline(pca_mse, ymax=0.65, color=MODEL_COLOURS["PCA"], linestyle="--", label=f"PCA, mean {pca_mse:.3g}")
    ax.set(xlabel="MSE (s.d.²)", ylabel="Spectra", xscale="log")
    ax.xaxis.set_minor_formatter(NullFormatter())  # else labelled, and crowded, where errors span less than a decade
    ax.xaxis.set_major_locator(LogLocator(numticks=5))
    ax.set_ylim(0, 1.5 * ax.get_ylim()[1])
    ax.legend(loc="upper left")


def figure_s4(rgb: np.ndarray, mse: Mapping[str, np.ndarray], pca_mse: float) -> Figure:
    """Figure S4: validation over the whole colour gamut.

    `rgb`, shape (n_spectra, 3), are uniform in [0, 1]; `mse`, by model name, is the mean squared error of each spectrum
    in scaled units, shape (n_spectra,); `pca_mse` is the mean error of PCA with three components.
    """
    figure, axes = page_panels(2.4, 1, 4, width_ratios=[1, 1, 1, 1.3])
    for ax, values, label in zip(axes, rgb.T, "RGB", strict=False):
        plot_error_along(ax, values, mse, label)
    share_range(axes[:3], labels_left=True)
    plot_error_histogram(axes[3], mse, pca_mse)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  title="line: median; band: 10–90 %")
    return letter_panels(axes)
