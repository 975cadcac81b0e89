"""Write the project's address into CITATION.cff, README.md and the notebooks.

``python -m workflow.publish https://github.com/<owner>/<name>``, or `make publish REPOSITORY=…`. The site takes the
address of its buttons from CITATION.cff.
"""

from __future__ import annotations

import json
import re
import sys

import yaml

from helpers.paths import ROOT, atomic, read_json
from workflow.render import COLAB, DIGEST, is_current, readme
from workflow.settings import cells_digest

ADDRESS = re.compile(r"https://github\.com/[a-z\d][a-z\d-]*/(?!.*\.git$)[.-]*\w[\w.-]*", re.ASCII | re.IGNORECASE)
CITED = re.compile(r"^(?:# )?repository-code:.*", re.MULTILINE)
FETCHED = re.compile(r"^( *repository, tag =).*", re.MULTILINE)
BADGE = re.compile(r"\n+\[!\[Open in Colab\].*")
NEXT = """Next:
1. git commit --all --message "Address of the project" && git tag {tag} && git push origin HEAD {tag}
   (badges, Colab and the buttons of the site open this tag)
2. make site; put the content of build/laptop/seed0/site and an empty file .nojekyll on the branch gh-pages, and
   choose that branch at {address}/settings/pages
3. switch the repository on at https://zenodo.org/account/settings/github, make a release of the tag at
   {address}/releases/new, and write the DOI that Zenodo gives it into CITATION.cff (doi: ...)"""


def addressed(notebook: dict, name: str, address: str, tag: str) -> dict:
    """A notebook with its badge below the title and the address in the cell that fetches the project.

    Neither has a part in the outputs, so a notebook that was rendered from its source stays current. A ValueError tells
    that no cell fetches the project.
    """
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    if not any(map(FETCHED.search, sources)):
        raise ValueError(f'notebooks/{name} has no line `repository, tag = "", "{tag}"`: expected one in its first '
                         "code cell, which fetches the project on Colab; put it there.")
    place = f"{COLAB}{address.removeprefix('https://')}/blob/{tag}/notebooks/{name}".replace("github.com", "github")
    title, line, rest = BADGE.sub("", sources[0], count=1).partition("\n")
    sources[0] = f"{title}\n\n[![Open in Colab]({COLAB}assets/colab-badge.svg)]({place}){line}{rest}"
    sources = [FETCHED.sub(rf'\1 "{address}", "{tag}"', source) for source in sources]
    cells = [cell | {"source": source.splitlines(keepends=True)}
             for cell, source in zip(notebook["cells"], sources, strict=True)]
    digest = {DIGEST: cells_digest(cells)} if is_current(notebook) else {}
    return notebook | {"cells": cells, "metadata": notebook["metadata"] | digest}


def publish(address: str) -> None:
    """Write the address everywhere, in place of an earlier one, or nowhere.

    A ValueError tells that it is not the address of a GitHub repository, or that a notebook has no place for it.
    """
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"REPOSITORY={address} is not the address of a repository: expected "
                         "https://github.com/<owner>/<name>, without .git; correct it.")
    citation = CITED.sub(f"repository-code: {address}", (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    tag = f"v{yaml.safe_load(citation)['version']}"
    texts = {ROOT / "CITATION.cff": citation}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        notebook = addressed(read_json(path), path.name, address, tag)
        texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    for path, text in texts.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with atomic(ROOT / "README.md") as temporary:
        temporary.write_text(readme(), encoding="utf-8")
    print(f"{address} stands in CITATION.cff, README.md and {len(texts) - 1} notebooks.")
    print(NEXT.format(address=address, tag=tag))


if __name__ == "__main__":
    try:
        publish(sys.argv[1])
    except (ValueError, OSError) as error:
        sys.exit(str(error))
