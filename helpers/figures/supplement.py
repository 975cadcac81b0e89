"""Supporting figures of the switching loops: S6, S7 and S8."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.inputs import PHYSICAL, SCALED, Channel, ModelOutput
from helpers.figures.maps import TURNED, Orientation, map_height, plot_map, signed_norm
from helpers.figures.spectra import VISIBLE_SHARE, close_loop, plot_error_violins
from helpers.figures.style import (
    label_source,
    letter_panels,
    page_figure,
    panel_title,
)


def figure_s6(
    piezoresponse: np.ndarray,
    voltage_V: np.ndarray,
    *,
    source: str,
    channel: Channel = PHYSICAL[0],
    topography: np.ndarray | None = None,
    unusable: np.ndarray | None = None,
    orientation: Orientation = TURNED,
) -> Figure:
    """Figure S6: topography, or the nearest observables where the file has none.

    Parameters
    ----------
    piezoresponse : ndarray, shape (rows, columns, n_steps)
        Loops (arb. u.).
    voltage_V : ndarray, shape (n_steps,)
        Applied bias (V), one closed cycle.
    source : {"measured", "twin"}
        Origin of the data.
    channel : Channel
        Label and scale of the piezoresponse.
    topography : ndarray, shape (any, any), optional
        Height, in the unit of the file, on a grid of its own.
    unusable : ndarray of bool, shape (rows, columns), optional
        Pixels to grey out.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    area = np.abs(np.trapezoid(close_loop(piezoresponse), close_loop(voltage_V), axis=-1))
    maps = {
        f"loop area ({channel.unit} · V)": area * channel.scale,
        f"mean |piezoresponse| ({channel.unit})": np.abs(piezoresponse).mean(-1) * channel.scale,
    }
    if unusable is not None:
        maps = {label: np.where(unusable, np.nan, values) for label, values in maps.items()}
    title = "no topography in the data file: loop observables instead"
    if topography is not None:
        maps = {"height (unit of the file)": topography - np.nanmin(topography)} | maps
        title = "topography and loop observables"
    tall = max(map_height(values.shape, orientation) for values in maps.values())
    figure = page_figure(0.65 + 1.8 * tall, 1.75 * len(maps) + 0.1)
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for ax, (label, values) in zip(axes, maps.items(), strict=True):
        norm = Normalize(*np.nanpercentile(values, [1, 99]))
        plot_map(ax, values, label=label, norm=norm, orientation=orientation)
    letter_panels(axes, "abc"[: len(maps)])
    figure.suptitle(title, fontsize=7)
    label_source(figure, source)
    return figure


def channel_state(kl_nat: float, threshold_nat: float) -> str:
    """Active above the threshold; closed where a channel carries nothing at all."""
    if kl_nat > threshold_nat:
        return "active"
    return "noise" if kl_nat > 0 else "closed"


def figure_s7(
    maps: np.ndarray,
    kl_nat: np.ndarray,
    latents: np.ndarray,
    *,
    source: str,
    threshold_nat: float = 0.1,
    orientation: Orientation = TURNED,
) -> Figure:
    """Figure S7: every embedding map of the β-VAE on one colour scale.

    Parameters
    ----------
    maps : ndarray, shape (n_latents, rows, columns)
        Posterior means, in any order; drawn by descending KL.
    kl_nat : ndarray, shape (n_latents,)
        Mean KL divergence of each latent (nat).
    latents : ndarray, shape (n_latents,)
        Number of each latent in the network, for the titles.
    source : {"measured", "twin"}
        Origin of the data.
    threshold_nat : float
        A latent is active above this KL.
    orientation : Orientation
        `TURNED`, or `SCAN` for maps as recorded.
    """
    rows = -(-len(maps) // 4)
    figure = page_figure((0.22 + 1.2 * map_height(maps.shape, orientation)) * rows, 5.8)
    axes = figure.subplots(rows, 4, squeeze=False)
    norm = signed_norm(maps)
    for ax in axes.flat[len(maps) :]:
        ax.set_axis_off()
    order = np.argsort(-kl_nat, kind="stable")
    for ax, index, letter in zip(axes.flat, order, ascii_lowercase, strict=False):
        plot_map(
            ax, maps[index], label="", norm=norm, orientation=orientation, colour_bar=False
        )
        state = channel_state(kl_nat[index], threshold_nat)
        title = f"z{latents[index]} {state}, KL {kl_nat[index]:.2g} nat"
        panel_title(ax, letter, title)
        if state != "active":
            ax.set_title(ax.get_title(loc="left"), loc="left", color="0.5")
    bar = figure.colorbar(axes.flat[0].images[0], ax=axes, shrink=0.5, extend="both")
    bar.set_label("posterior mean")
    label_source(figure, source)
    return figure


def figure_s8(
    data: np.ndarray,
    dl: ModelOutput,
    vae: ModelOutput,
    *,
    source: str,
    channels: Sequence[Channel] = SCALED,
) -> Figure:
    """Figure S8: signed error of both models at each voltage step, by channel.

    Parameters
    ----------
    data : ndarray, shape (n_spectra, n_steps, n_channels)
        Piezoresponse and, where there is one, resonance, standardised like the reconstructions.
    dl, vae : ModelOutput
        Dictionary learning and β-VAE; spectra whose error is NaN are left out.
    source : {"measured", "twin"}
        Origin of the data.
    channels : sequence of Channel
        Labels, of which as many are used as the data have channels.
    """
    note = f"reconstruction − data ({100 * VISIBLE_SHARE:g} % in frame)"
    n = data.shape[-1]
    figure = page_figure(0.3 + 2.15 * n)
    axes = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
    usable = np.isfinite(dl.mse)
    for index, (ax, channel) in enumerate(zip(axes, channels[:n], strict=True)):
        errors = {m.name: (m.reconstruction - data)[usable, :, index] for m in (dl, vae)}
        plot_error_violins(
            ax, errors, y_label=f"Error ({channel.unit})",
            x_label="Voltage step" if index == n - 1 else "",
        )
        panel_title(ax, "", f"{channel.name}, {note}")
    letter_panels(axes, "ab"[:n])
    label_source(figure, source)
    return figure
