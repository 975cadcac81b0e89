"""Copy executed notebooks over their sources; keep the numbers of a measured run; write README.md from what is kept.

``python -m workflow.render build/laptop/seed0``, or `make render`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from PIL import Image

from helpers.figures.movies import side_by_side
from helpers.ledger import BOUNDS, ledger_rows, verdict_counts
from helpers.paper import CAPTIONS, PAPER, full_name, number
from helpers.paper_runs import by_part, stored_runs
from helpers.paths import ROOT, atomic, read_json
from helpers.twin.domains import MECHANISMS
from workflow.settings import cells_digest

LARGEST_MIB = 2
REFERENCE = ROOT / "data/reference"
RECORDS = ("metrics.json", "manifest.json", "run.json")
MOVIES = "data/reference/movies"
DIGEST = "source_digest"  # in a rendered notebook's metadata
THUMBNAILS, THUMBNAIL_WIDTH = ("fig2", "fig4", "fig5", "figS9"), 420  # of the README; its moving picture is that of
ANIMATED, FRAMES, FRAME_WIDTH = "s2", 40, 640  # this movie
COLAB = "https://colab.research.google.com/"


def render(source: NotebookNode, executed: NotebookNode, name: str, private: list[str]) -> NotebookNode:
    """The source notebook with the outputs of its executed copy, and the mark of the source that ran.

    Progress bars, warnings (stderr) and papermill's injected parameters are left out, and this machine's folders
    (`private`); cells are numbered from 1; links to movies lead to the copies in ``data/reference/movies/``. A
    ValueError with `name` tells that the code was edited after it ran.
    """
    remove = TagRemovePreprocessor(enabled=True, remove_cell_tags={"injected-parameters"})
    ran = remove.preprocess(executed, {})[0].cells
    if [cell.source for cell in ran] != [cell.source for cell in source.cells]:
        raise ValueError(f"{name} differs from its executed copy: expected the source that ran; "
                         "run `make figures` and render again.")
    code = [pair for pair in zip(source.cells, ran, strict=True) if pair[0].cell_type == "code"]
    for count, (cell, done) in enumerate(code, 1):
        cell.execution_count = count
        cell.outputs = [_kept(output, count, private) for output in done.outputs if output.get("name") != "stderr"]
    source.metadata[DIGEST] = cells_digest(source.cells)
    return source


def _kept(output: NotebookNode, count: int, private: list[str]) -> NotebookNode:
    output = scrub(output, private)
    if "execution_count" in output:
        output["execution_count"] = count
    if "text/html" in output.get("data", {}):
        output["data"]["text/html"] = output["data"]["text/html"].replace('href="../movies/', f'href="../{MOVIES}/')
    return nbformat.from_dict(output)


def is_current(notebook: dict) -> bool:
    """Whether a rendered notebook still has the source that it was rendered from."""
    return notebook["metadata"].get(DIGEST) == cells_digest(notebook["cells"])


def scrub(value, private: list[str]):
    """The same JSON value, its texts without the folders in `private`, of which one may lie in another."""
    def without(text: str) -> str:
        for folder in sorted(private, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(folder)}(/|(?![\w.-]))", "", text)
        return text

    return _with_texts(value, without)


def private_folders(run: dict) -> list[str]:
    """Folders that name this machine: the tree, home, temporary files and the data's folder."""
    texts = []
    _with_texts(run, texts.append)
    folders = {ROOT, Path.home(), Path(sys.prefix), Path(tempfile.gettempdir())}
    folders |= {path.parent for path in map(Path, texts) if path.is_absolute()}
    return [str(folder) for folder in folders if folder != folder.parent]


