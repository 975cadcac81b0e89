"""Rendered notebooks: links to movies, and the mark of the source that they were rendered from."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_figures import MOVIES

from helpers.paths import ROOT
from workflow.render import DIGEST, is_current, render
from workflow.settings import cells_digest


def test_outputs_lead_to_the_copies_of_movies_and_hold_no_warning_and_no_folder_of_this_machine():
    source, executed = (new_notebook(cells=[new_code_cell("x", id="a")]) for _ in range(2))
    executed.cells.insert(0, new_code_cell("seed = 0", metadata={"tags": ["injected-parameters"]}))
    executed.cells[1].outputs = [
        new_output("stream", name="stderr", text="warning"), new_output("stream", text=f"in {ROOT}/build/x"),
        new_output("display_data", {"text/html": '<a href="../movies/s1.mp4">a</a>'})]
    rendered = render(source, executed, "n", [str(ROOT)])
    shown = rendered.cells[0].outputs
    assert [output.get("text") for output in shown] == ["in build/x", None]
    assert shown[1].data["text/html"] == '<a href="../data/reference/movies/s1.mp4">a</a>'
    assert is_current(rendered) and rendered.cells[0].execution_count == 1
    executed.cells[0].source = "x = 2"
    with pytest.raises(ValueError, match="n differs from its executed copy"):
        render(source, executed, "n", [])


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
