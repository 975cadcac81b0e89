"""Both models on the switching loops: Figures 4, 5, S5, S7, S8 and S10, and maps of every pixel of a large scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from helpers.figures.inputs import SCALED, Look, ModelOutput, Orientation, Sweep
from helpers.figures.maps import map_height, plot_map, plot_no_map, signed_norm
from helpers.figures.spectra import (
    VISIBLE_SHARE,
    channel_values,
    plot_error_violins,
    plot_reconstruction,
    plot_spectra,
    share_axis,
    share_range,
)
from helpers.figures.style import PAGE, SIGNED, label_source, letter_panels, page_figure, panel_title, plain

VOLTAGE = "Voltage (V)"
RANKS = ("best", "median", "worst")
LINES = 9  # loops drawn of the swept values, evenly spaced
EVERY_PIXEL_TITLES = {"pca": "PCA", "dl": "DL", "vae": "β-VAE"}
ACROSS = 3  # maps side by side at full resolution


def _draw_maps(axes: np.ndarray, model: ModelOutput, orientation: Orientation) -> None:
    """First maps of a model, each on its own symmetric scale."""
    for index, ax in enumerate(axes):
        if index >= len(model.maps):
            plot_no_map(ax)
            continue
        plot_map(ax, model.maps[index], orientation, label=model.quantity)
        panel_title(ax, "", model.names[index])


def _draw_examples(axes: np.ndarray, voltage_V: np.ndarray, data: np.ndarray,
                   models: tuple[ModelOutput, ModelOutput], look: Look) -> None:
    """Best, median and worst spectrum of the first model; both models on each."""
    last = len(look.channels) - 1
    for column, spectrum in enumerate(models[0].best_median_worst()):
        for row, channel in enumerate(look.channels):
            drawn = {m.name: channel_values(m.reconstruction[spectrum], row, channel) for m in models}
            plot_reconstruction(axes[row, column], voltage_V, channel_values(data[spectrum], row, channel), drawn,
                                x_label=VOLTAGE if row == last else "", y_label=channel.label, loop=True)
        title = f"{models[0].name} {RANKS[column]}\nMSE {plain(models[0].mse[spectrum])}"
        panel_title(axes[0, column], "", title)
    share_axis(axes[0])
    # The worst resonance spectrum is an outlier whose range would flatten the others.
    for ax in axes[1:, 1:].flat:
        ax.set_ylabel("")


def _draw_model(block: SubFigure, voltage_V: np.ndarray, data: np.ndarray, models: tuple[ModelOutput, ModelOutput],
                look: Look, letters: str, heights: tuple[float, float]) -> None:
    """Maps and examples of the first of two models, in one half of Figure 4."""
    upper, lower = block.subfigures(2, 1, height_ratios=heights)
    maps, examples = upper.subplots(1, 3), lower.subplots(len(look.channels), 3, squeeze=False)
    _draw_maps(maps, models[0], look.orientation)
    _draw_examples(examples, voltage_V, data, models, look)
    letter_panels([*maps, *examples.flat], letters[: 3 + examples.size])
    for ax in examples[:-1].flat:
        ax.tick_params(labelbottom=False)


def _draw_error_maps(figure: SubFigure, models: tuple[ModelOutput, ModelOutput], look: Look) -> None:
    """Error of each pixel, both models on one colour scale starting at zero."""
    axes = figure.subplots(1, len(models))
    top = np.nanpercentile(np.concatenate([m.mse for m in models]), 99)
    for ax, model in zip(axes, models, strict=True):
        plot_map(ax, model.mse.reshape(model.maps.shape[1:]), look.orientation, norm=Normalize(0, float(top)))
        panel_title(ax, "", f"{model.name}, mean {np.nanmean(model.mse):.3g}")
    letter_panels(axes, "tu")
    bar = figure.colorbar(axes[0].images[0], ax=axes, shrink=0.8, extend="max")
    bar.set_label("MSE (s.d.²)")


def figure_4(voltage_V: np.ndarray, data: np.ndarray, dl: ModelOutput, vae: ModelOutput, look: Look) -> Figure:
    """Figure 4: both models on the switching loops.

    The paper's letter g stands for no panel and is left out here too; so are the letters of the
    resonance where a scan has none.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    data : ndarray, shape (n_spectra, n_steps, n_channels)
        Piezoresponse and, where there is one, resonance.
    dl, vae : ModelOutput
        Dictionary learning and β-VAE; the first three maps of each are drawn.
    look : Look
        Of the scan.
    """
    tall = map_height(dl.maps.shape, look.orientation)
    heights = 0.61 + 1.15 * tall, 0.32 + 1.16 * len(look.channels)
    errors = 0.4 + 1.2 * tall
    figure = page_figure(sum(heights) + errors)
    top, bottom = figure.subfigures(2, 1, height_ratios=[sum(heights), errors])
    blocks = top.subfigures(1, 2)
    for block, models, letters in zip(blocks, ((dl, vae), (vae, dl)), ("abcdefhij", "klmnopqrs"), strict=True):
        _draw_model(block, voltage_V, data, models, look, letters, heights)
    handles, names = blocks[0].subfigs[1].axes[0].get_legend_handles_labels()
    top.legend(handles, names, loc="outside lower center", ncols=3)
    _draw_error_maps(bottom.subfigures(1, 3, width_ratios=[1, 3, 1])[1], (dl, vae), look)
    label_source(figure, look.source)
    return figure


def _draw_channel(axes: np.ndarray, voltage_V: np.ndarray, sweep: Sweep, index: int, look: Look) -> None:
    """One row: the map, then each channel of the generated loops in the map's colours."""
    norm = signed_norm(sweep.maps[index])
    plot_map(axes[0], sweep.maps[index], look.orientation, label=sweep.quantity, norm=norm)
    lines = np.unique(np.linspace(0, sweep.values.shape[1] - 1, LINES).round().astype(int))
    colours = mpl.colormaps[SIGNED](norm(sweep.values[index, lines]))
    for spectral, channel in enumerate(look.channels):
        loops = channel_values(sweep.generated[index, lines], spectral, channel)
        plot_spectra(axes[1 + spectral], voltage_V, loops, colours, x_label=VOLTAGE, y_label=channel.label,
                     loop=True)


