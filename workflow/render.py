"""Copy executed notebooks over their sources; keep the numbers and weights of a measured run.

``python -m workflow.render build/laptop/seed0``, or `make render`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from workflow.dependencies import cells_digest
from helpers.paths import ROOT, atomic

LARGEST_MIB = 2
REFERENCE = ("metrics.json", "manifest.json", "run.json")
MOVIES = "data/reference/movies"
DIGEST = "source_digest"  # in a rendered notebook's metadata


def render(source: dict, executed: dict, name: str, private: list[str]) -> dict:
    """The source notebook with the outputs of its executed copy.

    Progress bars and warnings (stderr) are left out; cells are numbered from 1; links to movies lead
    to the copies in ``data/reference/movies/``.

    Parameters
    ----------
    source, executed : dict
        Notebooks (nbformat 4); the executed one may hold papermill's injected parameters.
    name : str
        For the error.
    private : list of str
        Folders of this machine, taken out of the outputs.

    Raises
    ------
    ValueError
        If the code was edited after it ran.
    """
    cells = [cell for cell in executed["cells"]
             if "injected-parameters" not in cell["metadata"].get("tags", [])]
    if [_source(cell) for cell in cells] != [_source(cell) for cell in source["cells"]]:
        raise ValueError(f"{name} differs from its executed copy: expected the source that ran; "
                         "run `make figures` and render again.")
    count = 0
    for cell, ran in zip(source["cells"], cells, strict=True):
        if cell["cell_type"] == "code":
            count += bool(_source(cell).strip())
            cell["execution_count"] = count if _source(cell).strip() else None
            kept = [out for out in ran["outputs"] if out.get("name") != "stderr"]
            cell["outputs"] = [_numbered(_linked(scrub(out, private)), count) for out in kept]
    return source


def is_current(notebook: dict) -> bool:
    """Whether a rendered notebook still has the source that it was rendered from."""
    return notebook["metadata"].get(DIGEST) == cells_digest(notebook["cells"])


def _linked(output: dict) -> dict:
    """The output with its links to movies as seen from ``notebooks/``."""
    page = output.get("data", {}).get("text/html")
    if page is None:
        return output
    page = "".join(page).replace('href="../movies/', f'href="../{MOVIES}/')
    return output | {"data": output["data"] | {"text/html": page}}


def _source(cell: dict) -> str:
    return "".join(cell["source"])


def _numbered(output: dict, count: int) -> dict:
    return output | ({"execution_count": count} if "execution_count" in output else {})


def scrub(value, private: list[str]):
    """The same JSON value, its texts without the folders in `private`.

    Longer folders are taken out first, since one may lie in another.
    """
    if isinstance(value, dict):
        # Pictures are base64, which may look like a path by chance.
        return {key: item if key.startswith("image/") else scrub(item, private)
                for key, item in value.items()}
    if isinstance(value, list):
        return [scrub(item, private) for item in value]
    if isinstance(value, str) and "/" in value:
        for folder in sorted(private, key=len, reverse=True):
            value = re.sub(rf"(?<![\w.-]){re.escape(folder)}(/|(?![\w.-]))", "", value)
    return value


def private_folders(run: dict) -> list[str]:
    """Folders that name this machine: the tree, home, temporary files and the data's folder."""
    folders = {ROOT, Path.home(), Path(sys.prefix), Path(tempfile.gettempdir())}
    folders |= {path.parent for path in map(Path, _texts(run)) if path.is_absolute()}
    return [str(folder) for folder in folders if folder != folder.parent]


def _texts(value) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _write(path: Path, content: dict, indent: int) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    size_MiB = len(text.encode()) / 2**20
    print(f"{path.relative_to(ROOT)}: {size_MiB:.2f} MiB")
    if size_MiB > LARGEST_MIB:
        print(f"  larger than the {LARGEST_MIB} MiB a committed file may have; "
              "lower the resolution of the figures it shows", file=sys.stderr)


def main(folder: Path) -> None:
    """Render every notebook of a finished run; keep its numbers if the data were measured."""
    records = {name: json.loads((folder / name).read_text("utf-8")) for name in REFERENCE}
    private = private_folders(records["run.json"])
    rendered = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        executed = json.loads((folder / "notebooks" / path.name).read_text("utf-8"))
        source = json.loads(path.read_text("utf-8"))
        rendered[path] = render(source, executed, path.name, private)
        # So that a test can tell whether the source was changed since.
        rendered[path]["metadata"][DIGEST] = cells_digest(source["cells"])
    for path, notebook in rendered.items():
        _write(path, notebook, indent=1)
    if records["metrics.json"].get("beps.source") != "measured":
        print("data/reference/ keeps the numbers of measured loops only; these are simulated.")
        return
    for name in ("data/weights", MOVIES):
        (ROOT / name).mkdir(parents=True, exist_ok=True)
    for name, record in records.items():
        _write(ROOT / "data/reference" / name, scrub(record, private), indent=2)
    sweep = folder.parent / "sweep/sweep.json"
    if sweep.is_file():
        _write(ROOT / "data/reference/seeds.json", json.loads(sweep.read_text("utf-8")), indent=1)
    for kept, target in (("results/weights", "data/weights"), ("movies", MOVIES)):
        for path in sorted((folder / kept).glob("[!.]*")):
            with atomic(ROOT / target / path.name) as temporary:
                shutil.copyfile(path, temporary)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.exit(str(error))
