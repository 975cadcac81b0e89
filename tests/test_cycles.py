"""Models of one cycle on another, against errors computed step by step."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from helpers.beta_vae import build_beta_vae, reconstruct
from helpers.paths import ROOT
from helpers.profiles import get_profile
from helpers.record import save_arrays
from helpers.scans.choice import Choice
from helpers.scans.cleaning import Cleaning
from helpers.scans.formats import DataError
from helpers.scans.scan import drive_waveform, heldout_blocks, save_scan, simulated_scan, standardised
from workflow import apply
from workflow.apply import errors_on_cycles, report

PROFILE = get_profile("smoke")


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(4, (12, 11))


@pytest.fixture(scope="module")
def run(scan, tmp_path_factory):
    """What a finished run leaves, with any weights."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "results/weights").mkdir(parents=True)
    save_scan(scan, folder / "results/scan.h5")
    save_arrays(folder / "results/dictionary.npz", beps_atoms=np.random.default_rng(0).normal(size=(5, 192)))
    build_beta_vae(PROFILE.beps_network, drive_waveform(scan.voltage_V), 2, seed=1).save_weights(
        folder / "results/weights/beps.weights.h5")
    (folder / "results/0_measured_data.json").write_text(json.dumps({"parameters": {
        "profile": "smoke", "cycle": 0, "field": "off", "outlier_sd": 0.0, "valid_range": {}}}))
    return folder


def another_cycle(scan):
    noise = np.random.default_rng(1).normal(size=scan.piezoresponse.shape)
    unusable = np.zeros(scan.shape, bool)
    unusable[0, 0] = True
    return replace(scan, piezoresponse=1.1 * scan.piezoresponse + 1e-6 * noise,
                   resonance_kHz=scan.resonance_kHz + 0.5, unusable=unusable)


def test_errors_are_those_of_the_trained_models_in_units_of_the_trained_cycle(scan, run):
    other = another_cycle(scan)
    spectra, scaler = standardised(scan)
    shown = standardised(other, scaler)[0][1:]
    np.testing.assert_allclose(shown[..., 1] - spectra[1:, :, 1], 0.5 / scaler.scale_[1])
    errors = errors_on_cycles(run, other)
    flat = np.concatenate([spectra[..., 0], spectra[..., 1]], axis=1)
    pca = PCA(5).fit(flat[~heldout_blocks(scan.shape, PROFILE.heldout_every)])
    flat_shown = np.concatenate([shown[..., 0], shown[..., 1]], axis=1)
    for column, part in enumerate((flat[1:], flat_shown)):
        expected = np.square(pca.inverse_transform(pca.transform(part)) - part).mean()
        assert errors["PCA, 5 components"][column] == pytest.approx(expected)
    model = build_beta_vae(PROFILE.beps_network, drive_waveform(scan.voltage_V), 2, seed=1)
    for column, part in enumerate((spectra[1:], shown)):
        expected = np.square(reconstruct(model, part) - part).mean()
        assert errors["companion's β-VAE"][column] == pytest.approx(expected, rel=1e-5)
    assert errors["the trained cycle itself"] == (0, pytest.approx(np.square(shown - spectra[1:]).mean()))
    assert errors["dictionary, 5 atoms"][0] > errors["PCA, 5 components"][0]


def test_the_command_prints_a_table(scan, run, tmp_path):
    save_scan(scan, tmp_path / "scan.h5")
    lines = report(run, tmp_path / "scan.h5", 1).splitlines()
    assert lines[0].split() == ["mean", "squared", "error", "trained", "cycle", "cycle", "1"] and len(lines) == 5
    for line in lines[1:]:
        assert line.split()[-1] == line.split()[-2]  # the same cycle
    done = subprocess.run([sys.executable, "-m", "workflow.apply", run, tmp_path / "scan.h5", "2"], cwd=ROOT,
                          text=True, capture_output=True, check=False)
    assert done.returncode == 1 and "holds one cycle" in done.stderr and "Traceback" not in done.stderr


def test_the_other_cycle_is_read_as_the_run_read_its_own(scan, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/0_measured_data.json").write_text(json.dumps({"parameters": {
        "cycle": 0, "field": "on", "outlier_sd": 6.0, "valid_range": {}}}))
    asked = []
    monkeypatch.setattr(apply, "read", lambda path, choice: asked.append(choice) or SimpleNamespace(theta_rad=0.7))
    monkeypatch.setattr(apply, "load_scan", lambda *given: asked.append(given) or scan)
    monkeypatch.setattr(apply, "errors_on_cycles", lambda folder, other: {})
    apply.report(tmp_path, "scan.h5", 2)
    assert asked == [Choice(field="on"),
                     ("scan.h5", Choice(cycle=2, field="on", theta_rad=0.7), Cleaning(outlier_sd=6.0))]


def test_another_scan_is_refused(scan, run):
    with pytest.raises(DataError, match=r"expected \(12, 11, 96\) with piezoresponse, resonance_kHz"):
        errors_on_cycles(run, replace(scan, resonance_kHz=None))
    with pytest.raises(DataError, match="the file that the run was made from"):
        errors_on_cycles(run, simulated_scan(4, (11, 12)))
