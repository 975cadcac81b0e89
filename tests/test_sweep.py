from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

import workflow.cell
from helpers.figures.sensitivity import figure_sensitivity
from helpers.ledger import twin_fractions
from helpers.paths import ROOT, Build, read_json, write_json
from helpers.profiles import get_profile
from helpers.scans.reading import load_scan
from helpers.scans.scan import save_scan, simulated_scan
from helpers.scores import matched_correlation, spatial_autocorrelation
from workflow.cell import fractions, loop_height, predicted_fractions, run_cell, truth_scores
from workflow.sweep import missing, sweep_cells, sweep_folder, sweep_scans, tabulate


def test_the_sweep_has_three_seeds_controls_and_settings_another_its_own_folder_and_unknown_cells_are_refused(tmp_path):
    jobs = sweep_cells(ROOT / "workflow/sweep.yml")
    assert len(jobs) == len(set(jobs))
    assert {seed for cell, seed in jobs if cell == "headline"} >= {0, 1, 2}
    assert ("control.beps.lstm.shuffled", 0) in jobs and ("vary.dl.sparsity=0.5", 0) in jobs
    assert sweep_folder("sweep.yml", "laptop") == "build/laptop/sweep"
    assert sweep_folder("/x/small.yml", "smoke") == "build/smoke/small"
    with pytest.raises(ValueError, match="seed0 is the name of a folder of results"):
        sweep_folder("seed0.yml", "smoke")
    with pytest.raises(ValueError, match="cell 'best' is unknown"):
        run_cell("best", get_profile("smoke"), None, 0, tmp_path)


@pytest.mark.parametrize(("text", "message"), [
    ("seeds: [0]\nvary: {vae: {unitz: [1]}}", "varies vae.unitz"), ("seeds: [0", "cannot be read"),
    ("seeds: [0]\nvary: {vae: {units: [many]}}", "sets vae.units to 'many': expected numbers"),
    ("seeds: [0]\nscans: [gone.h5]", "gone.h5: there is no such file"),
    ("seeds: [a]", "cannot be read"), ("[]", "cannot be read"), ("vary: 3", "cannot be read"),
])
def test_a_wrong_file_is_refused(tmp_path, text, message):
    path = tmp_path / "sweep.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        sweep_cells(path)


def test_settings_are_varied_at_every_seed_asked_for_and_scans_are_listed_or_a_folder(tmp_path):
    (tmp_path / "films").mkdir()
    for name in ("a.h5", "films/b.npz", "films/c.mat", "films/notes.txt"):
        (tmp_path / name).touch()
    path = tmp_path / "small.yml"
    path.write_text("seeds: [4]\nscans: [a.h5, films]\nvary: {seeds: [0, 1], dl: {atoms: [3]}}")
    assert sweep_cells(path) == [("headline", 4), ("scan.a", 4), ("scan.b", 4), ("scan.c", 4),
                                 ("vary.dl.atoms=3", 0), ("vary.dl.atoms=3", 1)]
    assert sweep_scans(path)["scan.b"] == str(tmp_path / "films/b.npz")
    path.write_text("seeds: [4]\nscans: [a.h5, a.h5]")
    with pytest.raises(ValueError, match="two scans of the same name"):
        sweep_cells(path)


@pytest.mark.filterwarnings("ignore:.*the objective did not settle within 20 iterations")
def test_a_dictionary_with_more_atoms_has_a_lower_error(tmp_path):
    scan = simulated_scan(0, (20, 20))
    few, many = (run_cell(f"vary.dl.atoms={n}", get_profile("smoke"), scan, 0, tmp_path) for n in (2, 8))
    assert [*few] == ["sensitivity.dl.atoms=2"] and many["sensitivity.dl.atoms=8"] < few["sensitivity.dl.atoms=2"]


