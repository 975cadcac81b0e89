"""Maps of every pixel of a scan that the notebooks see thinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from helpers.figures.maps import Orientation, map_height, plot_map, signed_norm
from helpers.figures.style import PAGE, label_source, page_figure, panel_title

TITLES = {"pca": "PCA", "dl": "DL", "vae": "β-VAE"}
ACROSS = 3


def figure_every_pixel(codes: np.ndarray, titles: Sequence[str], mse: Mapping[str, np.ndarray], *, source: str,
                       orientation: Orientation) -> Figure:
    """Active channels of the β-VAE, then the error of every model, at full resolution.

    Parameters
    ----------
    codes : ndarray, shape (channels, rows, columns)
        Posterior means, on one colour scale.
    titles : sequence of str
        Names of the channels.
    mse : mapping of str to ndarray, shape (rows, columns)
        Error (s.d.²) of "pca", "dl" and "vae", on one colour scale.
    source : {"measured", "twin"}
        Origin of the data.
    orientation : Orientation
        As recorded, or turned.
    """
    rows = -(-len(codes) // ACROSS) + 1
    tall = map_height(next(iter(mse.values())).shape, orientation)
    figure = page_figure(rows * (0.35 + PAGE / ACROSS * 0.92 * tall), PAGE)
    axes = figure.subplots(rows, ACROSS, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    norm = signed_norm(codes) if len(codes) else None
    for ax, values, title in zip(axes.flat, codes, titles, strict=False):
        plot_map(ax, values, label="posterior mean", norm=norm, orientation=orientation)
        panel_title(ax, "", title)
    high = np.nanpercentile(np.concatenate([values.ravel() for values in mse.values()]), 99)
    for ax, (name, values) in zip(axes[-1], mse.items(), strict=True):
        plot_map(ax, values, label="MSE (s.d.²)", norm=Normalize(0, high), orientation=orientation)
        panel_title(ax, "", f"{TITLES[name]}, mean {np.nanmean(values):.3g}")
    label_source(figure, source)
    return figure
