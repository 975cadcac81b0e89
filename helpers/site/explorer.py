"""The loop explorer: a map of the scan, the loops of the chosen pixel, loops generated along a channel.

Everything is computed in the reader's browser from arrays on the page: the linear models are their
codes and atoms, spectra are 16-bit integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from bokeh.document import Document
from bokeh.models import (
    CheckboxGroup,
    ColumnDataSource,
    CustomJS,
    Div,
    Legend,
    LinearColorMapper,
    MetricLength,
    Range1d,
    ScaleBar,
    Select,
    Slider,
    UIElement,
)
from bokeh.plotting import figure

from helpers.figures.inputs import QUANTITIES, orientation_of
from helpers.figures.maps import signed_norm
from helpers.figures.spectra import close_loop
from helpers.figures.style import BOUND, DATA, DL, VAE
from helpers.site.drawing import (
    MIDDLE,
    SLIDER,
    WIDE,
    colour_bar,
    draw_maps,
    map_plot,
    plot,
    script,
    signed_colours,
)
from helpers.site.loops import Explored
from helpers.site.packing import Grid, grid, packed

RECONSTRUCTED = {"data": DATA, "DL": DL, "PCA": BOUND, "β-VAE": VAE}
GENERATED = {"generated": DATA}


def explorer(run: Explored, document: Document) -> dict[str, UIElement]:
    """Parts of the explorer by the names of their places on the page; `document` fills them when it is shown.

    They are ``map``, ``colours``, ``embedding``, ``row``, ``column``, ``readout``, ``lines``, ``channel``,
    ``sweep``, ``swept`` and, for each channel i of the loops, ``loop<i>`` and ``generated<i>``.
    """
    rows, columns = (Slider(start=0, end=run.stride * (n - 1), step=run.stride, value=run.stride * (n // 2),
                            title=name.capitalize(), name=name, **SLIDER)
                     for n, name in zip(run.shape, ("row", "column"), strict=True))
    parts = {"row": rows, "column": columns, "readout": Div(**WIDE)}
    lines, generated = (_lines(run, names) for names in (RECONSTRUCTED, GENERATED))
    parts |= _map(run, document, parts, lines)
    loops = {f"loop{i}": _loop_plot(run, i, lines, RECONSTRUCTED) for i in range(len(run.channels))}
    parts |= loops | {"lines": _boxes(loops.values())}
    plots = {f"generated{i}": _loop_plot(run, i, generated, GENERATED) for i in range(len(run.channels))}
    for made in plots.values():
        made.y_range = Range1d()
    return parts | plots | _sweep(run, document, parts["embedding"], generated, plots.values())


def _lines(run: Explored, names: Mapping[str, str]) -> ColumnDataSource:
    """Columns ``<name>_<channel>`` for closed loops, which scripts fill."""
    voltage = close_loop(run.scan.voltage_V)
    empty = {f"{name}_{i}": np.zeros(len(voltage)) for name in names for i in range(len(run.channels))}
    return ColumnDataSource({"voltage": voltage} | empty)


def _loop_plot(run: Explored, index: int, lines: ColumnDataSource, colours: Mapping[str, str]) -> figure:
    label = run.channels[index].label.replace("\n", " ")
    made = plot(height=270, x_axis_label="Voltage (V)", y_axis_label=label)
    if len(colours) > 1:
        made.add_layout(Legend(orientation="horizontal", spacing=10, padding=2, margin=0,
                               background_fill_color=None, border_line_color=None), "above")
    for name, colour in colours.items():
        look = {"source": lines, "color": colour, "name": name}
        look |= {"legend_label": _called(name)} if len(colours) > 1 else {}
        if name == "data":
            made.scatter("voltage", f"data_{index}", size=4, **look)
        made.line("voltage", f"{name}_{index}", line_width=1 if name == "data" else 2, **look)
    return made


def _called(name: str) -> str:
    return "measured" if name == "data" else name


def _boxes(plots: Iterable[figure]) -> CheckboxGroup:
    """Boxes that hide a line in all `plots`, since no key reaches the names drawn above them."""
    boxes = CheckboxGroup(labels=[_called(name) for name in RECONSTRUCTED], inline=True,
                          active=list(range(len(RECONSTRUCTED))), **WIDE)
    same = [[line for made in plots for line in made.select(name=name)] for name in RECONSTRUCTED]
    boxes.js_on_change("active", script("lines.mjs", boxes=boxes, lines=same))
    return boxes


def _pitch(run: Explored) -> float:
    """Micrometres a pixel where the size of the scan is known, else 1."""
    size_um = orientation_of(run.scan).size_um
    return size_um / run.shape[1] if size_um else 1.0


def _map(run: Explored, document: Document, parts: Mapping[str, UIElement],
         lines: ColumnDataSource) -> dict[str, UIElement]:
    """The map with its marker, and what a click or a slider does."""
    # Uncropped, so that every pixel can be reached.
    laid, pitch = grid(run.shape, replace(orientation_of(run.scan), crop=0.0)), _pitch(run)
    colours = signed_colours(1.0)
    made = map_plot(laid, pitch, [(0.0, 0.0)])
    image = draw_maps(made, laid, pitch, [(0.0, 0.0)], colours)
    x, y = (pitch * place for place in laid.centres(run.usable.size))
    place = ColumnDataSource({"x": [], "y": []})
    for colour, width in (("black", 4), ("white", 2)):
        made.scatter("x", "y", source=place, marker="square", size=11, fill_color=None,
                     line_color=colour, line_width=width)
    bar = colour_bar()
    if orientation_of(run.scan).size_um:
        made.add_layout(_scale_bar(made))
    select, again = _embeddings(run, "Map"), _embeddings(run, "Channel")
    shown = _map_script(run, laid, select, image, colours, bar)
    moved = _pixel_script(run, parts, lines, place, x, y)
    made.js_on_event("tap", script(
        "choose.mjs", row=parts["row"], column=parts["column"], cells=laid.pixel.ravel(),
        cell=pitch / laid.cells, width=laid.pixel.shape[1], stride=run.stride, columns=run.shape[1]))
    select.js_on_change("value", shown)
    for one, other in ((select, again), (again, select)):
        one.js_link("value", other, "value")
    for slider in (parts["row"], parts["column"]):
        slider.js_on_change("value", moved)
    for ready in (shown, moved):
        document.js_on_event("document_ready", ready)
    return {"map": made, "embedding": select, "channel": again, "colours": bar}


def _scale_bar(made: figure) -> ScaleBar:
    return ScaleBar(range=made.x_range, unit="µm", dimensional=MetricLength(), location="bottom_left", margin=0,
                    padding=4, border_line_color=None, background_fill_alpha=0.8, bar_line_color=MIDDLE)


def _embeddings(run: Explored, title: str) -> Select:
    """Which map is shown, and which channel swept: its number among all."""
    number = iter(range(sum(map(len, run.names.values()))))
    options = {model: [(str(next(number)), name) for name in names] for model, names in run.names.items()}
    return Select(title=title, options=options, value="0", **WIDE)


def _map_script(run: Explored, laid: Grid, select: Select, image: ColumnDataSource,
                colours: LinearColorMapper, bar: Div) -> CustomJS:
    maps = np.concatenate(list(run.maps.values())).astype(np.float32)
    quantities = [QUANTITIES.get(model, "score") for model, names in run.names.items() for _ in names]
    return script("map.mjs", select=select, image=image, colours=colours, bar=bar, cells=laid.pixel.ravel(),
                  maps=maps.ravel(), halves=[signed_norm(values).vmax for values in maps],
                  quantities=quantities)


def _pixel_script(run: Explored, parts: Mapping[str, UIElement], lines: ColumnDataSource,
                  place: ColumnDataSource, x: np.ndarray, y: np.ndarray) -> CustomJS:
    cubes = {}
    for name, spectra in (("measured", run.measured), ("vae", run.vae)):
        values, scale, zero = packed(spectra)
        cubes |= {name: values.ravel(), f"{name}_scale": list(scale), f"{name}_zero": list(zero)}
    models = list(run.linear.values())
    starts = np.cumsum([0, *(len(model.atoms) for model in models)])
    return script(
        "pixel.mjs", row=parts["row"], column=parts["column"], readout=parts["readout"], lines=lines,
        place=place, stride=run.stride, columns=run.shape[1], usable=run.usable.astype(np.uint8), x=x, y=y,
        **cubes, steps=run.measured.shape[1], channels=len(run.channels), deviation=list(run.deviation),
        names=list(run.linear), starts=starts.tolist(),
        codes=np.concatenate([model.codes.T.ravel() for model in models]).astype(np.float32),
        atoms=np.concatenate([model.atoms.ravel() for model in models]).astype(np.float32),
        offsets=np.concatenate([model.offset.ravel() for model in models]).astype(np.float32))


def _sweep(run: Explored, document: Document, select: Select, lines: ColumnDataSource,
           plots: Iterable[figure]) -> dict[str, UIElement]:
    """The slider that sweeps the chosen channel."""
    values = np.concatenate([values for values, _ in run.swept.values()])
    generated, scale, zero = packed(np.concatenate([loops for _, loops in run.swept.values()]))
    count = values.shape[1]
    slider = Slider(start=0, end=count - 1, value=count // 2, step=1, title="Its value",
                    show_value=False, **SLIDER)
    note = Div(**WIDE)
    swept = script("sweep.mjs", select=select, sweep=slider, lines=lines, note=note, values=values.ravel(),
                   generated=generated.ravel(), scale=list(scale), zero=list(zero), steps=generated.shape[2],
                   channels=len(run.channels), count=count,
                   labels=[name for names in run.names.values() for name in names],
                   ranges=[part.y_range for part in plots])
    slider.js_on_change("value", swept)
    select.js_on_change("value", swept)
    document.js_on_event("document_ready", swept)
    return {"sweep": slider, "swept": note}
