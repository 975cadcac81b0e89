import json

import numpy as np
import pytest

from helpers.data import simulated_scan
from helpers.metrics import matched_correlation, spatial_autocorrelation
from helpers.paths import ROOT
from helpers.profiles import get_profile
from helpers.sweep import collect, missing, run_cell
from helpers.workflow import sweep_cells


def test_the_sweep_has_three_seeds_controls_and_settings():
    jobs = sweep_cells(ROOT / "sweep.yml")
    assert len(jobs) == len(set(jobs))
    assert {seed for cell, seed in jobs if cell == "headline"} >= {0, 1, 2}
    assert ("control.beps.lstm.shuffled", 0) in jobs and ("vary.vae.units=16", 0) in jobs


@pytest.mark.parametrize(("text", "message"), [
    ("seeds: [0]\nvary: {vae: {unitz: [1]}}", "varies vae.unitz"), ("seeds: [0", "cannot be read"),
    ("seeds: [a]", "cannot be read"), ("[]", "cannot be read"), ("vary: 3", "cannot be read"),
])
def test_a_wrong_file_is_refused(tmp_path, text, message):
    path = tmp_path / "sweep.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        sweep_cells(path)


def test_an_unknown_cell_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cell 'best' is unknown"):
        run_cell("best", get_profile("smoke"), None, 0, tmp_path)


def test_a_dictionary_with_more_atoms_has_a_lower_error(tmp_path):
    scan = simulated_scan(0, (20, 20))
    error = {cell: run_cell(cell, get_profile("smoke"), scan, 0, tmp_path)
             for cell in ("vary.dl.atoms=2", "vary.dl.atoms=8")}
    assert [*error["vary.dl.atoms=2"]] == ["sensitivity.dl.atoms=2"]
    assert error["vary.dl.atoms=8"]["sensitivity.dl.atoms=8"] < error["vary.dl.atoms=2"]["sensitivity.dl.atoms=2"]


def test_seeds_are_collected_as_median_and_spread_and_failed_cells_named(tmp_path):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(50, 2))
    for seed, error in enumerate((0.3, 0.1, 0.2)):
        folder = tmp_path / "headline" / f"seed{seed}"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"beps.vae.mse_heldout": error, "x": None}))
        np.savez(folder / "embedding.npz", embedding=maps[:, ::-1] * -1 if seed else maps)
    (tmp_path / "vary.vae.units=16" / "seed0").mkdir(parents=True)
    (tmp_path / "vary.vae.units=16" / "seed0" / "metrics.json").write_text('{"sensitivity.vae.units=16": 0.6}')
    seeds = collect(tmp_path)
    assert seeds["beps.vae.mse_heldout"] == {"median": 0.2, "min": 0.1, "max": 0.3, "n": 3}
    assert seeds["beps.vae.stability"]["median"] == pytest.approx(1)
    assert seeds["sensitivity.vae.spread"]["median"] == pytest.approx(2)
    assert "x" not in seeds
    left = missing(tmp_path, [("headline", 0), ("headline", 7)])
    assert len(left) == 1 and "headline, seed 7" in left[0] and "log.txt" in left[0]


def test_matched_correlation_ignores_order_and_sign():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 3))
    np.testing.assert_allclose(matched_correlation(a, -a[:, [2, 0, 1]]), 1)
    assert matched_correlation(a, rng.normal(size=(200, 3))).max() < 0.4


def test_spatial_autocorrelation_of_a_ramp_is_near_one_and_of_its_shuffle_near_zero():
    ramp = np.add.outer(np.arange(40.0), np.arange(30.0))
    alike, shuffled = spatial_autocorrelation(ramp, seed=0)
    assert alike > 0.9 and abs(shuffled) < 0.1
    board = np.indices((20, 20)).sum(axis=0) % 2
    assert spatial_autocorrelation(board, seed=0)[0] == pytest.approx(-1)
