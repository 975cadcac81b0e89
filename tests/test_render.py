"""What is rendered from a run: notebooks, README and the page that compares scans; the address of the project."""

import base64
import io
import json
import re
import runpy
import sys

import numpy as np
import pytest
from conftest import write_notebook
from nbformat.v4 import new_code_cell, new_notebook, new_output
from packaging.requirements import Requirement
from PIL import Image
from test_figures import INVENTORY, MOVIES

from helpers.paths import ROOT, save_arrays
from helpers.scans.scan import save_scan, simulated_scan
from workflow.compare import write_page
from workflow.publish import publish
from workflow.render import DIGEST, is_current, readme, render
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


def test_an_edit_after_rendering_is_noticed_and_an_output_is_none():
    cell = {"cell_type": "code", "source": ["x = 1"], "outputs": []}
    notebook = {"cells": [cell], "metadata": {}}
    assert not is_current(notebook)
    notebook["metadata"][DIGEST] = cells_digest([cell])
    cell |= {"outputs": ["1"], "execution_count": 5}
    assert is_current(notebook)
    cell["source"] = ["x = 2"]
    assert not is_current(notebook)


def test_kept_movies_are_those_of_the_inventory_and_small():
    kept = {path.stem for path in (ROOT / "data/reference/movies").glob("*.mp4")}
    assert kept in (set(), {name.removeprefix("movie").lower() for name in MOVIES})
    for path in (ROOT / "data/reference/movies").glob("*.mp4"):
        assert path.stat().st_size < 3 * 2**20, f"{path.name}: a committed movie stays below 3 MiB"


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_the_template_filled_from_the_reference_run_with_the_inventory_in_the_paper_s_order():
    assert readme() == README, "write into workflow/README.md.j2, and run `make render`"
    line, = (line for line in README.splitlines() if line.startswith("Figures ["))
    assert re.findall(r"\[([^\]]+)\]\(", line) == [
        *"12345", *(f"S{n}" for n in range(1, 11)), "Table 1", *(f"Movie S{n}" for n in range(1, 7))]
    assert README.count("\n") <= 120


def test_links_lead_to_files_and_to_what_a_notebook_shows_and_pictures_have_a_text():
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([\w.-]+))?\)", README)
    assert len(links) > len(INVENTORY)
    for target, anchor in links:
        assert (ROOT / target).exists(), target
        if anchor and target.endswith(".ipynb"):
            cells = json.loads((ROOT / target).read_text(encoding="utf-8"))["cells"]
            source = "".join("".join(cell["source"]) for cell in cells)
            shown = re.sub(r"S\d", 'S{n}', anchor) if anchor.startswith("movie") else anchor
            assert f'"{shown}"' in source, anchor
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert pictures and all(len(text) > 40 for text, file in pictures if not file.startswith("http"))


FIRST, SECOND = "https://github.com/an-owner/some.name", "https://github.com/other/name"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what publishing changes; notebooks 0 and 1 are rendered, the others were edited since."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "CITATION.cff").write_text("# repository-code: https://github.com/<owner>/<name>\nversion: 0.1.0\n")
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["metadata"][DIGEST] = cells_digest(notebook["cells"]) if path.name < "2" else "of another source"
        (tmp_path / "notebooks" / path.name).write_text(json.dumps(notebook))
    for module in ("publish", "render"):
        monkeypatch.setattr(f"workflow.{module}.ROOT", tmp_path)
    return tmp_path


def test_an_address_stands_everywhere_once_and_another_replaces_it(project, capsys):
    for address in (FIRST, SECOND, SECOND):
        before = {path: path.read_text() for path in project.rglob("*.*")}
        publish(address)
    assert before == {path: path.read_text() for path in before} and FIRST not in "".join(before.values())
    assert f"{SECOND}/settings/pages" in capsys.readouterr().out
    assert (project / "CITATION.cff").read_text() == f"repository-code: {SECOND}\nversion: 0.1.0\n"
    assert f"({SECOND}/actions/workflows/tests.yml)" in (project / "README.md").read_text()
    for path in (project / "notebooks").iterdir():
        notebook = json.loads(path.read_text())
        source = "".join("".join(cell["source"]) for cell in notebook["cells"])
        assert re.findall(r"\(https:\S+/github/other/name/blob/v0.1.0/notebooks/(.*)\)\n\n", source) == [path.name]
        assert source.count(f'repository, tag = "{SECOND}", "v0.1.0"\n') == 1 and source.count("/colab-badge.svg") == 1
        assert is_current(notebook) == (path.name < "2")


def test_what_is_no_address_is_refused_in_one_sentence_before_anything_is_written(project, monkeypatch):
    for address in ("", "github.com/a/b", f"{SECOND}.git", f"{SECOND}/", f'{SECOND}"', f"{SECOND}\n"):
        with pytest.raises(ValueError, match="is not the address of a repository: expected https://github.com/<owner>/"):
            publish(address)
    assert not (project / "README.md").exists() and "<owner>" in (project / "CITATION.cff").read_text()
    monkeypatch.setattr(sys, "argv", ["publish", ""])
    with pytest.raises(SystemExit, match="^REPOSITORY= is not the address of "):
        runpy.run_module("workflow.publish", run_name="__main__")


def test_every_requirement_is_locked_at_a_version_that_its_range_allows():
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for line in re.findall(r"^[^#\s]+", (ROOT / "requirements.txt").read_text(), re.MULTILINE):
        assert Requirement(line).specifier.contains(locked[Requirement(line).name]), line


def test_a_row_has_maps_errors_and_features_and_a_failed_scan_its_reason(tmp_path):
    done, failed, left = (tmp_path / f"build/scans/films/{name}/smoke/seed0" for name in ("a #1", "b", "c"))
    (done / "results").mkdir(parents=True)
    scan = simulated_scan(0, (8, 10))
    save_scan(scan, done / "results/scan.h5")
    order = np.array([2, 0, 1])
    save_arrays(done / "results/vae_beps.npz", embedding=np.random.default_rng(0).normal(size=(80, 3)), order=order)
    (done / "metrics.json").write_text(json.dumps({
        "beps.dl.mse": 0.5, "beps.pca5.mse": 0.2, "beps.vae.mse": 0.1, "beps.vae.mse_heldout": 0.12,
        "beps.pca5.mse_heldout": 0.24, "beps.vae.active": 2}))
    (failed / "logs").mkdir(parents=True)
    write_notebook(failed / "logs/0_measured_data.ipynb", "x")
    (failed / "logs/0_measured_data.log").write_text("b<1>.h5 holds no loops\n")
    page = tmp_path / "build/smoke/films-seed0.html"
    write_page(page, {str(done): "/data/a.h5", str(failed): "/data/b<1>.h5", str(left): "/data/c.h5"})
    text = page.read_text()
    first, second, third = re.findall(r"<tr><td>.*", text)
    assert "1 of 3 scans" in text
    assert 'href="../scans/films/a%20%231/smoke/seed0/notebooks/5_paper_and_reproduction.html"' in first
    assert "(simulated)" in first
    assert "<td>0.5<td>0.2<td>0.1<td>0.12<td>0.5<td>2" in first
    coercive = float(first.split("<td>")[9])
    assert 0 < coercive < scan.voltage_V.max()
    picture = Image.open(io.BytesIO(base64.b64decode(re.search("base64,([^\"]+)", first).group(1))))
    assert picture.size == (2 * 11, 8)
    assert "b&lt;1&gt;.h5" in second and "0_measured_data: b&lt;1&gt;.h5 holds no loops" in second
    assert "not run yet" in third
