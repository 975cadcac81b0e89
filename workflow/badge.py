"""Write the Colab badge and the first cell of every notebook from CITATION.cff.

``python -m workflow.badge``, after `repository-code` or `version` has changed there.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import yaml

from workflow.dependencies import cells_digest
from helpers.paths import ROOT, atomic
from workflow.render import DIGEST, is_current

COLAB = "https://colab.research.google.com/"
BADGE = re.compile(r"\n\n\[!\[Open in Colab\].*")
FETCH = "colab-fetch"  # id of the cell
EMPTY = {"cell_type": "code", "id": FETCH, "metadata": {}, "execution_count": None, "outputs": []}
CELL = '''\
# On Google Colab: fetches the project and adds what is missing. Elsewhere it does nothing.
import os
import subprocess
import sys

repository, tag = "{repository}", "{tag}"
on_colab = "google.colab" in sys.modules
if on_colab:
    if not os.path.isdir("helpers"):
        if not os.path.isdir("companion"):
            clone = ["git", "clone", "--depth", "1", "--branch", tag, repository, "companion"]
            fetched = subprocess.run(clone, capture_output=True, text=True)
            if fetched.returncode:
                raise RuntimeError(
                    f"{{repository!r}} at {{tag!r}} was not fetched ({{fetched.stderr.strip()}}): expected "
                    "a public git repository with this tag; correct both above and run again")
        os.chdir("companion")
        sys.path.insert(0, os.getcwd())
    from helpers import colab

    colab.install()
'''


def origin(citation: Path = ROOT / "CITATION.cff") -> tuple[str, str]:
    """Address of the project, empty while it has none, and the tag of its version.

    Raises
    ------
    ValueError
        If the address is not one from which Colab opens notebooks.
    """
    cited = yaml.safe_load(citation.read_text(encoding="utf-8"))
    repository = cited.get("repository-code", "")
    if repository and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"{citation.name} names {repository} as repository-code: expected "
                         "https://github.com/<owner>/<name>, from where Colab opens notebooks; correct it")
    return repository, f"v{cited['version']}"


def badge(notebook: str, repository: str, tag: str) -> str:
    """Markdown of the badge; without an address it leads to Colab's own page, where files are opened."""
    place = repository.replace("https://github.com", "github") + f"/blob/{tag}/notebooks/{notebook}"
    return f"[![Open in Colab]({COLAB}assets/colab-badge.svg)]({COLAB}{place if repository else ''})"


def marked(notebook: dict, name: str, repository: str, tag: str) -> dict:
    """A notebook (nbformat 4) with the badge below its title and the cell that fetches the project."""
    title, *others = notebook["cells"]
    text = BADGE.sub("", "".join(title["source"]))
    heading, _, rest = text.partition("\n")
    text = f"{heading}\n\n{badge(name, repository, tag)}\n{rest}"
    code = CELL.format(repository=repository, tag=tag).rstrip().splitlines(keepends=True)
    fetch = next((cell for cell in others if cell["id"] == FETCH), EMPTY) | {"source": code}
    others = [cell for cell in others if cell["id"] != FETCH]
    return notebook | {"cells": [title | {"source": text.splitlines(keepends=True)}, fetch, *others]}


def main(root: Path = ROOT) -> None:
    """Bring every notebook up to date; those that are rendered stay so."""
    repository, tag = origin(root / "CITATION.cff")
    for path in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        source = json.loads(path.read_text(encoding="utf-8"))
        notebook = marked(source, path.name, repository, tag)
        if is_current(source):  # neither badge nor cell has a part in the outputs
            notebook["metadata"] = source["metadata"] | {DIGEST: cells_digest(notebook["cells"])}
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
