"""The real Snakefile and Makefile on stub notebooks: order, settings, failures, reruns."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import PARAMETERS, ROOT, STUBS, Tree, listed_notebooks, write_notebook
from snakemake.cli import parse_config

from helpers.scans.scan import save_scan, simulated_scan
from workflow.dependencies import helper_files, parameters_used, source_digest
from helpers.paths import write_json
from workflow.render import render, scrub
from workflow.compare import write_page
from workflow.settings import check_settings, claim, data_files

NAMES = list(STUBS)


@pytest.fixture
def copy(finished: Tree, tmp_path: Path) -> Tree:
    """A copy of the finished tree, with its modification times."""
    shutil.copytree(finished.root, tmp_path / "copy", dirs_exist_ok=True)
    tree = object.__new__(Tree)
    tree.root = tmp_path / "copy"
    return tree


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# settings


@pytest.mark.parametrize("wrong, sentence", [
    ({"profile": "huge"}, "PROFILE=huge is not a profile: expected one of smoke, laptop; "
                          "choose one of these."),
    ({"seed": -1}, "SEED=-1 is not a seed: expected a whole number"),
    ({"seed": "one"}, "SEED=one is not a seed"),
    ({"seed": None}, "SEED= is not a seed"),
    ({"data": None}, "DATA= is not a data: expected auto, twin, zenodo, drive:<id>, the path of a file"),
    ({"data": "nowhere.h5"}, "DATA=nowhere.h5: there is no file"),
    ({"data": "drive:"}, "DATA=drive:: there is no file"),
    ({"data": "notebooks"}, "holds no scan: expected files ending in .h5"),
    ({"sweep": "my.yml"}, "SWEEP=my.yml: there is no file"),
    ({"painting": "nala.png"}, "PAINTING=nala.png: there is no file"),
    ({"cycle": -1}, "CYCLE=-1 is not a cycle: expected a whole number, 0 for the last one, or mean"),
    ({"cycle": "median"}, "CYCLE=median is not a cycle"),
    ({"sed": 3}, "Unknown setting sed: expected profile, data, seed, painting"),
])
def test_wrong_settings_are_named_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError) as error:
        check_settings(wrong, ["smoke", "laptop"])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_have_defaults_and_absolute_paths(tmp_path, monkeypatch):
    assert check_settings({}, ["laptop"]) == {
        "profile": "laptop", "data": "auto", "seed": 0, "painting": "", "weights": "train", "cycle": 0,
        "sweep": str(ROOT / "workflow/sweep.yml")}
    assert check_settings({"cycle": "mean"}, ["laptop"])["cycle"] == "mean"
    assert check_settings({"data": "drive:1a-B_c"}, ["laptop"])["data"] == "drive:1a-B_c"
    monkeypatch.chdir(tmp_path)
    Path("my loops.h5").touch()
    assert check_settings({"data": "my loops.h5"}, ["laptop"])["data"] == \
        str(tmp_path / "my loops.h5")


def test_braces_in_a_path_are_refused(tmp_path):
    (tmp_path / "{a}.h5").touch()
    with pytest.raises(ValueError, match="holds braces"):
        check_settings({"data": str(tmp_path / "{a}.h5")}, ["laptop"])


def test_auto_watches_the_file_in_the_data_folder(tmp_path):
    assert data_files("auto", tmp_path) == []
    (tmp_path / "README.md").touch()
    for name in ("loops.npz", "b.MAT", "a.h5"):
        (tmp_path / name).touch()
    assert data_files("auto", tmp_path) == [str(tmp_path / "a.h5")]
    (tmp_path / "a.h5").unlink()
    assert data_files("auto", tmp_path) == [str(tmp_path / "b.MAT")]
    assert data_files("twin", tmp_path) == []


def test_wrong_settings_stop_the_workflow_before_anything_runs(tree):
    failed = tree.snakemake("data=nowhere.h5")
    assert failed.returncode != 0
    assert failed.stdout.count("\n") == 1 and "there is no file" in failed.stdout
    assert not (tree.root / "build").exists()


def test_build_folder_that_cannot_be_written(tree):
    (tree.root / "build").write_text("a file where the folder should be")
    failed = tree.snakemake()
    assert failed.returncode != 0
    assert "build/smoke/seed0 cannot be written" in failed.stdout


def test_make_refuses_unknown_variables(tree):
    failed = tree.run("make", "figures", "PROFIL=smoke", "DATA=a b=c.h5")
    assert failed.returncode != 0
    assert "Unknown variable PROFIL: expected one of PROFILE DATA SEED" in failed.stdout
    assert not (tree.root / ".venv").exists()


def test_make_refuses_other_pythons(tree):
    fake = tree.root / "python2"
    fake.write_text("#!/bin/sh\ntest \"$1\" = -V && echo Python 3.9.1\n")
    fake.chmod(0o755)
    failed = tree.run("make", "test", f"PYTHON={fake}")
    assert failed.returncode != 0
    assert "is Python 3.9.1: expected Python 3.11 to 3.13" in failed.stdout


# the graph


def test_every_notebook_ran_and_left_its_files(finished):
    folder = finished.folder()
    for name in NAMES:
        assert (folder / f"notebooks/{name}.ipynb").is_file()
        assert "<html" in (folder / f"notebooks/{name}.html").read_text()
        assert (folder / f"results/{name}.json").is_file()
        assert not (folder / f"logs/{name}.ipynb").exists()
    notebooks = listed_notebooks()
    assert list(notebooks) == NAMES
    for name, files in notebooks.items():
        done = (folder / f"notebooks/{name}.ipynb").stat().st_mtime
        assert all((folder / file).stat().st_mtime < done for file in files["reads"])


def test_parameters_reach_the_notebooks(finished):
    executed = json.loads((finished.folder() / "notebooks/0_measured_data.ipynb").read_text())
    injected = "".join(next("".join(cell["source"]) for cell in executed["cells"]
                            if "injected-parameters" in cell["metadata"]["tags"]))
    assert 'profile = "smoke"' in injected and 'data = "twin"' in injected
    assert "seed = 0" in injected and "painting" not in injected


def test_kernels_and_backends_of_the_user_are_not_used(finished):
    executed = json.loads((finished.folder() / "notebooks/2_dictionary_learning.ipynb").read_text())
    printed = "".join(text for output in executed["cells"][-1]["outputs"] for text in output["text"]).split()
    assert printed == ["done", sys.executable, "module://matplotlib_inline.backend_inline"]


def test_nothing_to_do_when_nothing_changed(finished):
    assert finished.planned() == set()


def test_another_seed_or_profile_has_its_own_folder(finished):
    assert finished.planned("seed=3", "profile=laptop") == set(NAMES)


def test_another_source_of_data_reaches_what_depends_on_it(copy):
    (copy.root / "loops.h5").write_text("measured")
    assert copy.planned("data=loops.h5") == set(NAMES) - {"1_toy_rgb_benchmark"}


@pytest.mark.parametrize("helper, dependents", [
    ("movies", {"4_embedding_movies", "5_paper_and_reproduction"}),
    ("training", set(NAMES[3:])),
])
def test_an_edited_helper_reruns_its_dependents_alone(copy, helper, dependents):
    with (copy.root / f"helpers/{helper}.py").open("a") as file:
        file.write("x = 1\n")
    assert copy.planned() == dependents


def test_an_edited_notebook_reruns_and_one_run_by_hand_does_not(copy):
    path = copy.root / "notebooks/3_beta_vae_training.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hi"}]
    path.write_text(json.dumps(notebook))
    assert copy.planned() == set()
    copy.stub("3_beta_vae_training", "print('another ending')")
    assert copy.planned() == set(NAMES[3:])


def test_loops_that_somebody_read_by_hand_are_not_taken_for_those_asked_for(copy):
    """Notebook 0 run in JupyterLab, with other data, leaves its results where the workflow's own are."""
    results = copy.folder() / "results"
    record, scan = results / "0_measured_data.json", results / "scan.h5"
    for data, other in (("twin", False), ("/elsewhere/my.h5", True)):
        record.write_text(json.dumps({"parameters": {"data": data, "cycle": 0}}))
        scan.write_text("by hand")
        assert copy.snakemake().returncode == 0
        assert (scan.read_text() != "by hand") == other


