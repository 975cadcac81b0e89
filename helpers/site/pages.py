"""Pages of a finished run, written from the templates beside this module."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import imageio_ffmpeg
from bokeh.document import Document
from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image
from pygments.formatters import HtmlFormatter

from helpers.data import load_scan
from helpers.figures.style import TWIN_LABEL
from helpers.ledger import (
    inconsistency_rows,
    ledger_rows,
    sweep_numbers,
    verdict_counts,
)
from helpers.paths import Build
from helpers.readme import TITLES
from helpers.record import NOTEBOOKS, load_arrays, require
from helpers.site.drawing import follow_theme
from helpers.site.explorer import explorer
from helpers.site.loops import explored
from helpers.site.notebooks import notebook_body
from helpers.site.training import Snapshots, training_maps
from helpers.tables import number, reproduction_rows
from helpers.verdicts import LEGEND

STORY = ("fig1", "fig2", "figS9", "fig4", "fig5")
SOURCES = {"measured": "measured loops", "twin": TWIN_LABEL, "toy": "toy spectra", "schematic": "schematic"}
HERE = Path(__file__).parent
SHOWN_WIDTH = 1400  # pixels of a picture on a page, of which each links to its file


@dataclass(frozen=True)
class Run:
    """A finished run: ``build/<profile>/seed<seed>``."""

    folder: Path

    def read(self, name: str):
        """One of the files of JSON at the top of the run, or below it."""
        return json.loads(require(self.folder / name).read_text(encoding="utf-8"))

    @cached_property
    def entries(self) -> dict[str, dict[str, str]]:
        """Manifest by identifier, in the paper's order, with name, caption and alternative text."""
        listed = {entry["id"]: entry for entry in self.read("manifest.json")}
        return {name: _described(listed[name]) for name in TITLES if name in listed}

    @property
    def build(self) -> Build:
        parameters = self.read("run.json")["parameters"]
        return Build(self.folder.parent.parent, parameters["profile"], parameters["seed"])


def _described(entry: dict[str, str]) -> dict[str, str]:
    name = entry["id"].replace("movieS", "Movie S").replace("fig", "Figure ").replace("table", "Table ")
    title = TITLES[entry["id"]]
    panels = f"Panels {entry['panels']}." if entry["panels"] else ""
    return entry | {"name": name, "title": title, "stem": Path(entry["file"]).stem,
                    "caption": entry.get("caption") or panels, "alt": entry.get("alt") or f"{name}: {title}",
                    "drawn": SOURCES[entry["source"]]}


def build_site(folder: Path) -> Path:
    """Write ``<folder>/site``, whole or not at all; returns its front page.

    Raises
    ------
    FileNotFoundError
        If the run is not finished.
    """
    run, site, fresh = Run(folder), folder / "site", folder / ".site"
    shutil.rmtree(fresh, ignore_errors=True)
    for name in ("figures", "movies", "notebooks"):
        (fresh / name).mkdir(parents=True)
    _copy(run, fresh)
    pages = Pages(run, fresh)
    pages.write("index.html", story=STORY)
    pages.write("figures.html", rows=run.read("results/table1.json"))
    pages.write("movies.html")
    pages.write("explorer.html", **_explorer(run))
    pages.write("ledger.html", **_ledger(run))
    bodies = {name: _notebook(run, name) for name in NOTEBOOKS}
    pages.write("notebooks.html", notebooks={name: title for name, (title, _) in bodies.items()})
    for name, (title, body) in bodies.items():
        pages.write(f"notebooks/{name}.html", template="notebook.html", title=title, body=Markup(body))
    shutil.rmtree(site, ignore_errors=True)
    fresh.rename(site)
    return site / "index.html"