def test_a_model_that_is_pca_has_its_error_on_either_half_of_the_scan(tmp_path, monkeypatch):
    scan, shape = simulated_scan(0, (24, 25)), (-1, 96, 2)

    def of_pca(benchmark, x):
        assert {len(benchmark.spectra), len(benchmark.heldout)} == {24 * 12, 24 * 13}
        pca = PCA(5).fit(benchmark.spectra.reshape(len(benchmark.spectra), -1))
        return pca.inverse_transform(pca.transform(x.reshape(len(x), -1))).reshape(shape)

    monkeypatch.setattr(workflow.cell, "_trained", lambda benchmark, seed, folder: SimpleNamespace(model=benchmark))
    monkeypatch.setattr(workflow.cell, "mean_kl", lambda model, x: np.repeat([1.0, 0.0], [5, 11]))
    monkeypatch.setattr(workflow.cell, "reconstruct", of_pca)
    found = run_cell("halves", get_profile("smoke"), scan, 0, tmp_path)
    assert found == {"beps.vae.over_pca_halves": pytest.approx(1, rel=1e-4)}


def test_what_is_finished_is_a_table_and_a_figure_and_the_log_says_why_a_cell_failed(tmp_path):
    folder, maps = tmp_path / "sweep", np.random.default_rng(0).normal(size=(50, 2))
    errors = {"headline": ("beps.vae.mse_heldout", 0.25), "vary.vae.units=16": ("sensitivity.vae.units=16", 0.125)}
    for cell, (name, error) in errors.items():
        for seed, times in enumerate((1, 3, 2)):
            where = folder / cell / f"seed{seed}"
            where.mkdir(parents=True)
            if (cell, seed) != ("vary.vae.units=16", 2):
                write_json(where / "metrics.json", {name: times * error, "x": None})
            if cell == "headline":
                np.savez(where / "embedding.npz", embedding=maps[:, ::-1] * -1 if seed else maps)
    for seed in (1, 2):
        (folder / f"twin/seed{seed}").mkdir(parents=True)
        np.savez(folder / f"twin/seed{seed}/fractions.npz", truth=np.full(3, seed))
    log = folder / "vary.vae.units=16/seed2/log.txt"
    log.write_text("Traceback (most recent call last):\nValueError: few spectra\n")
    save_scan(simulated_scan(0, (12, 12)), tmp_path / "scan.h5")
    tabulate(folder, get_profile("smoke"), tmp_path / "scan.h5")
    written = read_json(folder / "sweep.json")
    assert written["scan_sha256"] == load_scan(tmp_path / "scan.h5").sha256
    table = written["numbers"]
    assert table["beps.vae.mse_heldout"] == {"median": 0.5, "min": 0.25, "max": 0.75, "n": 3}
    assert table["beps.vae.stability"]["median"] == pytest.approx(1) and "x" not in table
    assert table["sensitivity.vae.units=16"]["n"] == 2
    assert table["sensitivity.vae.spread"]["median"] == pytest.approx(0.5 / 0.25)  # at the seeds that both have
    build = Build(tmp_path.parent, tmp_path.name, 0)
    assert twin_fractions(build)["truth"].tolist() == [1, 1, 1] and twin_fractions(Build(tmp_path, "none", 0)) == {}
    assert (folder / "sweep.csv").read_text().count("\n") == 1 + len(table)
    assert (folder / "sensitivity.png").stat().st_size > 5000 and (folder / "sensitivity.pdf").is_file()
    failed, left = missing(folder, [("headline", 0), ("vary.vae.units=16", 2), ("headline", 7)])
    assert failed.startswith("vary.vae.units=16, seed 2: ValueError: few spectra; see ")
    assert left.startswith("headline, seed 7: failed or not run; see ") and left.endswith("log.txt")


