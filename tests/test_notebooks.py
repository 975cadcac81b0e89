"""All real notebooks on the smoke profile, through the real Snakefile: with the twin, then with an own scan."""

import json
import shutil
import sys

import h5py
import imageio_ffmpeg
import numpy as np
import pytest
from conftest import ROOT
from matplotlib.image import imread
from test_figures import FIGURES, INVENTORY, MOVIES, TABLES

from helpers.paths import read_json
from helpers.profiles import get_profile
from helpers.scans.reading import load_scan
from workflow import ahead
from workflow.cell import RECORDED, run_cell
from workflow.compare import write_page
from workflow.render import LARGEST_MIB, is_current

CONTRACT = """
toy.pca3.mse_gamut toy.dl.mse_gamut toy.dl.mse_painting toy.vae.mse_gamut toy.vae.mse_painting
toy.vae.active toy.vae.spearman toy.vae.seconds toy.vae.seconds_to_paper_mse beps.pca5.mse beps.dl.mse
beps.vae.mse beps.pca5.mse_heldout beps.dl.mse_heldout beps.vae.mse_heldout beps.vae.active
beps.vae.seconds beps.source run.seconds movies.seconds_per_frame paper.toy.vae.mse_gamut
""".split()


def manifest_of(folder):
    return {entry["id"]: entry for entry in read_json(folder / "manifest.json")}


def assert_drawn(path):
    image = imread(path)[..., :3]
    assert min(image.shape[:2]) > 300 and image.std() > 0.05


@pytest.fixture(scope="module")
def manifest(twin_run):
    return manifest_of(twin_run)


def test_every_figure_table_and_movie_of_the_paper_is_listed_with_its_panels_and_its_texts(manifest):
    assert set(manifest) == INVENTORY
    beps = {"fig4", "fig5", *(f"figS{n}" for n in (1, 2, 5, 6, 7, 8, 9, 10)), *(f"movieS{n}" for n in (4, 5, 6))}
    assert beps == {name for name, entry in manifest.items()
                    if entry["source"] == "twin" and entry["kind"] != "table"}
    for name, entry in manifest.items():
        assert entry["caption"] and entry["alt"], name
        if name in MOVIES:
            assert len(entry["panels"]) >= MOVIES[name], name
        else:
            assert set(TABLES.get(name) or "".join(FIGURES[name])) <= set(entry["panels"]), name


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_rendered_from_its_own_source(path):
    assert is_current(read_json(path)), f"{path.name} was edited: make render"
    assert path.stat().st_size < LARGEST_MIB * 2**20