class Pages:
    """Templates with what all of them need."""

    def __init__(self, run: Run, target: Path):
        self.target = target
        self.environment = Environment(loader=PackageLoader("helpers.site"), autoescape=True, undefined=StrictUndefined,
                                       trim_blocks=True, lstrip_blocks=True)
        self.environment.filters |= {"number": number, "marked": _marked}
        facts = run.read("run.json")
        self.environment.globals |= {"entries": run.entries, "metrics": run.read("metrics.json"), "run": facts,
                                     "simulated": TWIN_LABEL if facts["data"]["source"] == "twin" else ""}

    def write(self, name: str, template: str = "", **values) -> None:
        """Render the template of that name; links of pages in a folder lead up through ``root``."""
        text = self.environment.get_template(template or name).render(page=name, root="../" * name.count("/"), **values)
        (self.target / name).write_text(text, encoding="utf-8")


def _marked(text: str) -> Markup:
    """Text in which `names` stand between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _copy(run: Run, target: Path) -> None:
    """Pictures at the size of a page, the files that they link to, movies with a frame of each, styles."""
    for entry in run.entries.values():
        source = require(run.folder / entry["file"])
        if entry["kind"] == "figure":
            shutil.copy(source, target / "figures")
            shutil.copy(source.with_suffix(".pdf"), target / "figures")
            with Image.open(source) as image:
                _save_small(image, target / f"figures/{source.stem}.webp")
        elif entry["kind"] == "movie":
            shutil.copy(source, target / "movies")
            _save_small(_frame(source), target / f"movies/{source.stem}.webp")
    code = "\n".join(f"@media (prefers-color-scheme: {scheme}) {{ {HtmlFormatter(style=style).get_style_defs('.highlight')} }}"
                     for scheme, style in (("light", "friendly"), ("dark", "github-dark")))
    (target / "style.css").write_text((HERE / "templates/style.css").read_text(encoding="utf-8") + code, encoding="utf-8")


def _save_small(image: Image.Image, path: Path) -> None:
    shown = image.convert("RGB")
    shown.thumbnail((SHOWN_WIDTH, 2 * SHOWN_WIDTH))
    shown.save(path, quality=85)


def _frame(movie: Path) -> Image.Image:
    """The frame in the middle of a movie."""
    facts = next(imageio_ffmpeg.read_frames(str(movie)))
    frames = imageio_ffmpeg.read_frames(str(movie), input_params=["-ss", f"{facts['duration'] / 2:.2f}"])
    next(frames)
    picture = Image.frombytes("RGB", facts["size"], next(frames))
    frames.close()
    return picture


def _explorer(run: Run) -> dict:
    found = explored(run.folder, run.build.profile)
    document = Document()
    parts = explorer(found, document) | training_maps(snapshots(run.folder, found.stride), document)
    for name, part in parts.items():
        part.name = name
        document.add_root(part)
    follow_theme(document)
    code, places = components(parts)
    return {"code": Markup(code), "places": {name: Markup(place) for name, place in places.items()},
            "library": Markup(Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).render()),
            "keys": Markup((HERE / "keys.js").read_text(encoding="utf-8")), "stride": found.stride,
            "channels": [channel.name for channel in found.channels], "atoms": len(found.maps["DL"])}


def snapshots(folder: Path, stride: int) -> Snapshots:
    """Maps of the scan through the training of a finished run: channels that were ever open."""
    scan, stored = load_scan(folder / "results/scan.h5"), load_arrays(folder / "results/vae_beps.npz")
    return Snapshots.of(scan, stored, stride)


def _ledger(run: Run) -> dict:
    metrics = run.read("metrics.json")
    rows = ledger_rows(metrics, sweep_numbers(run.build, run.read("run.json")["data"]["sha256"]))
    counts = {verdict: count for verdict, count in verdict_counts(rows).items() if count}
    return {"rows": rows, "counts": counts, "legend": LEGEND, "inconsistencies": inconsistency_rows(),
            "numbers": reproduction_rows(metrics)}


def _notebook(run: Run, name: str) -> tuple[str, str]:
    return notebook_body(require(run.folder / f"notebooks/{name}.ipynb"),
                         {key: entry["alt"] for key, entry in run.entries.items()})
