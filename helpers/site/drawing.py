"""Parts that the interactive pages share: plots in the house colours, maps, scripts of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.models import (
    Axis,
    ColumnDataSource,
    CustomJS,
    Div,
    Legend,
    Line,
    LinearColorMapper,
    ScaleBar,
    Scatter,
    Text,
    UIElement,
)
from bokeh.models import Grid as GridLines
from bokeh.plotting import figure
from bokeh.resources import Resources
from matplotlib.colors import to_hex

from helpers.figures.maps import UNUSABLE
from helpers.figures.style import DATA, SIGNED, VAE
from helpers.site.packing import Grid

PALETTE = [to_hex(colour) for colour in mpl.colormaps[SIGNED](np.linspace(0, 1, 256))]
GREY = to_hex(UNUSABLE)
CLEAR = (0, 0, 0, 0)
# Controls in the colours of a light or dark page; a finger finds the handle of a slider beside it as well.
CONTROLS = Path(__file__).with_name("controls.css").read_text(encoding="utf-8")
# Of controls and lines of text: as wide as their place, letters as large as the page's.
WIDE = {"sizing_mode": "stretch_width", "styles": {"font-size": "15px"}, "stylesheets": [CONTROLS]}
MIDDLE = "#7a8794"  # seen on white and on black
SLIDER = WIDE | {"bar_color": MIDDLE}


def script(name: str, **args) -> CustomJS:
    """A script of this folder as a callback; `args` are its models and arrays."""
    return CustomJS.from_file(Path(__file__).with_name(name), **args)


def plot(**settings) -> figure:
    """An empty plot as wide as its place, without tools: a finger that crosses it scrolls the page."""
    made = figure(toolbar_location=None, tools="", sizing_mode="stretch_width", background_fill_color=None,
                  border_fill_color=None, outline_line_color=None, **settings)
    made.axis.axis_label_text_font_style = "normal"
    return made


def signed_colours(half: float) -> LinearColorMapper:
    """Colours of values from -`half` to `half`, as in the figures."""
    return LinearColorMapper(PALETTE, low=-half, high=half, nan_color=CLEAR)


def colour_bar(label: str = "", half: float = 0.0) -> Div:
    """A bar of the colours of signed values, above its ends and its quantity, which scripts may change."""
    shades = f"linear-gradient(to right, {', '.join(PALETTE[::15])})"
    bar = f'<span style="display: block; height: 10px; background: {shades}">'
    ends = "".join(f"<span>{text}</span>" for text in (f"−{half:.3g}", label, f"{half:.3g}"))
    ends = f'<span style="display: flex; justify-content: space-between">{ends}</span>'
    return Div(text=f"{bar}</span>{ends}", **WIDE | {"stylesheets": [".bk-clearfix { width: 100%; }"]})


def map_plot(grid: Grid, pitch: float, places: Sequence[tuple[float, float]], **settings) -> figure:
    """A plot for maps with their lower left corners at `places`; its axes count `pitch` a pixel."""
    width = max(x for x, _ in places) + pitch * grid.width
    height = settings.pop("height", max(y for _, y in places) + pitch * grid.height)
    made = plot(x_range=(0, width), y_range=(0, height), aspect_ratio=width / height, min_border=0,
                **settings)
    made.axis.visible = False
    made.grid.visible = False
    return made


def draw_maps(made: figure, grid: Grid, pitch: float, places: Sequence[tuple[float, float]],
              colours: LinearColorMapper) -> ColumnDataSource:
    """Maps on a grey ground, which shows where there is no value; scripts fill the column ``values``."""
    size = {"dw": pitch * grid.width, "dh": pitch * grid.height}
    corners = {"x": [x for x, _ in places], "y": [y for _, y in places]}
    ground = np.where(grid.pixel >= 0, 1.0, np.nan).astype(np.float32)
    made.image([ground] * len(places), **corners, **size,
               color_mapper=LinearColorMapper([GREY], low=0, high=1, nan_color=CLEAR))
    empty = [np.full(grid.pixel.shape, np.nan, np.float32) for _ in places]
    source = ColumnDataSource({"values": empty} | corners)
    made.image("values", x="x", y="y", **size, source=source, color_mapper=colours)
    return source


def library() -> str:
    """The part of Bokeh that the pages need, as scripts that are written into them."""
    return Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).render()


def embedded(parts: Mapping[str, UIElement], document: Document) -> tuple[str, dict[str, str]]:
    """The script that draws the parts of a document, and the place of each on a page."""
    for name, part in parts.items():
        part.name = name
        document.add_root(part)
    _follow_theme(document)
    document.js_on_event("document_ready", script("reach.mjs"))
    return components(dict(parts))


def _follow_theme(document: Document) -> None:
    """Paint the plots of a document for light or dark pages, when it is shown and when that changes."""
    kinds = {"axes": Axis, "grids": GridLines, "legends": Legend, "texts": Text, "bars": ScaleBar}
    found = {name: list(document.select({"type": kind})) for name, kind in kinds.items()}
    glyphs = [*document.select({"type": Line}), *document.select({"type": Scatter})]
    by_colour = {name: [glyph for glyph in glyphs if glyph.line_color == colour]
                 for name, colour in (("inks", DATA), ("strong", VAE))}
    document.js_on_event("document_ready", script("theme.mjs", **found, **by_colour))
