"""Rendered notebooks: links to movies, and the mark of the source that they were rendered from."""

import json

from test_inventory import MOVIES

from workflow.dependencies import cells_digest
from helpers.paths import ROOT
from workflow.render import DIGEST, is_current, render


def test_links_to_movies_lead_to_the_copies_kept_beside_the_numbers():
    cell = {"cell_type": "code", "source": ["x"], "metadata": {}, "outputs": []}
    page = {"text/html": ['<a href="../movies/s1.mp4">', "a</a>"]}
    ran = cell | {"outputs": [{"output_type": "display_data", "metadata": {}, "data": page}]}
    rendered = render({"cells": [cell]}, {"cells": [ran]}, "n", [])
    shown = rendered["cells"][0]["outputs"][0]
    assert shown["data"]["text/html"] == '<a href="../data/reference/movies/s1.mp4">a</a>'


def test_an_edit_after_rendering_is_noticed_and_an_output_is_none():
    cell = {"cell_type": "code", "source": ["x = 1"], "outputs": []}
    notebook = {"cells": [cell], "metadata": {}}
    assert not is_current(notebook)
    notebook["metadata"][DIGEST] = cells_digest([cell])
    cell["outputs"] = ["1"]
    assert is_current(notebook)
    cell["source"] = ["x = 2"]
    assert not is_current(notebook)


def test_kept_movies_are_those_of_the_inventory():
    kept = {path.stem for path in (ROOT / "data/reference/movies").glob("*.mp4")}
    assert kept in (set(), {name.removeprefix("movie").lower() for name in MOVIES})
    for path in (ROOT / "data/reference/movies").glob("*.mp4"):
        assert path.stat().st_size < 3 * 2**20, f"{path.name}: a committed movie stays below 3 MiB"


def test_pictures_of_rendered_notebooks_have_a_text_in_their_place():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if not is_current(notebook):
            continue
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    assert output["metadata"]["image/png"]["alt"], f"{path.name}, {cell['id']}"
