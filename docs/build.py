"""A finished run as a site: ``python -m docs.build build/laptop/seed0``, or `make site`.

The pages of this folder are Jinja templates of Markdown, filled from the run. Sphinx makes HTML of them, of
the run's executed notebooks and of the READMEs.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sphinx.cmd.build import build_main

from docs.explorer import explorer_data, packed
from helpers.figures.movies import poster
from helpers.figures.style import TWIN_LABEL
from helpers.ledger import LEGEND, SUBJECTS, VERDICTS, ledger_rows, sweep_numbers, verdict_counts
from helpers.notebooks import NOTEBOOKS
from helpers.paper import CAPTIONS, PLACES, as_markdown, full_name, inconsistency_rows, number, reproduction_rows
from helpers.paths import ROOT, Build, require

HERE = Path(__file__).parent
READMES = ("README.md", "data/README.md", "workflow/README.md")
LINK = re.compile(r"(?<!!)\[(?!!)([^\]]*)\]\((?!https?:|#)([^)]+)\)")
PICTURE = re.compile(r"!?\[!\[[^\]]*\]\(https?:[^)]*\)\]\([^)]*\)")  # a badge, which would be fetched


def build_site(folder: Path) -> Path:
    """Write ``<folder>/site``, whole or not at all; returns its front page.

    Parameters
    ----------
    folder : Path
        ``build/<profile>/seed<seed>``.

    Raises
    ------
    FileNotFoundError
        If the run is not finished.
    RuntimeError
        If Sphinx finds fault with a page.
    """
    with TemporaryDirectory(dir=folder, prefix=".site-") as scratch:
        source, target = Path(scratch, "source"), Path(scratch, "site")
        announcement = write_sources(folder, source)
        if build_main(["-q", "-W", "--keep-going", "-c", str(HERE), "-d", f"{scratch}/doctrees", *announcement,
                       str(source), str(target)]):
            raise RuntimeError(f"no site of {folder} was made: expected pages without the warnings above; mend them")
        for debugging in target.rglob("*.map"):  # of the theme's own scripts and styles, a tenth of the pages
            debugging.unlink()
        shutil.copytree(source / "movies", target / "movies")
        shutil.copy(source / "loops.js", target)
        shutil.rmtree(folder / "site", ignore_errors=True)
        target.rename(folder / "site")
    return folder / "site/index.html"


def write_sources(folder: Path, source: Path) -> list[str]:
    """Write everything that Sphinx reads; returns its options for this run."""
    def read(name: str):
        return json.loads(require(folder / name).read_text(encoding="utf-8"))

    metrics, run = read("metrics.json"), read("run.json")
    listed = {entry["id"]: entry for entry in read("manifest.json")}
    entries = {name: _described(folder, listed[name]) for name in CAPTIONS if name in listed}
    for name in ("notebooks", "data/reference", "workflow", "movies"):
        (source / name).mkdir(parents=True)
    shutil.copytree(folder / "figures", source / "figures")
    for entry in entries.values():
        if entry["kind"] == "movie":
            shutil.copy(folder / entry["file"], source / "movies")
            (source / f"movies/{entry['stem']}.jpg").write_bytes(poster(folder / entry["file"]))
    reference = ROOT / "data/reference"
    for path in (*reference.glob("*.png"), *reference.glob("*.webp")):
        shutil.copy(path, source / "data/reference")
    for name in NOTEBOOKS:
        write_notebook(require(folder / f"notebooks/{name}.ipynb"), source / f"notebooks/{name}.ipynb")
    for name in READMES:
        text = (ROOT / name).read_text(encoding="utf-8")
        (source / name).write_text(LINK.sub(_to_a_page, PICTURE.sub("", text)), encoding="utf-8")
    profile, seed = (run["parameters"][name] for name in ("profile", "seed"))
    rows = ledger_rows(metrics, sweep_numbers(Build(folder.parent.parent, profile, seed), run["data"]["sha256"]))
    explorer = explorer_data(folder, profile)
    (source / "loops.js").write_text(f"const EXPLORER = {json.dumps(packed(explorer))}", encoding="utf-8")
    write_pages(source, entries=entries, metrics=metrics, run=run, rows=rows, subjects=SUBJECTS,
                counts=[{"verdict on": who} | {verdict: str(found.get(verdict, "")) for verdict in VERDICTS[:-1]}
                        for who, found in verdict_counts(rows).items()],
                legend=LEGEND, inconsistencies=inconsistency_rows(), numbers=reproduction_rows(metrics),
                notebooks=list(NOTEBOOKS), table1=read("results/table1.json"), explorer=explorer)
    simulated = run["data"]["source"] == "twin"
    origin = TWIN_LABEL if simulated else f"measured loops: {run['data']['file']}"
    options = {"extra_footer": f"Profile {profile}, seed {seed}; {origin}. Code: BSD-3-Clause."}
    if simulated:
        options["announcement"] = f"{TWIN_LABEL.capitalize()}. Loops, maps and numbers of the scan come from the twin."
    return [part for name, text in options.items() for part in ("-D", f"html_theme_options.{name}={text}")]


def write_pages(source: Path, **values) -> None:
    """Fill the templates of this folder."""
    environment = Environment(loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)
    environment.filters |= {"number": number, "table": as_markdown, "plain": plain}
    for page in sorted(HERE.glob("*.md")):
        text = environment.get_template(page.name).render(**values)
        (source / page.name).write_text(text, encoding="utf-8")


def _to_a_page(link: re.Match) -> str:
    """A link of a README as it is, or its words where it leads to a file that is no page."""
    return link[0] if link[2].partition("#")[0].endswith((".ipynb", "README.md")) else link[1]


def _described(folder: Path, entry: dict) -> dict:
    path, title = require(folder / entry["file"]), CAPTIONS[entry["id"]].title
    return entry | {"name": full_name(entry["id"]), "title": title[0].upper() + title[1:], "stem": path.stem,
                    "drawn": PLACES[entry["source"]]}


def plain(text: str) -> str:
    """Text in which Markdown finds no marks but those of code."""
    return re.sub(r"`[^`]*`|[\\*_{}\[\]<>#$|~]", lambda found: ("" if "`" in found[0] else "\\") + found[0], text)


def write_notebook(path: Path, target: Path) -> None:
    """Copy an executed notebook without what papermill and Colab need; pictures keep their alternative text."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])
                      and not cell.id.startswith("colab-")]
    for cell in notebook.cells:
        cell.source = PICTURE.sub("", cell.source) if cell.cell_type == "markdown" else cell.source
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "Drawn by the code above")
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
    nbformat.write(notebook, target)


if __name__ == "__main__":
    try:
        print(build_site(Path(sys.argv[1])))
    except (OSError, RuntimeError) as error:
        sys.exit(str(error))