def _with_texts(value, change: Callable[[str], object]):
    """The same JSON value with every text changed, but for pictures: base64 may look like a path by chance."""
    if isinstance(value, dict):
        return {key: item if key.startswith("image/") else _with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def readme() -> str:
    """README.md as `README.md.j2` and the numbers of the reference run make it."""
    metrics, manifest, run, swept = (read_json(REFERENCE / f"{name}.json")
                                     for name in ("metrics", "manifest", "run", "seeds"))
    seeds = swept["numbers"] if swept["scan_sha256"] == run["data"]["sha256"] else {}
    entries = {entry["id"]: entry for entry in manifest}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined,
                              keep_trailing_newline=True)
    environment.filters |= {"number": number, "fixed": lambda value, digits: f"{value:.{digits}f}",
                            "percent": lambda share: f"{100 * share:.0f} %"}
    runs, cited = stored_runs(), yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    places = [f"[{full_name(name).removeprefix('Figure ')}](notebooks/{entries[name]['notebook']}.ipynb#{name})"
              for name in CAPTIONS]
    claims = ledger_rows(metrics, seeds)
    return environment.get_template("README.md.j2").render(
        repository=cited.get("repository-code", ""), tag=f"v{cited['version']}", colab=COLAB,
        metrics=metrics, run=run, paper=PAPER, entries=entries, seeds=seeds,
        thumbnails={name: CAPTIONS[name] for name in THUMBNAILS}, inventory=f"Figures {', '.join(places)}.",
        hours={part: max(one["hours_of_all_epochs"] for one in every) for part, every in by_part(runs).items()},
        paper_machine=next(iter(runs.values())), claims=claims, verdicts=verdict_counts(claims),
        bounds=BOUNDS, full=full_name,
        r2=lambda model: np.mean([seeds[f"twin.{model}.r2.{name}"]["median"] for name in MECHANISMS]))


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all, and say how large it is."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    size_MiB = len(text.encode()) / 2**20
    print(f"{path.relative_to(ROOT)}: {size_MiB:.2f} MiB")
    if size_MiB > LARGEST_MIB:
        print(f"  larger than the {LARGEST_MIB} MiB a committed file may have; "
              "lower the resolution of the figures it shows", file=sys.stderr)


def keep(folder: Path, records: dict[str, object], private: list[str]) -> None:
    """Copy the numbers, weights, movies and the README's pictures of a measured run into ``data/``."""
    for name, record in records.items():
        write(REFERENCE / name, json.dumps(scrub(record, private), indent=2, ensure_ascii=False) + "\n")
    sweep = folder.parent / "sweep"
    if (sweep / "sweep.json").is_file():
        write(REFERENCE / "seeds.json", (sweep / "sweep.json").read_text("utf-8"))
    for kept, target in ((folder / "results/weights", ROOT / "data/weights"), (folder / "movies", ROOT / MOVIES),
                         (sweep, REFERENCE)):
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(kept.glob("fractions.npz" if kept == sweep else "[!.]*")):
            with atomic(target / path.name) as temporary:
                shutil.copyfile(path, temporary)
    for name in THUMBNAILS:
        with Image.open(folder / f"figures/{name}.png") as image, atomic(REFERENCE / f"{name}.png") as temporary:
            image.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
            image.convert("RGB").save(temporary, optimize=True)
    with atomic(REFERENCE / "training.webp") as temporary:
        trainings = [folder / f"results/weights/{name}.npz" for name in ("paper_toy", "toy")]
        temporary.write_bytes(side_by_side(folder / f"movies/{ANIMATED}.mp4", trainings, FRAMES, FRAME_WIDTH))


def main(folder: Path) -> None:
    """Render every notebook of a finished run; keep its numbers if the data were measured."""
    records = {name: read_json(folder / name) for name in RECORDS}
    private = private_folders(records["run.json"])
    rendered = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        source, executed = (nbformat.read(file, 4) for file in (path, folder / "notebooks" / path.name))
        rendered[path] = render(source, executed, path.name, private)
    for path, notebook in rendered.items():
        write(path, nbformat.writes(notebook) + "\n")
    if records["metrics.json"].get("beps.source") == "measured":
        keep(folder, records, private)
    else:
        print("data/reference/ keeps the numbers of measured loops only; these are simulated.")
    write(ROOT / "README.md", readme())


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.exit(str(error))