def draw_sweep(block: Figure | SubFigure, voltage_V: np.ndarray, sweep: Sweep, look: Look, letters: str) -> np.ndarray:
    """One row, and one letter, for each map of a sweep: map, generated loops of each channel.

    Returns
    -------
    ndarray of Axes, shape (n_maps, 1 + n_channels)
        The panels; each channel has one vertical range.
    """
    widths = [1.3] + [1] * len(look.channels)
    axes = block.subplots(len(sweep.maps), len(widths), squeeze=False, width_ratios=widths)
    for index, (row, name) in enumerate(zip(axes, sweep.names, strict=True)):
        _draw_channel(row, voltage_V, sweep, index, look)
        panel_title(row[0], letters[index], name)
    for column in axes.T[1:]:
        share_range(column)
        for ax in column[:-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    return axes


def _taller(sweep: Sweep, look: Look) -> float:
    """Inches by which a row is higher than one of square maps, whose loops need most of it."""
    return max(-0.35, 1.1 * (map_height(sweep.maps.shape, look.orientation) - 1))


def figure_5(voltage_V: np.ndarray, dl: Sweep, vae: Sweep, look: Look) -> Figure:
    """Figure 5: what each channel means, dictionary learning left, β-VAE right.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    dl, vae : Sweep
        Generated loops; the first three channels of each are drawn.
    look : Look
        Of the scan.
    """
    rows = max(min(3, len(dl.maps)), min(3, len(vae.maps)))
    width = PAGE if len(look.channels) > 1 else 0.75 * PAGE
    figure = page_figure((1.6 + _taller(dl, look)) * rows, width)
    blocks = figure.subfigures(1, 2, wspace=0.03)
    drawn = [draw_sweep(block, voltage_V, sweep.first(3), look, letters)
             for block, sweep, letters in zip(blocks, (dl, vae), ("abc", "def"), strict=True)]
    for columns in zip(*(axes.T[1:] for axes in drawn), strict=True):
        share_range(np.concatenate(columns))
    label_source(figure, look.source)
    return figure


def figure_s5(voltage_V: np.ndarray, sweep: Sweep, look: Look) -> Figure:
    """Figures S5 and S10: every channel of one model and its generated loops.

    Parameters
    ----------
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V).
    sweep : Sweep
        All channels of dictionary learning (S5), or all active channels of the β-VAE (S10).
    look : Look
        Of the scan.
    """
    rows = len(sweep.maps)
    width = 5.0 if len(look.channels) > 1 else 3.6
    figure = page_figure((1.55 + _taller(sweep, look)) * rows + 0.2, width)
    draw_sweep(figure, voltage_V, sweep, look, "abcdefghijklmnop"[:rows])
    label_source(figure, look.source)
    return figure





def channel_state(kl_nat: float, threshold_nat: float) -> str:
    """Active above the threshold; closed where a channel carries nothing at all."""
    if kl_nat > threshold_nat:
        return "active"
    return "noise" if kl_nat > 0 else "closed"


def figure_s7(maps: np.ndarray, kl_nat: np.ndarray, latents: np.ndarray, look: Look, *,
              threshold_nat: float = 0.1) -> Figure:
    """Figure S7: every embedding map of the β-VAE on one colour scale.

    Parameters
    ----------
    maps : ndarray, shape (n_latents, rows, columns)
        Posterior means, in any order; drawn by descending KL.
    kl_nat : ndarray, shape (n_latents,)
        Mean KL divergence of each latent (nat).
    latents : ndarray, shape (n_latents,)
        Number of each latent in the network, for the titles.
    look : Look
        Of the scan.
    threshold_nat : float
        A latent is active above this KL.
    """
    rows = -(-len(maps) // 4)
    figure = page_figure((0.22 + 1.2 * map_height(maps.shape, look.orientation)) * rows, 5.8)
    axes = figure.subplots(rows, 4, squeeze=False)
    norm = signed_norm(maps)
    for ax in axes.flat[len(maps) :]:
        ax.set_axis_off()
    order = np.argsort(-kl_nat, kind="stable")
    for ax, index, letter in zip(axes.flat, order, ascii_lowercase, strict=False):
        plot_map(ax, maps[index], look.orientation, norm=norm)
        state = channel_state(kl_nat[index], threshold_nat)
        panel_title(ax, letter, f"z{latents[index]} {state}, KL {kl_nat[index]:.2g} nat")
        if state != "active":
            ax.set_title(ax.get_title(loc="left"), loc="left", color="0.5")
    bar = figure.colorbar(axes.flat[0].images[0], ax=axes, shrink=0.5, extend="both")
    bar.set_label("posterior mean")
    label_source(figure, look.source)
    return figure


def figure_s8(data: np.ndarray, dl: ModelOutput, vae: ModelOutput, look: Look) -> Figure:
    """Figure S8: signed error of both models at each voltage step, by channel.

    Parameters
    ----------
    data : ndarray, shape (n_spectra, n_steps, n_channels)
        Piezoresponse and, where there is one, resonance, standardised like the reconstructions.
    dl, vae : ModelOutput
        Dictionary learning and β-VAE; spectra whose error is NaN are left out.
    look : Look
        Of the scan.
    """
    note = f"reconstruction − data ({100 * VISIBLE_SHARE:g} % in frame)"
    n = data.shape[-1]
    figure = page_figure(0.3 + 2.15 * n)
    axes = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
    usable = np.isfinite(dl.mse)
    for index, (ax, channel) in enumerate(zip(axes, SCALED[:n], strict=True)):
        errors = {m.name: (m.reconstruction - data)[usable, :, index] for m in (dl, vae)}
        plot_error_violins(ax, errors, y_label=f"Error ({channel.unit})",
                           x_label="Voltage step" if index == n - 1 else "")
        panel_title(ax, "", f"{channel.name}, {note}")
    letter_panels(axes, "ab"[:n])
    label_source(figure, look.source)
    return figure


def figure_every_pixel(codes: np.ndarray, titles: Sequence[str], mse: Mapping[str, np.ndarray], look: Look) -> Figure:
    """Active channels of the β-VAE, then the error of every model, at full resolution.

    Parameters
    ----------
    codes : ndarray, shape (channels, rows, columns)
        Posterior means, on one colour scale.
    titles : sequence of str
        Names of the channels.
    mse : mapping of str to ndarray, shape (rows, columns)
        Error (s.d.²) of "pca", "dl" and "vae", on one colour scale.
    look : Look
        Of the scan.
    """
    rows = -(-len(codes) // ACROSS) + 1
    tall = map_height(next(iter(mse.values())).shape, look.orientation)
    figure = page_figure(rows * (0.35 + PAGE / ACROSS * 0.92 * tall), PAGE)
    axes = figure.subplots(rows, ACROSS, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    norm = signed_norm(codes) if len(codes) else None
    for ax, values, title in zip(axes.flat, codes, titles, strict=False):
        plot_map(ax, values, look.orientation, label="posterior mean", norm=norm)
        panel_title(ax, "", title)
    high = np.nanpercentile(np.concatenate([values.ravel() for values in mse.values()]), 99)
    for ax, (name, values) in zip(axes[-1], mse.items(), strict=True):
        plot_map(ax, values, look.orientation, label="MSE (s.d.²)", norm=Normalize(0, high))
        panel_title(ax, "", f"{EVERY_PIXEL_TITLES[name]}, mean {np.nanmean(values):.3g}")
    label_source(figure, look.source)
    return figure
