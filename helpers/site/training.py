"""Embedding maps through the training, with a slider: in the explorer and in notebook 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ipywidgets
import numpy as np
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Div, Slider, UIElement
from IPython import get_ipython
from IPython.display import HTML, display

from helpers.scans.scan import Scan
from helpers.figures.inputs import QUANTITIES, Orientation, orientation_of
from helpers.figures.maps import map_height, plot_map, signed_norm
from helpers.figures.style import (
    PAGE,
    TWIN_LABEL,
    PageFigure,
    label_source,
    page_figure,
)
from helpers.site.drawing import (
    SLIDER,
    WIDE,
    colour_bar,
    draw_maps,
    embedded,
    library,
    map_plot,
    script,
    signed_colours,
)
from helpers.site.frames import framed
from helpers.site.packing import grid, packed_maps

EMBEDDED_BYTES = 250_000  # of maps in an output, so that a notebook stays below 2 MiB
STRIP = 4  # snapshots of the static picture
ACROSS = 3  # maps side by side, readable on a phone
TITLE = "Embedding maps through the training"
CAPTION_SHARE = 0.2  # of the height of a map, above it


@dataclass(frozen=True)
class Snapshots:
    """Maps of a training.

    Attributes
    ----------
    maps : ndarray, shape (n_snapshots, n_channels, rows, columns)
        Posterior means, the same channels in the same order at every snapshot; NaN at unusable pixels.
    kl : ndarray, shape (n_snapshots, n_channels)
        Mean KL of each channel (nat).
    epochs, beta, mse : ndarray, shape (n_snapshots,)
        Epoch, β and mean squared error (s.d.²).
    names : tuple of str
        Of the channels.
    source : str
        "measured", "twin" or "toy".
    orientation : Orientation
        Of the maps on the page.
    """

    maps: np.ndarray
    kl: np.ndarray
    epochs: np.ndarray
    beta: np.ndarray
    mse: np.ndarray
    names: tuple[str, ...]
    source: str
    orientation: Orientation

    @classmethod
    def of(cls, scan: Scan, stored: Mapping[str, np.ndarray], stride: int = 1) -> Snapshots:
        """What notebook 3 keeps of the training on a scan: channels ever open, the largest KL first.

        Parameters
        ----------
        scan : Scan
        stored : mapping of str to ndarray
            Content of ``vae_beps.npz``.
        stride : int
            Take every so manieth row and column.
        """
        embeddings = stored["snapshot_embeddings"]
        order = [k for k in stored["order"] if embeddings[..., k].any()]
        maps = np.stack([scan.maps(codes)[:, ::stride, ::stride] for codes in embeddings[..., order]])
        return cls(maps, stored["snapshot_kl"][:, order], stored["snapshot_epochs"], stored["snapshot_beta"],
                   stored["snapshot_mse"], tuple(f"z{k + 1}" for k in order), scan.source,
                   orientation_of(scan))

    def thinned(self, most: int) -> Snapshots:
        """Evenly spaced snapshots, from the first to the last, of at most `most` pixels in all."""
        count = int(np.clip(most // self.maps[0].size, 2, len(self.maps)))
        chosen = np.linspace(0, len(self.maps) - 1, count).round().astype(int)
        kept = ("maps", "kl", "epochs", "beta", "mse")
        return replace(self, **{name: getattr(self, name)[chosen] for name in kept})

    @property
    def half(self) -> float:
        """Where the colour scale ends: fixed by the second half of the training, as in Movie S5."""
        return float(signed_norm(self.maps[len(self.maps) // 2:]).vmax)

    def title(self, index: int) -> str:
        """Epoch, β and error of a snapshot."""
        return f"epoch {self.epochs[index]}, β = {self.beta[index]:.3g}, error {self.mse[index]:.3g} s.d.²"


def training_maps(kept: Snapshots, document: Document) -> dict[str, UIElement]:
    """Slider ``training``, text ``trained``, ``maps`` and ``shades``, which `document` fills when shown."""
    count, laid = kept.maps.shape[1], grid(kept.maps.shape[2:], kept.orientation)
    step = laid.height * (1 + CAPTION_SHARE)
    down = -(-count // ACROSS)
    places = [(1.04 * laid.width * (i % ACROSS), step * (down - 1 - i // ACROSS)) for i in range(count)]
    made = map_plot(laid, 1.0, places, height=step * down)
    image = draw_maps(made, laid, 1.0, places, signed_colours(kept.half))
    captions = ColumnDataSource({"x": [x for x, _ in places], "text": [""] * count,
                                 "y": [y + 1.015 * laid.height for _, y in places]})
    made.text("x", "y", "text", source=captions, text_font_size="13px", text_baseline="bottom")
    last = len(kept.maps) - 1
    slider = Slider(start=0, end=last, value=last, step=1, title="Snapshot of the training",
                    show_value=False, **SLIDER)
    parts = {"training": slider, "trained": Div(**WIDE), "maps": made,
             "shades": colour_bar(QUANTITIES["β-VAE"], kept.half)}
    maps, scale = packed_maps(kept.maps, kept.half)
    moved = script(
        "training.mjs", slider=slider, image=image, captions=captions, note=parts["trained"],
        maps=maps.ravel(), scale=scale, cells=laid.pixel.ravel(), pixels=maps[0, 0].size,
        names=list(kept.names), kl=kept.kl.tolist(),
        titles=[kept.title(index) for index in range(len(kept.maps))])
    slider.js_on_change("value", moved)
    document.js_on_event("document_ready", moved)
    return parts


def training_strip(kept: Snapshots, chosen: Sequence[int]) -> PageFigure:
    """A row of maps, one of each channel, for each of the `chosen` snapshots; one colour bar for all."""
    count, tall = kept.maps.shape[1], map_height(kept.maps.shape, kept.orientation)
    width = min(PAGE, 1.1 * count)
    heights = np.full(len(chosen), width / count * tall + 0.35)
    heights[-1] += 0.3  # the colour bar
    figure = page_figure(heights.sum(), width)
    norm = signed_norm(kept.maps[len(kept.maps) // 2:])
    lines = figure.subfigures(len(chosen), 1, squeeze=False, height_ratios=heights)[:, 0]
    for line, index in zip(lines, chosen, strict=True):
        line.suptitle(kept.title(index), x=0.01, ha="left", fontsize=7)
        axes = line.subplots(1, count, squeeze=False)[0]
        for ax, values, name in zip(axes, kept.maps[index], kept.names, strict=True):
            first_of_last = line is lines[-1] and ax is axes[0]
            plot_map(ax, values, kept.orientation, label=QUANTITIES["β-VAE"] if first_of_last else "", norm=norm)
            ax.set_title(name, loc="left", pad=1.5)
    figure.alt = (f"Maps of {', '.join(kept.names)}, from left to right, at epoch "
                  f"{', '.join(str(kept.epochs[index]) for index in chosen)}, from top to bottom.")
    label_source(figure, kept.source)
    return figure


def attended() -> bool:
    """Whether a person sits at this kernel: a run by papermill takes no input."""
    shell = get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return bool(request.get("content", {}).get("allow_stdin"))


def show_training(kept: Snapshots) -> None:
    """Show the maps of a training with a slider.

    At a live kernel the slider is an ipywidget. Else some of the maps are drawn, and below them stands
    a page of its own, whose slider works wherever scripts may run.
    """
    last = len(kept.maps) - 1
    if attended():
        slider = ipywidgets.SelectionSlider(
            # Short, since the slider cuts what is longer; the rest stands above the maps.
            options=[(f"epoch {epoch}", index) for index, epoch in enumerate(kept.epochs)], value=last,
            description="Snapshot", layout={"width": "100%"})
        ipywidgets.interact(lambda snapshot: display(training_strip(kept, [snapshot])), snapshot=slider)
    else:
        display(training_strip(kept, np.unique(np.linspace(0, last, STRIP).round().astype(int)).tolist()))
        display(HTML(framed(training_page(kept.thinned(EMBEDDED_BYTES)), TITLE)))


def training_page(kept: Snapshots) -> str:
    """The slider and its maps as one HTML page that needs no network."""
    document = Document()
    parts = training_maps(kept, document)
    code, places = embedded(parts, document)
    label = TWIN_LABEL if kept.source == "twin" else ""
    return BARE_PAGE.format(
        title=TITLE, library=library(), label=label, places="\n".join(places.values()), code=code)


BARE_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title>
{library}
</head>
<body style="margin: 0 auto; padding: 0 .5rem; max-width: 44rem; font-family: system-ui, sans-serif">
{places}
<p><i>{label}</i></p>
{code}
</body>
</html>"""