# failures


def test_failed_and_killed_notebooks(tree):
    tree.stub("0_measured_data", "raise ValueError('loops.h5 holds 3 NaN: interpolate them.')")
    tree.stub("1_toy_rgb_benchmark", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    failed = tree.snakemake("--keep-going")
    assert failed.returncode != 0
    end = failed.stdout.strip().splitlines()[-5:]
    assert any("failed: ValueError: loops.h5 holds 3 NaN: interpolate them." in s for s in end)
    assert any("1_toy_rgb_benchmark failed: its kernel was killed" in line for line in end)
    kept = {str(path.relative_to(tree.folder())) for path in tree.folder().rglob("*.*")
            if path.is_file()}
    assert kept == {".lock"} | {f"logs/{n}.{s}" for n in NAMES[:2] for s in ("ipynb", "log")}
    assert "Traceback" in (tree.folder() / "logs/0_measured_data.ipynb").read_text()


def test_a_notebook_over_time_fails_and_earlier_results_stay(copy):
    edit(copy.root / "workflow/Snakefile", '"smoke": 1200', '"smoke": 1')
    copy.stub("5_paper_and_reproduction", "import time\ntime.sleep(60)")
    failed = copy.snakemake()
    assert failed.returncode != 0
    assert "5_paper_and_reproduction failed: a cell ran longer" in failed.stdout
    assert not (copy.folder() / "metrics.json").exists()
    assert not (copy.folder() / "notebooks/5_paper_and_reproduction.html").exists()
    assert (copy.folder() / "movies/s6.mp4").is_file()
    assert (copy.folder() / "logs/5_paper_and_reproduction.ipynb").is_file()


def test_two_runs_at_once_and_a_killed_run(copy):
    copy.stub("5_paper_and_reproduction", "import time\ntime.sleep(4)")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "--config",
               "profile=smoke", "data=twin"]
    with subprocess.Popen(command, cwd=copy.root, env=copy.environment(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        kept = copy.folder() / "logs/5_paper_and_reproduction.ipynb"
        while not kept.exists() or not kept.stat().st_size:
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
    second = copy.snakemake()
    assert second.returncode != 0 and "is in use by another run" in second.stdout
    while kept.exists():
        time.sleep(0.1)
    claim(copy.folder() / ".lock").close()
    assert "5_paper_and_reproduction" in copy.planned(), "an unfinished run looks finished"


# Reads with the real helpers, in place of those of the tree that were imported above it.
READ = f"""for name in [name for name in sys.modules if name.partition('.')[0] == 'helpers']:
    del sys.modules[name]
sys.path.insert(0, {str(ROOT)!r})
from helpers.scans.fetch import find_scan
save_scan(find_scan(data, 0, (8, 10)), folder / 'results/scan.h5')"""
EMBEDDED = """import numpy as np
np.savez(folder / 'results/vae_beps.npz', embedding=np.zeros((80, 3)), order=np.arange(3))"""
MEASURED = """(folder / 'metrics.json').write_text('{"beps.vae.mse": 0.25, "beps.vae.active": 2}')"""


def compared(tree: Tree, page: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rows that the real page has for the scans which the stub page names."""
    monkeypatch.chdir(tree.root)
    folders = re.findall(r"build/scans/my films/\S+", page.read_text())
    write_page(page, {folder: Path(folder).parts[3] for folder in folders})
    return re.findall("<tr><td>.*", page.read_text())


def test_scans_of_a_folder_run_apart_share_the_toy_and_a_broken_one_is_named_and_run_alone(tree, monkeypatch):
    films = tree.root / "my films"
    films.mkdir()
    scan = simulated_scan(0, (8, 10))
    save_scan(scan, films / "a.h5")
    np.savez(films / "a.npz", loops=scan.piezoresponse, voltage=scan.voltage_V)
    (films / "b.hdf5").write_text("no scan")
    (films / "notes.txt").touch()
    for name, last in (("0_measured_data", READ), ("3_beta_vae_training", EMBEDDED),
                       ("5_paper_and_reproduction", MEASURED)):
        tree.stub(name, last)
    failed = tree.snakemake("--keep-going", "data=my films")
    assert failed.returncode != 0
    assert re.search("0_measured_data failed: DataError: .*b.hdf5 cannot be read", failed.stdout)
    assert "build/scans/my films/b/smoke/seed0/logs/0_measured_data.ipynb" in failed.stdout
    assert failed.stdout.count("Running notebooks/1_toy_rgb_benchmark.ipynb") == 1
    page = tree.root / "build/smoke/my films-seed0.html"
    first, second, broken = compared(tree, page, monkeypatch)
    assert all("<td>0.25<td>" in row and "<img" in row for row in (first, second))
    assert "<td class=failed" in broken and "b.hdf5 cannot be read" in broken
    save_scan(scan, films / "b.hdf5")
    again = tree.snakemake("--keep-going", "data=my films")
    assert again.returncode == 0, again.stdout
    assert "my films-seed0.html compares 3 scans" in again.stdout
    ran = re.findall(r"Running notebooks/(\d)\w+.ipynb for build/scans/my films/(.+)/smoke", again.stdout)
    assert sorted(ran) == [(number, "b") for number in "02345"]
    assert all("<img" in row for row in compared(tree, page, monkeypatch))


def test_a_notebook_without_parameters_is_named(tmp_path):
    notebook = tmp_path / "9_untagged.ipynb"
    write_notebook(notebook, "seed = 0")
    with pytest.raises(ValueError, match="9_untagged.ipynb has no cell tagged `parameters`"):
        parameters_used(notebook)


# sources


def write_helpers(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / "helpers" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "helpers" / name).write_text(text)


def test_imports_are_followed_through_modules_and_style_sheets(tmp_path):
    files = {"__init__.py": "", "a.py": "from helpers import b\nSTYLE = 'paper.mplstyle'",
             "b.py": "from .c import x", "c.py": "import numpy", "paper.mplstyle": "",
             "unused.py": ""}
    write_helpers(tmp_path, files)
    notebook = tmp_path / "n.ipynb"
    write_notebook(notebook, "%matplotlib inline\nif True:\n    !pip install x\nimport helpers.a", "")
    expected = {f"helpers/{name}" for name in files if "unused" not in name}
    assert set(helper_files(notebook, tmp_path)) == expected


@pytest.mark.parametrize("code, used", [
    ("from helpers import plots\nplots.draw()", {"maps.py"}),
    ("from helpers.plots import scale", {"style.py"}),
    ("import helpers.plots as p\np.draw(p.scale)", {"maps.py", "style.py"}),
    ("from helpers.plots import *", {"maps.py", "style.py", "curves.py"}),
])
def test_of_a_package_the_modules_whose_names_are_used_count(tmp_path, code, used):
    write_helpers(tmp_path, {
        "__init__.py": "", "plots/maps.py": "", "plots/style.py": "", "plots/curves.py": "",
        "plots/__init__.py": "from helpers.plots.maps import draw\nfrom .style import scale\n"
                             "from helpers.plots.curves import line"})
    write_notebook(tmp_path / "n.ipynb", code, "")
    expected = {f"helpers/plots/{name}" for name in used | {"__init__.py"}}
    assert set(helper_files(tmp_path / "n.ipynb", tmp_path)) == expected | {"helpers/__init__.py"}


def test_parameters_that_are_declared_and_read_count(tmp_path):
    notebook = tmp_path / "n.ipynb"
    write_notebook(notebook, "", "profile = 'smoke'\nseed: int = 0\na, b = 1, 2\ndata = 'auto'",
                   "print(profile, seed, b, c)")
    assert parameters_used(notebook) == {"profile", "seed", "b"}


def test_digest_ignores_outputs(tmp_path):
    path = tmp_path / "n.ipynb"
    write_notebook(path, "1 + 1", PARAMETERS)
    before = source_digest(path)
    path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 5'))
    assert source_digest(path) == before
    write_notebook(path, "1 + 2", PARAMETERS)
    assert source_digest(path) != before


# rendering


def test_rendered_notebooks_hold_no_path_and_no_injected_cell(copy):
    (copy.folder() / "metrics.json").write_text('{"beps.source": "measured"}')
    data = copy.root.parent / "secret/loops.h5"
    (copy.folder() / "run.json").write_text(json.dumps({"parameters": {"data": str(data)}}))
    done = copy.run(sys.executable, "-m", "workflow.render", "build/smoke/seed0")
    assert done.returncode == 0, done.stdout
    for name in NAMES:
        text = (copy.root / f"notebooks/{name}.ipynb").read_text()
        assert str(copy.root) not in text and "papermill" not in text
        cells = json.loads(text)["cells"]
        assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 4]
        assert "done" in str(cells[3]["outputs"])
    run = json.loads((copy.root / "data/reference/run.json").read_text())
    assert run == {"parameters": {"data": "loops.h5"}}
    assert copy.planned() == set()


def test_numbers_of_simulated_loops_are_not_kept(copy):
    done = copy.run(sys.executable, "-m", "workflow.render", "build/smoke/seed0")
    assert "these are simulated" in done.stdout
    assert not (copy.root / "data/reference").exists()


def test_an_edited_notebook_is_not_rendered(copy):
    copy.stub("5_paper_and_reproduction", "print('edited')")
    before = (copy.root / "notebooks/0_measured_data.ipynb").read_text()
    failed = copy.run(sys.executable, "-m", "workflow.render", "build/smoke/seed0")
    assert failed.returncode != 0
    assert "5_paper_and_reproduction.ipynb differs from its executed copy" in failed.stdout
    assert (copy.root / "notebooks/0_measured_data.ipynb").read_text() == before


def test_render_drops_progress_and_keeps_pictures():
    cell = {"cell_type": "code", "source": "x", "metadata": {}, "outputs": []}
    ran = cell | {"outputs": [
        {"output_type": "stream", "name": "stderr", "text": "50%|██ "},
        {"output_type": "execute_result", "execution_count": 7, "metadata": {},
         "data": {"image/png": "ab/home/me/c", "text/plain": "/home/me/tree/build"}}]}
    rendered = render({"cells": [cell]}, {"cells": [ran]}, "n", ["/home/me", "/home/me/tree"])
    assert rendered["cells"][0]["outputs"] == [
        {"output_type": "execute_result", "execution_count": 1, "metadata": {},
         "data": {"image/png": "ab/home/me/c", "text/plain": "build"}}]


def test_scrubbing_leaves_longer_names_alone():
    assert scrub("see /tmp/x and /tmpfile, (/tmp)", ["/tmp"]) == "see x and /tmpfile, ()"


def test_ci_calls_make_test():
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)


def pretend_installed(tree, script: str) -> None:
    """Give the tree a Python that runs a shell script instead."""
    (tree.root / ".venv/bin").mkdir(parents=True)
    python = tree.root / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    digest = subprocess.run("cksum < requirements.txt", shell=True, cwd=tree.root, capture_output=True, text=True,
                            check=True).stdout.split()[0]
    (tree.root / f".venv/installed-{digest}").touch()


@pytest.mark.parametrize("name", ["it's #3: 400 nm.h5", "20241127", 'a "b" c.h5', "Müller, 1e3.h5", "- true"])
def test_any_name_of_a_file_reaches_the_workflow(tree, name):
    pretend_installed(tree, 'printf "%s\\n" "$@"')
    (tree.root / name).touch()
    said = tree.run("make", "figures", "PROFILE=smoke", f"DATA={name}", f"PAINTING={name}", f"SWEEP={name}").stdout
    given = [line for line in said.splitlines() if re.match(r"\w+=", line)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree.root)
        settings = check_settings(parse_config(given), ["smoke"])
    assert settings["data"] == settings["painting"] == settings["sweep"] == str(tree.root / name)


def test_the_site_is_that_of_the_run_that_is_there(tree):
    """Without DATA, a run on a reader's scan is not replaced; with it, that is taken."""
    pretend_installed(tree, 'echo "$DATA"')

    def data(*command: str) -> set[str]:
        return set(tree.run("make", *command, "PROFILE=smoke").stdout.splitlines())

    assert data("site") == {"auto"}
    record = tree.folder("smoke", 0) / "results/0_measured_data.json"
    record.parent.mkdir(parents=True)
    write_json(record, {"parameters": {"profile": "smoke", "data": "films/Probe ü 1.h5", "cycle": 0}})
    assert data("site") == data("render") == {"films/Probe ü 1.h5"}
    assert data("site", "DATA=other.h5") == {"other.h5"} and data("figures") == {"auto"}
