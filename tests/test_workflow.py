"""The real Snakefile and Makefile on stub notebooks: order, settings, failures, reruns."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from conftest import ROOT, Tree, variables, write_files, write_notebook
from PIL import Image
from snakemake.cli import parse_config

import workflow.render
from helpers.notebooks import NOTEBOOKS, needed, written
from helpers.paths import write_json
from workflow.render import scrub
from workflow.settings import check_settings, depends_on, parameters_of, plain, state

NAMES = list(NOTEBOOKS)


@pytest.fixture
def copy(finished: Tree, tmp_path: Path) -> Tree:
    """A copy of the finished tree, with its modification times."""
    shutil.copytree(finished.root, tmp_path / "copy", dirs_exist_ok=True)
    tree = object.__new__(Tree)
    tree.root = tmp_path / "copy"
    return tree


@pytest.mark.parametrize("wrong, sentence", [
    ({"profile": "huge"}, "PROFILE=huge is not a profile: expected one of smoke, laptop, paper; choose one of these."),
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
        check_settings(wrong)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_have_defaults_and_absolute_paths_and_names_are_text(tmp_path, monkeypatch):
    assert check_settings({}) == {
        "profile": "laptop", "data": "auto", "seed": 0, "painting": "", "weights": "train", "cycle": 0,
        "select": "", "clean": "", "sweep": str(ROOT / "workflow/sweep.yml")}
    assert check_settings({"cycle": "mean"})["cycle"] == "mean"
    assert check_settings({"data": "drive:1a-B_c"})["data"] == "drive:1a-B_c"
    monkeypatch.chdir(tmp_path)
    Path("my loops.h5").touch()
    assert check_settings({"data": "my loops.h5"})["data"] == str(tmp_path / "my loops.h5")
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.h5")).touch()
    with pytest.raises(ValueError, match="the name is not UTF-8: expected one that is; rename the file"):
        check_settings({"data": str(tmp_path)})


def test_what_follows_from_a_file_changes_with_it_and_names_that_snakemake_misreads_have_plain_folders(tmp_path):
    assert state("auto", tmp_path) == state("twin") == state("") == ""
    for name in ("loops.npz", "b.MAT", "a.h5", "README.md"):
        (tmp_path / name).touch()
    before = state("auto", tmp_path)
    assert before.startswith(str(tmp_path / "a.h5")) and before == state(str(tmp_path / "a.h5"))
    (tmp_path / "a.h5").write_text("more")
    assert state("auto", tmp_path) != before
    assert [plain(name) for name in ("film 3", "Probe_ü (1).h5")] == ["film 3", "Probe_ü (1).h5"]
    odd = ["a,b", "a;b", "<word>", "{y}", "a #3", "a\\b", " a", "a\n", "..", "-n", "'", '"', "$x", "[1]", "a*"]
    folders = [plain(name) for name in odd]
    assert len(set(folders)) == len(odd) and all(re.fullmatch(r"[\w.()+=-]*-[0-9a-f]{8}", folder) for folder in folders)


def test_wrong_settings_or_no_room_to_write_stop_the_workflow_before_anything_runs(tree):
    said = tree.snakemake("data=nowhere.h5", fails=True)
    assert said.count("\n") == 1 and "there is no file" in said
    assert not (tree.root / "build").exists()
    (tree.root / "build").write_text("a file where the folder should be")
    assert "build/smoke/seed0 cannot be written" in tree.snakemake(fails=True)


def test_make_refuses_unknown_variables_and_other_pythons(tree):
    failed = tree.run("make", "figures", "PROFIL=smoke", "DATA=a b=c.h5")
    assert failed.returncode != 0
    assert "Unknown variable PROFIL: expected one of PROFILE DATA SEED" in failed.stdout
    assert not (tree.root / ".venv").exists()
    fake = tree.root / "python2"
    fake.write_text("#!/bin/sh\ntest \"$1\" = -V && echo Python 3.9.1\n")
    fake.chmod(0o755)
    failed = tree.run("make", "test", f"PYTHON={fake}")
    assert failed.returncode != 0
    assert "is Python 3.9.1: expected Python 3.11 to 3.13" in failed.stdout


def test_every_notebook_ran_with_its_parameters_and_left_its_files(finished):
    folder = finished.folder()
    for name, entry in NOTEBOOKS.items():
        assert all((folder / file).is_file() for file in written(name))
        assert "<html" in (folder / f"notebooks/{name}.html").read_text()
        assert not (folder / f"logs/{name}.ipynb").exists()
        done = (folder / f"notebooks/{name}.ipynb").stat().st_mtime
        assert all((folder / file).stat().st_mtime < done for file in entry["reads"])
    executed = json.loads((finished.folder() / "notebooks/0_measured_data.ipynb").read_text())
    injected = "".join(next("".join(cell["source"]) for cell in executed["cells"]
                            if "injected-parameters" in cell["metadata"].get("tags", [])))
    assert 'profile = "smoke"' in injected and 'data = "twin"' in injected
    assert "seed = 0" in injected and "painting" not in injected
    assert finished.planned("seed=3", "profile=laptop") == set(NAMES)  # in another folder


def test_other_or_changed_data_or_another_backend_reach_what_depends_on_them(copy):
    assert copy.planned(KERAS_BACKEND="jax") == set(NAMES[3:])
    (copy.root / "loops.h5").write_text("measured")
    said = copy.snakemake("data=loops.h5")
    assert {name for name in NAMES if f"Running notebooks/{name}" in said} == set(NAMES) - {"1_toy_rgb_benchmark"}
    assert copy.planned("data=loops.h5") == set()
    (copy.root / "loops.h5").write_text("measured again")
    assert copy.planned("data=loops.h5") == set(NAMES) - {"1_toy_rgb_benchmark"}


def test_an_edited_helper_or_notebook_reruns_its_dependents_alone_and_one_run_by_hand_nothing(copy):
    path = copy.root / "notebooks/3_beta_vae_training.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hi"}]
    path.write_text(json.dumps(notebook))
    with (copy.root / "helpers/movies.py").open("a") as file:
        file.write("x = 1\n")
    assert copy.planned() == {"4_embedding_movies", "5_paper_and_reproduction"}
    copy.stub("3_beta_vae_training", "print('another ending')")
    assert copy.planned() == set(NAMES[3:])


def with_trainings(path: Path, trained: Path, last: str = "") -> None:
    """Give a stub notebook a training that reads no scan and one that does; each writes into the file `trained`."""
    notebook = json.loads(path.read_text())
    kept = [cell for cell in notebook["cells"] if not cell["id"].startswith("added")]
    note = f"open({str(trained)!r}, 'a').write(f'{{epochs}} {{profile}} {{build}}\\n')"
    note += "\nfrom pathlib import Path\nclass run:\n    class checkpoints: folder = Path('toy-0123456789ab-2')"
    added = [("setup", "epochs = 5"), ("setup scan", "epochs = 6"), ("training", note), ("", "epochs = 7"),
             ("training scan", f"{last or note}  # scan.h5")]
    cells = [{"cell_type": "code", "id": f"added{n}", "source": source, "outputs": [], "execution_count": None,
              "metadata": {"tags": tags.split()}} for n, (tags, source) in enumerate(added)]
    path.write_text(json.dumps(notebook | {"cells": kept + cells}))


def test_trainings_run_before_their_notebook_which_tells_of_one_that_fails(tree):
    path, trained = tree.root / "notebooks/3_beta_vae_training.ipynb", tree.root / "trained"
    with_trainings(path, trained, "raise FloatingPointError('the loss is NaN')")
    said = tree.snakemake("profile=laptop", fails=True)
    assert said.count("FloatingPointError") == 1
    assert "3_beta_vae_training failed: FloatingPointError: the loss is NaN" in said
    assert trained.read_text().split("\n") == ["5 laptop build", "6 laptop build", ""]  # before it, and within
    with_trainings(path, trained)
    said = tree.snakemake("profile=laptop")
    assert "Training 1 of 2" not in said and "Training 2 of 2" in said
    assert [line[0] for line in trained.read_text().split("\n")[2:-1]] == ["6", "6", "7"]


def test_loops_that_somebody_read_by_hand_are_not_taken_for_those_asked_for(copy):
    """Notebook 0 run in JupyterLab, with other data, leaves its results where the workflow's own are."""
    results = copy.folder() / "results"
    record, scan = results / "0_measured_data.json", results / "scan.h5"
    for data, other in (("twin", False), ("/elsewhere/my.h5", True)):
        record.write_text(json.dumps({"parameters": {"data": data, "cycle": 0}}))
        scan.write_text("by hand")
        copy.snakemake("build/smoke/seed0/results/scan.h5")
        assert (scan.read_text() != "by hand") == other


