"""Pages of a finished run, written from the templates beside this module."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from bokeh.document import Document
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image
from pygments.formatters import HtmlFormatter

from helpers.scans.reading import load_scan
from helpers.figures.style import TWIN_LABEL
from helpers.ledger import LEGEND, ledger_rows, sweep_numbers, verdict_counts
from helpers.paper import CAPTIONS, PLACES, full_name, inconsistency_rows, number, reproduction_rows
from helpers.paths import Build
from helpers.figures.movies import poster
from helpers.notebooks import NOTEBOOKS
from helpers.record import load_arrays, require
from helpers.site.drawing import embedded, library
from helpers.site.explorer import explorer
from helpers.site.loops import explored
from helpers.site.notebooks import notebook_body
from helpers.site.training import Snapshots, training_maps

STORY = ("fig1", "fig2", "figS9", "fig4", "fig5")
HERE = Path(__file__).parent
# A figure as wide as a page of the journal takes 1080 pixels of a screen, and links to its file.
FILE_DPI, SHOWN_DPI = 300, 150


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
        return {name: _described(listed[name], self.folder) for name in CAPTIONS if name in listed}

    @property
    def build(self) -> Build:
        parameters = self.read("run.json")["parameters"]
        return Build(self.folder.parent.parent, parameters["profile"], parameters["seed"])


def _described(entry: dict, folder: Path) -> dict:
    path, title = require(folder / entry["file"]), CAPTIONS[entry["id"]].title
    more = {"name": full_name(entry["id"]), "title": title[0].upper() + title[1:], "stem": path.stem,
            "drawn": PLACES[entry["source"]]}
    if entry["kind"] == "figure":
        with Image.open(path) as image:
            width, height = (round(n * SHOWN_DPI / FILE_DPI) for n in image.size)
        more |= {"width": width, "height": height}
    return entry | more


def build_site(folder: Path) -> Path:
    """Write ``<folder>/site``, whole or not at all; returns its front page.

    Raises
    ------
    FileNotFoundError
        If the run is not finished.
    """
    site = folder / "site"
    with TemporaryDirectory(dir=folder, prefix=".site-") as scratch:
        _write_pages(Run(folder), Path(scratch, "site"))
        shutil.rmtree(site, ignore_errors=True)
        Path(scratch, "site").rename(site)
    return site / "index.html"


def _write_pages(run: Run, target: Path) -> None:
    for name in ("figures", "movies", "notebooks"):
        (target / name).mkdir(parents=True)
    pages = Pages(run, target)
    _copy(run, target)
    pages.write("index.html", story=STORY)
    pages.write("figures.html", rows=run.read("results/table1.json"))
    pages.write("movies.html")
    pages.write("explorer.html", **_explorer(run))
    pages.write("ledger.html", **_ledger(run))
    bodies = {name: _notebook(run, name) for name in NOTEBOOKS}
    titles = {name: title for name, (title, _) in bodies.items()}
    pages.write("notebooks.html", notebooks=titles)
    for before, name, after in zip(("", *NOTEBOOKS), NOTEBOOKS, (*NOTEBOOKS[1:], "")):
        pages.write(f"notebooks/{name}.html", template="notebook.html", title=titles[name],
                    body=Markup(bodies[name][1]), titles=titles, before=before, after=after)


class Pages:
    """Templates with what all of them need."""

    def __init__(self, run: Run, target: Path):
        self.target = target
        self.environment = Environment(
            loader=PackageLoader("helpers.site"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True)
        self.environment.filters |= {"number": number, "marked": _marked}
        facts = run.read("run.json")
        self.environment.globals |= {
            "entries": run.entries, "metrics": run.read("metrics.json"), "run": facts,
            "simulated": TWIN_LABEL if facts["data"]["source"] == "twin" else "",
            "published": facts["data"]["source"] == "measured" and load_scan(run.build.results / "scan.h5").turned}

    def write(self, name: str, template: str = "", **values) -> None:
        """Render the template of that name; links of pages in a folder lead up through ``root``."""
        found = self.environment.get_template(template or name)
        text = found.render(page=name, root="../" * name.count("/"), **values)
        (self.target / name).write_text(text, encoding="utf-8")


def _marked(text: str) -> Markup:
    """Text in which `names` stand between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _copy(run: Run, target: Path) -> None:
    """Figures, small ones to show, movies with a frame of each, styles."""
    for entry in run.entries.values():
        source = run.folder / entry["file"]
        if entry["kind"] == "figure":
            shutil.copy(source, target / "figures")
            shutil.copy(require(source.with_suffix(".pdf")), target / "figures")
            with Image.open(source) as image:
                # Twice the pixels of the page serve fine screens.
                image.convert("RGB").resize((2 * entry["width"], 2 * entry["height"])).save(
                    target / f"figures/{source.stem}.webp", quality=80)
        elif entry["kind"] == "movie":
            shutil.copy(source, target / "movies")
            (target / f"movies/{source.stem}.jpg").write_bytes(poster(source))
    colours = {scheme: HtmlFormatter(style=style).get_style_defs(".highlight")
               for scheme, style in (("light", "default"), ("dark", "github-dark"))}
    code = [f"@media (prefers-color-scheme: {scheme}) {{ {rules} }}" for scheme, rules in colours.items()]
    style = (HERE / "templates/style.css").read_text(encoding="utf-8")
    (target / "style.css").write_text("\n".join([style, *code]), encoding="utf-8")


def _explorer(run: Run) -> dict:
    found = explored(run.folder, run.build.profile)
    document = Document()
    parts = explorer(found, document) | training_maps(snapshots(run.folder, found.stride), document)
    code, places = embedded(parts, document)
    return {"code": Markup(code), "places": {name: Markup(place) for name, place in places.items()},
            "library": Markup(library()),
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
