"""Figure 4: both models on the switching loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from helpers.figures.inputs import PHYSICAL, Channel, ModelOutput
from helpers.figures.maps import TURNED, Orientation, map_height, plot_map, plot_no_map
from helpers.figures.spectra import (
    channel_values,
    plot_reconstruction,
    share_limits,
)
from helpers.figures.style import (
    label_source,
    letter_panels,
    page_figure,
    panel_title,
    plain,
)

VOLTAGE = "Voltage (V)"
RANKS = ("best", "median", "worst")


def _draw_maps(axes: np.ndarray, model: ModelOutput, orientation: Orientation) -> None:
    """First maps of a model, each on its own symmetric scale."""
    for index, ax in enumerate(axes):
        if index >= len(model.maps):
            plot_no_map(ax)
            continue
        plot_map(ax, model.maps[index], label=model.quantity, orientation=orientation)
        panel_title(ax, "", model.map_name(index))


def _draw_examples(
    axes: np.ndarray,
    voltage_V: np.ndarray,
    data: np.ndarray,
    models: tuple[ModelOutput, ModelOutput],
    channels: Sequence[Channel],
) -> None:
    """Best, median and worst spectrum of the first model; both models on each."""
    last = len(channels) - 1
    for column, spectrum in enumerate(models[0].best_median_worst()):
        for row, channel in enumerate(channels):
            drawn = {
                m.name: channel_values(m.reconstruction[spectrum], row, channel)
                for m in models
            }
            plot_reconstruction(
                axes[row, column], voltage_V,
                channel_values(data[spectrum], row, channel), drawn,
                x_label=VOLTAGE if row == last else "", y_label=channel.label, loop=True,
            )
        title = f"{models[0].name} {RANKS[column]}\nMSE {plain(models[0].mse[spectrum])}"
        panel_title(axes[0, column], "", title)
    share_limits(axes[0])
    # The worst resonance spectrum is an outlier whose range would flatten the others.
    for ax in axes[1:, 1:].flat:
        ax.set_ylabel("")


def _draw_beps_model(
    block: SubFigure,
    voltage_V: np.ndarray,
    data: np.ndarray,
    models: tuple[ModelOutput, ModelOutput],
    *,
    letters: str,
    heights: tuple[float, float],
    channels: Sequence[Channel],
    orientation: Orientation,
) -> None:
    """Maps and examples of the first of two models, in one half of Figure 4."""
    upper, lower = block.subfigures(2, 1, height_ratios=heights)
    maps, examples = upper.subplots(1, 3), lower.subplots(len(channels), 3, squeeze=False)
    _draw_maps(maps, models[0], orientation)
    _draw_examples(examples, voltage_V, data, models, channels)
    letter_panels([*maps, *examples.flat], letters[: 3 + examples.size])
    for ax in examples[:-1].flat:
        ax.tick_params(labelbottom=False)


def plot_error_maps(
    figure: Figure | SubFigure,
    models: tuple[ModelOutput, ModelOutput],
    *,
    letters: str,
    orientation: Orientation,
) -> None:
    """Error of each pixel, both models on one colour scale starting at zero."""
    axes = figure.subplots(1, len(models))
    top = np.nanpercentile(np.concatenate([m.mse for m in models]), 99)
    for ax, model in zip(axes, models, strict=True):
        plot_map(
            ax, model.mse.reshape(model.maps.shape[1:]), label="",
            norm=Normalize(0, float(top)), orientation=orientation, colour_bar=False,
        )
        panel_title(ax, "", f"{model.name}, mean {np.nanmean(model.mse):.3g}")
    letter_panels(axes, letters)
    bar = figure.colorbar(axes[0].images[0], ax=axes, shrink=0.8, extend="max")
    bar.set_label("MSE (s.d.²)")


def figure_4(
    voltage_V: np.ndarray,
    data: np.ndarray,
    dl: ModelOutput,
    vae: ModelOutput,
    *,
    source: str,
    channels: Sequence[Channel] = PHYSICAL,
    orientation: Orientation = TURNED,
) -> Figure:
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
    source : {"measured", "twin"}
        Origin of the data.
    channels : sequence of Channel
        One for each channel of the data.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    tall = map_height(dl.maps.shape, orientation)
    heights = 0.61 + 1.15 * tall, 0.32 + 1.16 * len(channels)
    errors = 0.4 + 1.2 * tall
    figure = page_figure(sum(heights) + errors)
    top, bottom = figure.subfigures(2, 1, height_ratios=[sum(heights), errors])
    blocks = top.subfigures(1, 2)
    for block, models, letters in zip(
        blocks, ((dl, vae), (vae, dl)), ("abcdefhij", "klmnopqrs"), strict=True
    ):
        _draw_beps_model(
            block, voltage_V, data, models,
            letters=letters, heights=heights, channels=channels, orientation=orientation,
        )
    handles, names = blocks[0].subfigs[1].axes[0].get_legend_handles_labels()
    top.legend(handles, names, loc="outside lower center", ncols=3)
    _, middle, _ = bottom.subfigures(1, 3, width_ratios=[1, 3, 1])
    plot_error_maps(middle, (dl, vae), letters="tu", orientation=orientation)
    label_source(figure, source)
    return figure