@pytest.mark.parametrize("name", FIGURES)
def test_figure_opens_and_is_not_blank(twin_run, manifest, name):
    path = twin_run / manifest[name]["file"]
    assert_drawn(path)
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", MOVIES)
def test_movie_plays_and_moves(twin_run, manifest, name):
    reader = imageio_ffmpeg.read_frames(str(twin_run / manifest[name]["file"]))
    facts = next(reader)
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p")
    assert len(frames) >= 24 and frames[0].std() > 5
    assert (np.abs(frames[0].astype(int) - frames[len(frames) // 2]) > 30).any()


def test_metrics_keep_their_names(twin_run):
    metrics = read_json(twin_run / "metrics.json")
    assert not set(CONTRACT) - set(metrics)
    assert metrics["beps.source"] == "twin"
    assert metrics["beps.pca5.mse"] < metrics["beps.dl_omp.mse"] < metrics["beps.dl.mse"]
    assert metrics["toy.pca3.mse_gamut"] < metrics["toy.dl.mse_gamut"]


def test_a_sweep_reads_the_numbers_of_the_run_itself_under_the_names_of_its_other_seeds(twin_run, tmp_path):
    results, metrics = twin_run / "results", read_json(twin_run / "metrics.json")
    found = run_cell("headline", get_profile("smoke"), load_scan(results / "scan.h5"), 0, tmp_path, results)
    stored = read_json(ROOT / "data/reference/seeds.json")["numbers"]
    names = [name for of_notebook in RECORDED.values() for name in of_notebook]
    assert {name: found[name] for name in names} == {name: metrics[name] for name in names}
    assert {name for name in found if "seconds" not in name} <= set(stored)
    embedding = np.load(tmp_path / "embedding.npz")["embedding"]
    assert embedding.shape[1] == metrics["beps.vae.active"]


@pytest.mark.parametrize("number, title, reads", [
    (1, "paper toy", ["toy.npz"]), (2, "toy", ["toy.npz"]), (3, "BEPS", ["toy.npz", "scan.h5"])])
def test_a_training_ahead_of_its_notebook_is_the_one_that_the_notebook_asks_for(
        twin_run, tmp_path, monkeypatch, number, title, reads):
    """It reads back what the notebook trained: another one would begin a folder of its own."""
    folder = tmp_path / "smoke/seed0"
    shutil.copytree(twin_run / "checkpoints", folder / "checkpoints")
    (folder / "results").mkdir()
    for name in reads:
        shutil.copy(twin_run / "results" / name, folder / "results")
    before = {path.name for path in (folder / "checkpoints").iterdir()}
    given, trained = json.dumps({"profile": "smoke", "build": str(tmp_path)}), tmp_path / "trained"
    monkeypatch.setattr(sys, "argv", [
        "ahead", str(ROOT / "notebooks/3_beta_vae_training.ipynb"), str(number), given, str(trained)])
    ahead.main()
    named = trained.read_text().strip()
    assert named.startswith(f"{title}-") and any(name.startswith(named) for name in before)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == before


def test_the_page_that_compares_scans_reads_what_a_run_leaves(twin_run, tmp_path):
    write_page(tmp_path / "page.html", {str(twin_run): "film.h5"})
    metrics, page = read_json(twin_run / "metrics.json"), (tmp_path / "page.html").read_text()
    active = metrics["beps.vae.active"]
    assert "1 of 1 scans" in page and (f'alt="{active} maps"' in page) == (active > 0)
    assert f'<td>{metrics["beps.dl.mse"]:.3g}<td>{metrics["beps.pca5.mse"]:.3g}<td>' in page


def test_the_run_says_what_it_was_made_from(twin_run):
    run = read_json(twin_run / "run.json")
    assert run["data"]["source"] == "twin" and len(run["data"]["sha256"]) == 64
    assert run["parameters"]["profile"] == "smoke" and len(run["seconds"]) == 6
    assert run["versions"]["tensorflow"] and run["peak_memory_GiB"] < 4


@pytest.mark.all
def test_an_own_scan_gives_every_figure_and_movie(own_run):
    manifest = manifest_of(own_run)
    assert set(manifest) == INVENTORY
    assert manifest["fig4"]["panels"] == list("abcdefklmnoptu")
    for name in ("fig4", "fig5", "figS5", "figS6", "figS7", "figS8", "figS10"):
        assert manifest[name]["source"] == "measured"
        assert_drawn(own_run / manifest[name]["file"])
    for n in (4, 5, 6):
        assert imageio_ffmpeg.count_frames_and_secs(str(own_run / f"movies/s{n}.mp4"))[0] >= 24


@pytest.mark.all
def test_numbers_of_an_own_scan_are_those_of_its_usable_pixels(own_run):
    metrics = read_json(own_run / "metrics.json")
    assert (metrics["beps.source"], metrics["beps.pixels"], metrics["beps.steps"]) == ("measured", 304, 48)
    assert metrics["beps.pca5.mse"] < metrics["beps.dl_omp.mse"] < metrics["beps.dl.mse"] < 1
    assert metrics["beps.vae.mse"] < 1 and metrics["beps.vae.mse_heldout"] < 1
    with h5py.File(own_run / "results/scan.h5") as file:
        assert np.argwhere(file["unusable"][:]).tolist() == [[3, 4]] and "resonance" not in file
        assert any("1 pixel beyond repair" in note for note in file.attrs["notes"])
    with np.load(own_run / "results/vae_beps.npz") as stored:
        assert stored["reconstructed"].shape == (304, 48, 1)
