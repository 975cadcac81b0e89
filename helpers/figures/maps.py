"""Maps of the scan and of the painting."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import FigureBase
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from scipy.ndimage import rotate

from helpers.figures.inputs import QUANTITIES, ModelOutput, Orientation
from helpers.figures.style import POSITIVE, SIGNED

UNUSABLE = "0.8"  # grey of pixels without usable loops


def map_height(shape: tuple[int, ...], orientation: Orientation) -> float:
    """Height of a map over its width on the page, within ½ and 2 so that no figure gets out of hand."""
    rows, columns = lay_out(np.zeros(shape[-2:]), orientation).shape
    return float(np.clip(rows / columns, 0.5, 2.0))


def lay_out(values: np.ndarray, orientation: Orientation, order: int = 1) -> np.ndarray:
    """Turn and crop a map (rows, columns) for display; NaN outside the scan.

    Where turned it is interpolated linearly or, with `order` 0, taken from the nearest pixel.
    """
    if orientation.angle_deg == 0.0:
        return values
    turned = rotate(values.astype(float), orientation.angle_deg, order=order, cval=np.nan, prefilter=False)
    rows, columns = (round(n * orientation.crop) for n in turned.shape)
    return turned[rows : turned.shape[0] - rows, columns : turned.shape[1] - columns]


def signed_norm(values: np.ndarray) -> CenteredNorm:
    """Symmetric colour scale about zero that clips the outermost 1 % of pixels."""
    half = np.nanpercentile(np.abs(values), 99)
    return CenteredNorm(0.0, halfrange=float(half) or 1.0)


def _scale_bar(ax: Axes, shape: tuple[int, int], orientation: Orientation) -> None:
    """Bar of 1, 2 or 5 units in the lower left corner, on white so that it shows on any map."""
    longest_nm = 1e3 * orientation.size_um / 3
    decade = 10 ** np.floor(np.log10(longest_nm))
    length_nm = decade * max(n for n in (1, 2, 5) if n * decade <= longest_nm)
    label = f"{length_nm:g} nm" if length_nm < 1e3 else f"{length_nm / 1e3:g} µm"
    bar = AnchoredSizeBar(ax.transData, 1e-3 * length_nm * shape[1] / orientation.size_um, label, "lower left",
                          pad=0.25, sep=1.5, borderpad=0.0, size_vertical=0.02 * shape[0],
                          fontproperties=FontProperties(size=5))
    bar.patch.set(linewidth=0.0, alpha=0.85)
    ax.add_artist(bar)


def plot_map(ax: Axes, values: np.ndarray, orientation: Orientation, *, label: str = "",
             norm: Normalize | None = None, colours: Colormap | None = None, order: int = 1) -> Axes:
    """Draw one map, shape (rows, columns), with its scale bar; NaN, at unusable pixels, are grey.

    A colour bar has the `label`, quantity and unit; without one there is none. `norm` is a colour scale to share
    between panels, symmetric about zero where left out. Classes are drawn with `order` 0 (see `lay_out`).
    """
    norm = signed_norm(values) if norm is None else norm
    if colours is None:
        colours = SIGNED if isinstance(norm, CenteredNorm) else POSITIVE
    shown = lay_out(values, orientation, order)
    image = ax.imshow(shown, cmap=colours, norm=norm)
    if np.isnan(values).any():
        inside = np.isfinite(lay_out(np.zeros(values.shape), orientation, order))
        lost = np.where(inside & np.isnan(shown), 0.0, np.nan)
        ax.imshow(lost, cmap=ListedColormap([UNUSABLE]), zorder=-1)
    ax.set_axis_off()
    ax.set_anchor("N")
    if orientation.size_um:
        _scale_bar(ax, values.shape, orientation)
    if label:
        _colour_bar(ax, image, label)
    return ax


def plot_grid(block: FigureBase, maps: np.ndarray, titles: Iterable[str], orientation: Orientation, columns: int,
              norm: Normalize) -> list[Axes]:
    """Posterior means (n_maps, rows, columns) in rows of `columns`, with one colour bar for all; returns the panels."""
    axes = block.subplots(-(-len(maps) // columns), columns, squeeze=False)
    for ax in axes.flat[len(maps):]:
        ax.set_axis_off()
    panels = list(axes.flat[: len(maps)])
    for ax, values, title in zip(panels, maps, titles, strict=True):
        plot_map(ax, values, orientation, norm=norm).set_title(title, pad=1.5)
    block.colorbar(panels[0].images[0], ax=axes, shrink=0.6, extend="both").set_label(QUANTITIES["companion's β-VAE"])
    return panels


def plot_maps(axes: Iterable[Axes], model: ModelOutput, orientation: Orientation) -> None:
    """First maps of a model, each on its own symmetric scale; a panel for which it has none says so."""
    for index, ax in enumerate(axes):
        if index < len(model.maps):
            plot_map(ax, model.maps[index], orientation, label=QUANTITIES[model.name]).set_title(model.names[index])
        else:
            ax.set_axis_off()
            ax.text(0.5, 0.5, "no further\nactive channel", transform=ax.transAxes, ha="center", va="center",
                    color="0.5")


def _colour_bar(ax: Axes, image: AxesImage, label: str) -> None:
    """Colour bar as wide as the map, right below it whatever room the layout leaves."""
    below = ax.inset_axes((0.0, -0.1, 1.0, 0.05))
    low, high = np.nanmin(image.get_array()), np.nanmax(image.get_array())
    clipped = low < image.norm.vmin, high > image.norm.vmax
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(clipped, "neither")
    bar = ax.figure.colorbar(image, cax=below, orientation="horizontal", extend=extend)
    bar.set_label(label, labelpad=1)
    bar.outline.set_linewidth(0.4)
    below.tick_params(length=1.5, pad=1)
    below.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10], min_n_ticks=2))
