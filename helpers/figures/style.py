"""Look shared by every figure: sizes, colours, panel letters, source label, saving."""

import json
import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from string import ascii_lowercase

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter
from PIL import Image

from helpers.paths import atomic

# Text widths of a two-column journal page, in inches.
COLUMN, PAGE = 3.5, 7.2

# Okabe-Ito colours: told apart with any colour vision and in grey print.
DATA, DL, VAE, BOUND = "#262626", "#D55E00", "#0072B2", "#009E73"
MODEL_COLOURS = {"DL": DL, "companion's β-VAE": VAE, "paper's β-VAE": VAE, "PCA": BOUND}

# Pictures within notebooks are sharp on screens of twice the usual density, and have few enough colours to be small.
NOTEBOOK_DPI, FILE_DPI, COLOURS = 220, 300, 256

# Signed values: dark at zero, and cut where the ends would be too light for lines on white paper (contrast 3 : 1).
SIGNED = ListedColormap(mpl.colormaps["managua_r"](np.linspace(0.17, 0.83, 256)), "signed")
POSITIVE = "viridis"

TWIN_LABEL = "simulated data (twin), not a measurement"
SOURCES = ("measured", "twin", "toy", "schematic")

mpl.rcParams.update({
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "mathtext.fontset": "dejavusans",
    "font.size": 7, "axes.titlesize": 7, "axes.titlepad": 3, "axes.titlelocation": "left",
    "axes.labelsize": 7, "axes.labelpad": 2,
    "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "xtick.labelsize": 6, "xtick.major.width": 0.6, "xtick.major.size": 2.5, "xtick.minor.size": 1.5,
    "xtick.major.pad": 2, "ytick.labelsize": 6, "ytick.major.width": 0.6, "ytick.major.size": 2.5,
    "ytick.minor.size": 1.5, "ytick.major.pad": 2,
    "lines.linewidth": 1.0, "lines.markersize": 3,
    "legend.fontsize": 6, "legend.title_fontsize": 6, "legend.frameon": False, "legend.handlelength": 1.4,
    "figure.constrained_layout.w_pad": 0.03, "figure.constrained_layout.h_pad": 0.03,
    "figure.dpi": 150, "image.interpolation": "nearest", "pdf.fonttype": 42,
})


class PageFigure(Figure):
    """Figure that a notebook shows without pyplot; `alt`, else its named axes, is read to those who do not see it."""

    alt = ""

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        drawn, buffer = BytesIO(), BytesIO()
        self.savefig(drawn, format="png", dpi=NOTEBOOK_DPI)
        with Image.open(drawn) as image:
            few = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
            few.save(buffer, "png", optimize=True)
        return buffer.getvalue(), {"alt": self.alt or named_axes(self), "width": few.width // 2}


def page_figure(height: float, width: float = PAGE, source: str = "toy") -> PageFigure:
    """Empty figure of the given size (inches) whose panels are spaced automatically.

    `source` is the origin of the data, as in `helpers.figures.inputs.Look`; a ValueError names an unknown one. The
    bottom right corner of a figure of simulated loops, which could be taken for a measurement, says so.
    """
    if source not in SOURCES:
        raise ValueError(f"the source of the data is {source!r}: expected one of {SOURCES}; "
                         "pass on the `source` of the scan")
    figure = PageFigure(figsize=(width, height), layout="constrained")
    if source == "twin":
        figure.supxlabel(TWIN_LABEL, x=0.995, ha="right", fontsize=6, style="italic", color="0.35")
    return figure


def page_panels(height: float, rows: int = 1, columns: int = 1, width: float = PAGE, source: str = "toy",
                **spacing) -> tuple[PageFigure, Axes | np.ndarray]:
    """A `page_figure` and its panels, as `Figure.subplots` gives them."""
    figure = page_figure(height, width, source)
    return figure, figure.subplots(rows, columns, **spacing)


def letter_panels(axes: Iterable[Axes], letters: str = ascii_lowercase) -> Figure:
    """Put a bold letter before the title of each panel; returns the figure that they stand on."""
    for ax, letter in zip(axes, letters, strict=False):
        ax.set_title(rf"$\mathbf{{{letter}}}$  {ax.get_title(loc='left')}".strip())
    return ax.get_figure(root=True)


def plain(value: float) -> str:
    """Two significant digits, small ones as a power of ten."""
    text = f"{value:.2g}"
    if "e" not in text:
        return text
    digits, exponent = text.split("e")
    return rf"${digits}\times10^{{{int(exponent)}}}$"


def panel_letters(figure: Figure) -> list[str]:
    """Letters of the panels that a figure has, in alphabetical order."""
    found = (re.match(r"\$\\mathbf\{(\w)\}\$", ax.get_title(loc="left")) for ax in figure.axes)
    return sorted(match[1] for match in found if match)


def named_axes(figure: Figure) -> str:
    """One sentence that names what is drawn against what, each once."""
    maps = sum(bool(ax.images) for ax in figure.axes)
    parts = [f"{maps} map{'s' * (maps > 1)}"] if maps else []
    for ax in figure.axes:
        title = re.sub(r"\$\\mathbf\{\w\}\$", "", ax.get_title(loc="left") or ax.get_title()).strip()
        labels = " against ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
        parts.append(", ".join(filter(None, (title, labels))))
    return " ".join(f"Figure: {'; '.join(filter(None, dict.fromkeys(parts)))}.".split())


def plain_log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers: a few of every decade, one of many, or all where it spans less.

    Below 0.0001 they are powers of ten. Labels of a horizontal axis stand side by side: there is room for fewer.
    """
    low, high = sorted(axis.get_view_interval())
    few = (1.0, 2.0, 5.0) if high < 1e4 * low else (1.0,)
    if axis.axis_name == "x":
        few = (1.0, 3.0) if high < 300 * low else (1.0,)
    every = range(1, 10) if axis.axis_name == "y" or high < 2.5 * low else (1, 2, 3, 5, 7)
    axis.set_major_locator(LogLocator(subs=few if high > 5 * low else every))
    # Not "0.0001" beside "1e-05".
    axis.set_major_formatter("{x:g}" if low > 9e-5 else LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))
    axis.set_minor_formatter(NullFormatter())


def save_figure(figure: Figure, path: Path | str, *, provenance: Mapping[str, str]) -> tuple[Path, Path]:
    """Write the figure as PNG and PDF, each whole or not at all, and return their paths; an OSError names a failed one.

    `path` has no suffix, as in ``figures/fig4``; `provenance` is stored as JSON in the metadata of both files.
    """
    path = Path(path)
    note = json.dumps(dict(provenance), ensure_ascii=False)
    # No date: the same figure gives the same bytes.
    png, pdf = (path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf"))
    for target, metadata in ((png, {"Description": note}), (pdf, {"Subject": note, "CreationDate": None})):
        with atomic(target) as temporary:
            figure.savefig(temporary, dpi=FILE_DPI, metadata={"Title": path.name, **metadata})
    return png, pdf