def test_the_figure_has_a_panel_for_each_setting_and_a_point_for_each_seed_in_as_many_rows_as_it_takes():
    found = {f"sensitivity.vae.units={units}": {seed: 0.1 / units + seed / 1e3 for seed in range(3)}
             for units in (4, 16)}
    found |= {"sensitivity.dl.atoms=3": {0: 0.2}, "beps.vae.mse_heldout": {seed: 0.02 for seed in range(5)}}
    figure = figure_sensitivity(found, {"units": 8, "atoms": 5}, source="twin")
    vae, dl = figure.axes
    seeds = [line for line in vae.lines if line.get_gid() == "seed"]
    assert [len(line.get_ydata()) for line in seeds] == [3, 3, 3]  # 4, the profile's 8, 16
    assert [label.get_text() for label in vae.get_xticklabels()] == ["4", "8", "16"]
    assert [line.get_markerfacecolor() != "white" for line in seeds] == [False, True, False]
    assert len(dl.lines) == 2
    with pytest.raises(ValueError, match="no setting was varied"):
        figure_sensitivity({"beps.vae.mse_heldout": {0: 1.0}}, {}, source="twin")
    names = ("units", "latents", "learning_rate", "end", "beta_step", "first_share", "priming")
    found = {f"sensitivity.vae.{name}={value}": {0: 0.1 + value} for name in names for value in (1, 2)}
    figure = figure_sensitivity(found, dict.fromkeys(names, 1), source="measured")
    assert len(figure.axes) == len(names) and all(ax.lines for ax in figure.axes)
    assert len({ax.get_ylim() for ax in figure.axes}) == 1


def test_matched_correlation_ignores_order_and_sign_and_spatial_autocorrelation_unusable_pixels():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 3))
    np.testing.assert_allclose(matched_correlation(a, -a[:, [2, 0, 1]]), 1)
    assert matched_correlation(a, rng.normal(size=(200, 3))).max() < 0.4
    ramp = np.add.outer(np.arange(40.0), np.arange(30.0))
    alike, shuffled = spatial_autocorrelation(ramp, seed=0)
    assert alike > 0.9 and abs(shuffled) < 0.1
    board = np.indices((20, 20)).sum(axis=0) % 2
    assert spatial_autocorrelation(board, seed=0)[0] == pytest.approx(-1)
    noise = np.random.default_rng(0).normal(size=(40, 30))
    holed = noise.copy()
    holed[:10] = np.nan
    np.testing.assert_allclose(spatial_autocorrelation(holed, seed=0), spatial_autocorrelation(noise[10:], seed=0))
    holed[:10] = 5.0  # alike, as placeholders are
    assert spatial_autocorrelation(holed, seed=0)[0] > 0.5


def told(scan, embedding):
    return truth_scores(fractions(scan), *predicted_fractions(scan, embedding, 0))


def test_truth_is_told_by_itself_not_by_noise_and_in_part_by_the_height_of_the_loops():
    scan = simulated_scan(0, (18, 18))
    rng = np.random.default_rng(0)
    itself = fractions(scan)
    scores = {name: told(scan, embedding) for name, embedding in {
        "itself": itself, "height": loop_height(scan), "noise": rng.normal(size=(len(itself), 2))}.items()}
    assert scores["itself"]["auc.three_state"] > 0.99 and scores["itself"]["r2.three_state"] > 0.9
    assert scores["itself"]["matched_r2"] == pytest.approx(1) and scores["noise"]["matched_r2"] < 0.05
    assert scores["noise"]["r2.three_state"] < 0.1
    assert scores["noise"]["r2.three_state"] < scores["height"]["r2.three_state"] < scores["itself"]["r2.three_state"]
    nowhere = replace(scan, truth=scan.truth | {"three_state": np.zeros(scan.shape)})
    assert np.isnan(told(nowhere, loop_height(scan))["auc.three_state"])


def test_the_stored_score_of_the_height_is_that_of_the_twin():
    stored = read_json(ROOT / "data/reference/seeds.json")["numbers"]
    if "twin.height.r2.c" not in stored:
        pytest.skip("no twin of the sweep is stored: make sweep, then make render")
    scan = simulated_scan(0, get_profile("laptop").twin_shape)
    for score, value in told(scan, loop_height(scan)).items():
        spread = stored[f"twin.height.{score}"]
        assert spread["min"] - 0.02 <= value <= spread["max"] + 0.02, score