def test_notebooks_in_kernels_that_fail_are_killed_or_take_too_long(tmp_path):
    """Real kernels, those of this environment: the user's own, which fails, and plotting backend stand in the way."""
    tree = Tree(tmp_path, real=True)
    snakefile = tree.root / "workflow/Snakefile"
    snakefile.write_text(re.sub('"smoke": 1200', '"smoke": 5', text := snakefile.read_text()))
    assert text != snakefile.read_text()
    tree.stub("0_measured_data", "raise ValueError('loops.h5 holds 3 NaN: interpolate them.')")
    kernel = tree.root / "elsewhere/kernels/python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(
        {"argv": ["false", "{connection_file}"], "display_name": "other", "language": "python"}))
    elsewhere = str(tree.root / "elsewhere")
    said = tree.snakemake("--keep-going", fails=True, MPLBACKEND="TkAgg", JUPYTER_PATH=elsewhere,
                          JUPYTER_DATA_DIR=elsewhere, JUPYTER_PREFER_ENV_PATH="0")
    assert "papermill" not in said, "the command hides what is wrong"
    end = said.strip().splitlines()
    assert end[-2] == "0_measured_data failed: ValueError: loops.h5 holds 3 NaN: interpolate them."
    assert end[-1] == "The notebook as far as it came: build/smoke/seed0/logs/0_measured_data.ipynb"
    assert "Traceback" in (tree.folder() / "logs/0_measured_data.ipynb").read_text()
    executed = json.loads((tree.folder() / "notebooks/1_toy_rgb_benchmark.ipynb").read_text())
    printed = "".join(text for output in executed["cells"][-1]["outputs"] for text in output["text"]).split()
    assert printed == ["done", sys.executable, "module://matplotlib_inline.backend_inline"]
    scan, toy = tree.folder() / "results/scan.h5", tree.folder() / "results/toy.npz"
    assert toy.is_file() and not scan.exists(), "an unfinished result looks finished"
    tree.stub("0_measured_data", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    tree.stub("1_toy_rgb_benchmark", "import time\ntime.sleep(60)")
    said = tree.snakemake("--keep-going", fails=True)
    assert "0_measured_data failed: its kernel was killed, most often for" in said
    assert "1_toy_rgb_benchmark failed: a cell ran longer than its profile allows; raise CELL_TIMEOUT_S" in said
    assert not scan.exists() and not toy.exists()


def test_two_runs_at_once_and_a_killed_run(copy):
    """A run that is killed leaves Snakemake's lock, which goes with the last of its jobs."""
    copy.stub("5_paper_and_reproduction", "import time\nwhile not Path('../go').exists():\n    time.sleep(0.1)")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "profile=smoke", "data=twin"]
    with subprocess.Popen(command, cwd=copy.root, env=variables(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        kept = copy.folder() / "logs/5_paper_and_reproduction.ipynb"
        while not kept.exists() or not kept.stat().st_size:
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
    assert "Directory cannot be locked" in copy.snakemake(fails=True)
    (copy.root / "go").touch()
    while kept.exists():
        time.sleep(0.1)
    copy.stub("5_paper_and_reproduction")
    assert "Running notebooks/5_paper" in copy.snakemake()


def test_scans_of_a_folder_share_what_reads_none_of_them_and_a_broken_one_is_named_and_run_alone(tree):
    films, trained = tree.root / "my films", tree.root / "trained"
    write_files(films, dict.fromkeys(("a.h5", "a.npz", "notes.txt"), "loops") | {"b.hdf5": "no loops"})
    tree.stub("0_measured_data", "if open(data).read() != 'loops': raise ValueError(f'{data} cannot be read')")
    with_trainings(tree.root / "notebooks/3_beta_vae_training.ipynb", trained)
    checkpoint = "toy-0123456789ab-1/checkpoint-000001.npz"
    write_files(tree.folder("laptop") / "checkpoints", {checkpoint: "weights", "toy-of-earlier/a.npz": ""})
    said = tree.snakemake("--keep-going", "data=my films", "profile=laptop", fails=True)
    assert re.search("0_measured_data failed: ValueError: .*b.hdf5 cannot be read", said)
    assert "build/scans/my films/b/laptop/seed0/logs/0_measured_data.ipynb" in said
    assert said.count("Running notebooks/1_toy_rgb_benchmark.ipynb") == 1
    builds = [f"build/scans/my films/{name}" for name in ("a.h5", "a.npz", "b")]
    page = tree.root / "build/laptop/my films-seed0.html"
    assert page.read_text().splitlines() == [f"{build}/laptop/seed0" for build in builds]
    page.write_text("that of the failed run")
    (films / "b.hdf5").write_text("loops")
    said = tree.snakemake("--keep-going", "data=my films", "profile=laptop")
    assert "my films-seed0.html compares 3 scans" in said
    assert page.read_text().splitlines() == [f"{build}/laptop/seed0" for build in builds]
    ran = re.findall(r"Running notebooks/(\d)\w+.ipynb for build/scans/my films/(.+)/laptop", said)
    assert sorted(ran) == [(number, "b") for number in "02345"]
    epochs = trained.read_text().split("\n")
    assert epochs.count("5 laptop build") == 1 and sum(line.startswith("5") for line in epochs) == 1
    for build in builds:
        assert [line[0] for line in epochs if line.endswith(build)] == ["6", "6", "7"]
        copied = tree.root / build / "laptop/seed0/checkpoints"
        assert [*copied.iterdir()] == [(copied / checkpoint).parent]
        assert (copied / checkpoint).read_text() == "weights"


ODD = ["-n", "a,b \\d #1 <word>", """it's "x"; {y} [z]* ü \n""", "$HOME; touch hit `touch hit`"]


@pytest.mark.all
def test_scans_of_any_name_in_a_clone_of_any_name(tmp_path):
    tree = Tree(tmp_path / """a 'clone' [of] "$HOME"; touch hit""")
    pretend_installed(tree, f'exec "{sys.executable}" "$@"')
    films = tree.root / 'films, "all" <of> $them'
    films.mkdir()
    for name in ODD:
        (films / f"{name}.h5").touch()
    done = tree.run("make", "figures", "PROFILE=smoke", f"DATA={films.name}/")
    assert done.returncode == 0, done.stdout
    assert f"compares {len(ODD)} scans" in done.stdout
    read = {json.loads(path.read_text())["cells"][-1]["outputs"][0]["text"].rpartition("\ndone")[0]
            for path in tree.root.glob("build/scans/*/*/smoke/seed0/notebooks/0_measured_data.ipynb")}
    assert read == {str(films / f"{name}.h5") for name in ODD}
    assert not list(tmp_path.rglob("hit"))
    assert "Nothing to be done" in tree.run("make", "figures", "PROFILE=smoke", f"DATA={films.name}/").stdout


def test_imports_are_followed_through_modules_and_tables_and_the_toy_depends_on_few_helpers_and_no_reader(tmp_path):
    files = {"helpers/a.py": "from helpers import b\nSTYLE = 'paper.mplstyle'",
             "helpers/b.py": "from .c import x", "helpers/paper.mplstyle": "", "data/reference/a.json": "{}",
             "helpers/c.py": "import numpy\ndef f():\n from helpers.d.e import y\n return 'data/reference/a.json'",
             "helpers/d/__init__.py": "from math import pi", "helpers/d/e.py": "y = 1"}
    others = {f"helpers/{name}.py": "y = 1" for name in ("unused", "d/unused", "colab")}
    write_files(tmp_path, files | others | {"helpers/__init__.py": "'A docstring alone.'"})
    notebook = tmp_path / "n.ipynb"
    write_notebook(notebook, "%matplotlib inline\nif True:\n    !pip install x\nimport helpers.a",
                   "from helpers import colab")
    assert depends_on(notebook, tmp_path) == sorted(files)
    # A touched reader reruns notebook 0 and what reads its result, no more.
    used = {name: set(depends_on(Path(f"notebooks/{name}.ipynb"))) for name in NOTEBOOKS}
    assert len([file for file in used["1_toy_rgb_benchmark"] if file.startswith("helpers/")]) <= 12
    of_readers = {name for name, files in used.items() if any(file.startswith("helpers/scans/") for file in files)}
    assert "0_measured_data" in of_readers
    assert of_readers <= {name for name in NOTEBOOKS if "0_measured_data" in [name, *needed(name)]}


NETWORKS = ("helpers.backend", "helpers.beta_vae", "helpers.training")
GROUND = ("profiles", "paths", "toy", "sho", "loops", "scores", "generate", "dictionary", "linear", "paper", "ledger",
          "twin")


@pytest.mark.parametrize(("rooms", "above"), [
    ((), ("workflow", "docs")), (("figures",), ("helpers.scans", *NETWORKS)),
    (("scans",), ("helpers.figures", *NETWORKS)), (GROUND, ("helpers.scans", "helpers.figures", *NETWORKS))])
def test_imports_run_one_way(rooms, above):
    """notebooks → record, figures, controls → training → networks → ground; helpers need neither workflow nor docs."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "helpers").rglob("*.py")]
    modules = {".".join(path.parts) for path in paths
               if path.name != "__init__" and (not rooms or path.parts[1] in rooms)}
    finder = ModuleFinder([str(ROOT)])
    finder.scan_code(compile("import " + ", ".join(modules), "all", "exec"), finder.add_module("__main__"))
    reached = {name for name, one in finder.modules.items() if one.__file__}
    assert modules and modules <= reached
    assert not [name for name in reached if name.startswith(above)]


def test_parameters_are_those_of_the_tagged_cell_and_a_notebook_without_is_named(tmp_path):
    notebook = tmp_path / "9_untagged.ipynb"
    write_notebook(notebook, "seed = 0")
    with pytest.raises(ValueError, match="9_untagged.ipynb has no cell tagged `parameters`"):
        parameters_of(notebook)
    notebook = tmp_path / "n.ipynb"
    write_notebook(notebook, "x = 1", "profile = 'smoke'  # size\nseed: int = 0\ndata = 'auto'", "y = profile")
    assert parameters_of(notebook) == {"profile", "seed", "data"}
    assert {"select", "clean"} <= parameters_of(ROOT / "notebooks/0_measured_data.ipynb")


@pytest.fixture
def rendering(copy, monkeypatch) -> Tree:
    """A finished tree in which `workflow.render` works."""
    monkeypatch.setattr(workflow.render, "ROOT", copy.root)
    monkeypatch.setattr(workflow.render, "REFERENCE", copy.root / "data/reference")
    monkeypatch.setattr(workflow.render, "readme", lambda: "the page")
    (copy.root / "data/reference").mkdir(parents=True)
    return copy


def test_rendered_notebooks_hold_no_path_and_no_injected_cell(rendering, monkeypatch):
    tree, data = rendering, rendering.root.parent / "secret/loops.h5"
    (tree.folder() / "metrics.json").write_text('{"beps.source": "measured"}')
    (tree.folder() / "run.json").write_text(json.dumps({"parameters": {"data": str(data)}}))
    for name in workflow.render.THUMBNAILS:
        Image.new("RGB", (9, 9)).save(tree.folder() / f"figures/{name}.png")
    monkeypatch.setattr(workflow.render, "side_by_side", lambda movie, *size: movie.name.encode())
    workflow.render.main(tree.folder())
    assert (tree.root / "data/reference/training.webp").read_bytes() == b"s2.mp4"
    for name in NAMES:
        text = (tree.root / f"notebooks/{name}.ipynb").read_text()
        assert str(tree.root) not in text and "injected" not in text
        rendered = json.loads(text)["cells"]
        assert [cell["execution_count"] for cell in rendered] == [1, 2, 3, 4]
        assert "done" in str(rendered[3]["outputs"])
    run = json.loads((tree.root / "data/reference/run.json").read_text())
    assert run == {"parameters": {"data": "loops.h5"}}
    assert tree.planned() == set()


def test_numbers_of_simulated_loops_are_not_kept_and_an_edited_notebook_stops_before_any_is_rendered(rendering, capsys):
    workflow.render.main(rendering.folder())
    assert "these are simulated" in capsys.readouterr().out
    assert not list((rendering.root / "data/reference").iterdir())
    rendering.stub("5_paper_and_reproduction", "print('edited')")
    rendering.stub("0_measured_data")
    before = (rendering.root / "notebooks/0_measured_data.ipynb").read_text()
    with pytest.raises(ValueError, match="5_paper_and_reproduction.ipynb differs from its executed copy"):
        workflow.render.main(rendering.folder())
    assert (rendering.root / "notebooks/0_measured_data.ipynb").read_text() == before


def test_scrubbing_leaves_longer_names_and_pictures_alone():
    assert scrub("see /tmp/x and /tmpfile, (/tmp)", ["/tmp"]) == "see x and /tmpfile, ()"
    shown = {"image/png": "ab/home/me/c", "text/plain": "/home/me/tree/build"}
    assert scrub(shown, ["/home/me", "/home/me/tree"]) == {"image/png": "ab/home/me/c", "text/plain": "build"}


def digest(*files: Path) -> str:
    """What make finds in an installation's name."""
    return subprocess.run(["cksum"], input=b"".join(file.read_bytes() for file in files), capture_output=True,
                          check=True).stdout.decode().split()[0]


def pretend_installed(tree, script: str) -> None:
    """Give the tree a Python that runs a shell script instead."""
    (tree.root / ".venv/bin").mkdir(parents=True)
    python = tree.root / ".venv/bin/python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    (tree.root / f".venv/installed-{digest(tree.root / 'requirements.txt')}").touch()


@pytest.mark.parametrize("name", ["it's #3: 400 nm.h5", "20241127", 'Müller "b", 1e3.h5', "- true", "$HOME $(x) $$"])
def test_any_name_of_a_file_reaches_the_workflow(tree, name):
    pretend_installed(tree, 'printf "%s\\n" "$@"')
    (tree.root / name).touch()
    said = tree.run("make", "figures", "PROFILE=smoke", f"DATA={name}", f"PAINTING={name}", f"SWEEP={name}").stdout
    given = [line for line in said.splitlines() if re.match(r"\w+=", line)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree.root)
        settings = check_settings(parse_config(given))
    assert settings["data"] == settings["painting"] == settings["sweep"] == str(tree.root / name)


def test_variables_stand_before_or_after_make_and_none_is_run_by_the_shell(tree):
    pretend_installed(tree, 'printf "%s\\n" "$@"')
    for said in (tree.run("make", "figures", "CORES=1", PROFILE="smoke", SEED="3", DATA="$x.h5"),
                 tree.run("make", "figures", "PROFILE=smoke", "SEED=3", "DATA=$x.h5", CORES="1")):
        given = {"PROFILE=['smoke']", "SEED=['3']", "DATA=['$x.h5']", "1", "WEIGHTS=['train']"}
        assert given <= set(said.stdout.splitlines())
    odd = "$(touch hit); `touch hit`; touch hit"
    for variable in ("PROFILE", "SEED", "CORES", "WEIGHTS", "CYCLE"):
        assert odd in tree.run("make", "figures", f"{variable}={odd}").stdout
    tree.run("make", "site", f"PROFILE={odd}", f"SEED={odd}")
    assert not (tree.root / "hit").exists()


def test_the_site_is_that_of_the_run_that_is_there(tree):
    """Without DATA, a run on a reader's scan is not replaced; with it, that is taken."""
    pretend_installed(tree, f'[ "$1" != -c ] || exec "{sys.executable}" "$@"\nprintf "%s\\n" "$@"')

    def data(*command: str) -> set[str]:
        lines = tree.run("make", *command, "PROFILE=smoke").stdout.splitlines()
        return {parse_config([line])["DATA"][0] for line in lines if line.startswith("DATA=")}

    assert data("site") == {"auto"}
    record = tree.folder("smoke", 0) / "results/0_measured_data.json"
    record.parent.mkdir(parents=True)
    write_json(record, {"parameters": {"profile": "smoke", "data": 'films/Probe "ü" 1.h5', "cycle": 0}})
    assert data("site") == data("render") == {'films/Probe "ü" 1.h5'}
    assert data("site", "DATA=other.h5") == {"other.h5"} and data("figures") == {"auto"}


SLOW_PYTHON = """[ "$1" = -m ] || exec "%s" "$@"
echo "$@" >> installed; sleep 1; mkdir -p .venv/bin
printf '#!/bin/sh\\n[ "$2" != pip ] || { sleep 1; echo pip >> installed; }\\n[ "$1" != -V ] || exec "%s" -V\\n' \\
  > .venv/bin/python
chmod +x .venv/bin/python"""


def test_two_makes_in_a_fresh_clone_install_once(tree):
    python = tree.root / "python"
    python.write_text(f"#!/bin/sh\n{SLOW_PYTHON % (sys.executable, sys.executable)}\n")
    python.chmod(0o755)
    command = ["make", "figures", "PYTHON=./python"]
    first, second = (subprocess.Popen(command, cwd=tree.root, env=variables(), stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True) for _ in range(2))
    for one in (first, second):
        said = one.communicate(timeout=60)[0]
        assert one.returncode == 0, said
    assert (tree.root / "installed").read_text().splitlines() == ["-m venv .venv", "pip"]


def test_a_cluster_that_is_not_there_is_named(tree):
    pretend_installed(tree, "true")
    said = tree.run("make", "figures", "CLUSTER=sge").stdout
    assert "CLUSTER=sge: expected slurm, or a folder of your own in workflow/profiles;" in said
    assert "kubectl create -f workflow/kubernetes.yaml" in tree.run("make", "figures", "CLUSTER=kubernetes").stdout
    shutil.copytree(ROOT / "workflow/profiles", tree.root / "workflow/profiles")
    files = [tree.root / name for name in ("requirements.txt", "requirements-cluster.txt")]
    shutil.copy(ROOT / files[1].name, files[1])
    (tree.root / f".venv/cluster-{digest(*files)}").touch()
    (tree.root / "bin").mkdir()
    for name in ("sh", "cksum", "cat", "sed", "make", "touch"):
        (tree.root / "bin" / name).symlink_to(shutil.which(name))
    missing = tree.run("make", "figures", "CLUSTER=slurm", PATH=str(tree.root / "bin"))
    assert missing.returncode != 0
    said = "CLUSTER=slurm: there is no sbatch here: expected a machine from which jobs are sent; log in on one"
    assert said in missing.stdout
