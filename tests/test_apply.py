"""Models of a run on every pixel and on other cycles, against the same read at once and errors step by step."""

import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import test_formats
from sklearn.decomposition import PCA

from helpers.beta_vae import build_beta_vae, reconstruct
from helpers.dictionary import learn_dictionary, stack_channels
from helpers.paths import ROOT, read_json, save_arrays, write_json
from helpers.profiles import get_profile
from helpers.scans import blocks, formats
from helpers.scans.blocks import Source, on_whole_grid
from helpers.scans.choice import Choice
from helpers.scans.cleaning import Cleaning
from helpers.scans.formats import DataError
from helpers.scans.reading import load_scan, read
from helpers.scans.scan import drive_waveform, heldout_blocks, save_scan, simulated_scan, standardised
from helpers.twin import measurement as twin
from workflow import apply
from workflow.apply import describe, errors_on_cycles, fit_linear

usid_parts = test_formats.usid_parts

GRID = (23, 31)
PROFILE = get_profile("smoke")


def write_loops(path, broken):
    """A reader's file of the twin; `broken` rows hold no measured value."""
    made = twin.simulate(3, GRID)
    loops = made.piezoresponse.copy()
    loops[list(broken)] = np.nan
    with h5py.File(path, "w") as file:
        file.update({"piezoresponse": loops, "resonance": made.resonance_kHz, "voltage": made.voltage_V})
    return path


@pytest.mark.parametrize("block", [31 * 96, 5 * 31 * 96, 10**7])
def test_blocks_of_rows_make_up_the_scan(tmp_path, monkeypatch, block):
    monkeypatch.setattr(blocks, "BLOCK_VALUES", block)
    path = write_loops(tmp_path / "own.h5", broken=(4, 22))
    scan = load_scan(path)
    expected, scaler = standardised(scan)
    _, *parts = zip(*Source(path, GRID, 96, scaler).blocks(), strict=True)
    spectra, usable = map(np.concatenate, parts)
    np.testing.assert_array_equal(usable, scan.usable)
    assert (~usable).sum() == 2 * GRID[1]
    np.testing.assert_array_equal(spectra[usable], expected[usable])
    shuffled = [rows.start for rows, *_ in Source(path, GRID, 96, scaler).blocks(shuffled=True)]
    assert sorted(shuffled) == list(range(0, GRID[0], max(1, min(GRID[0], block // (31 * 96)))))


@pytest.mark.parametrize("keep", [("raw",), ("fit",), ("loops", "fit")])
def test_blocks_of_a_usid_file_share_one_rotation(usid_parts, tmp_path, keep, monkeypatch):
    test_formats.write_usid(tmp_path / "usid.h5", usid_parts, keep=keep)
    loops = read(tmp_path / "usid.h5")
    assert (loops.theta_rad is None) == ("loops" in keep)
    rows = loops.piezoresponse.shape[0]
    parts = [read(tmp_path / "usid.h5", Choice(rows=(row, row + 1), theta_rad=loops.theta_rad)) for row in range(rows)]
    for name in ("piezoresponse", "resonance_kHz"):
        whole = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(whole, getattr(loops, name), rtol=1e-12)
    assert parts[0].grid == loops.piezoresponse.shape[:2]


def test_linear_models_by_parts_are_those_of_the_whole():
    scan = simulated_scan(0, (24, 24))
    flat = stack_channels(standardised(scan)[0])
    whole = learn_dictionary(flat, 5, 1.0, 500, seed=0)
    pca, dictionary, fitted = fit_linear(iter([*np.array_split(flat, 7), flat[:2]]), whole.components_, 1.0)
    assert fitted == len(flat)  # two spectra wait for ever

    def error(model, mean=0.0):
        return np.square(model.transform(flat) @ model.components_ + mean - flat).mean()

    best = PCA(5).fit(flat)
    # In batches what lies outside the first components is dropped early: close to the optimum, never below it.
    assert error(best, best.mean_) <= error(pca, pca.mean_) < 1.02 * error(best, best.mean_)
    assert error(dictionary) == pytest.approx(error(whole), rel=0.1)
    with pytest.raises(DataError, match="2 spectra are fewer than 5 components"):
        fit_linear([flat[:2]], whole.components_, 1.0)


def load_at_most(pixels, path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "MOST_PIXELS", pixels)
        return load_scan(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run on a thinned file leaves, with any weights, and the file beside it."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("figures", "results/weights"):
        (folder / name).mkdir(parents=True)
    scan = load_at_most(200, write_loops(folder / "my.h5", broken=(5,)))
    save_scan(scan, folder / "results/scan.h5")
    atoms = learn_dictionary(stack_channels(standardised(scan)[0]), 5, 1.0, 500, seed=0).components_
    save_arrays(folder / "results/dictionary.npz", beps_atoms=atoms)
    network = build_beta_vae(PROFILE.beps_network, drive_waveform(scan.voltage_V), 2, seed=1)
    network.save_weights(folder / "results/weights/beps.weights.h5")
    write_json(folder / "results/0_measured_data.json", {"parameters": {
        "profile": "smoke", "cycle": 0, "field": "off", "outlier_sd": 0, "valid_range": {}}})
    return folder


@pytest.fixture
def scan(run):
    return load_scan(run / "results/scan.h5")


@pytest.fixture
def network(run, scan):
    model = build_beta_vae(PROFILE.beps_network, drive_waveform(scan.voltage_V), 2, seed=0)
    model.load_weights(run / "results/weights/beps.weights.h5")
    return model


def test_maps_of_every_pixel_agree_with_the_run_where_it_looked(run, scan, network, monkeypatch):
    monkeypatch.setattr(formats, "MOST_PIXELS", 200)
    monkeypatch.setattr(blocks, "BLOCK_VALUES", 5 * 31 * 96)
    rows = describe(run)
    assert scan.shape == (12, 16)
    spectra, scaler = standardised(scan)
    expected = np.square(reconstruct(network, spectra) - spectra).mean(axis=(1, 2)).reshape(scan.shape)
    with h5py.File(run / "results/every_pixel.h5") as maps:
        assert maps["vae/mse"].shape == maps["heldout"].shape == GRID
        np.testing.assert_allclose(maps["vae/mse"][::2, ::2][scan.usable.reshape(scan.shape)],
                                   expected[scan.usable.reshape(scan.shape)], rtol=1e-4)
        assert np.isnan(maps["dl/mse"][5]).all() and np.isnan(maps["pca/codes"][5]).all()
        assert np.isnan(maps["dl/mse"][:]).sum() == GRID[1]
        held = maps["heldout"][:]
        errors = {name: maps[f"{name}/mse"][:] for name in ("pca", "dl", "vae")}
    whole = standardised(load_at_most(10**6, run / "my.h5"), scaler)[0]
    for row, (name, error) in zip(rows, errors.items(), strict=True):
        assert float(row["held out"]) == pytest.approx(np.nanmean(error[held]), rel=0.01), name
    flat = stack_channels(whole).reshape(*GRID, -1)
    keep = ~held
    keep[5] = False
    pca = PCA(5).fit(flat[keep])
    best = np.square(pca.inverse_transform(pca.transform(flat[keep])) - flat[keep]).mean()
    assert best <= float(rows[0]["learned from"]) * 1.01 < 1.05 * best
    assert (run / "figures/every_pixel.png").stat().st_size > 10_000
    assert read_json(run / "results/every_pixel.json") == rows


def test_a_pixel_is_held_out_with_the_used_one_of_its_cell_and_formats_not_read_in_parts_say_so(monkeypatch, tmp_path):
    for grid in ((5, 7), (23, 31), (12, 40), (11, 3)):
        monkeypatch.setattr(formats, "MOST_PIXELS", 16)
        every = formats.every_nth((*grid, 1))
        used = np.arange(-(-grid[0] // every) * -(-grid[1] // every)).reshape(-(-grid[0] // every), -1)
        whole = on_whole_grid(used, grid)
        assert whole.shape == grid
        np.testing.assert_array_equal(whole[::every, ::every], used)
    np.save(tmp_path / "loops.npy", np.zeros((4, 5, 96)))
    with pytest.raises(DataError, match="a npy file, which is not read in parts: expected HDF5 with `piezoresponse`"):
        read(tmp_path / "loops.npy", Choice(rows=(0, 1)))


def test_a_file_that_changed_and_a_simulated_scan_are_refused(run, scan, tmp_path, monkeypatch):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    save_scan(replace(scan, sha256="0" * 64), folder / "results/scan.h5")
    with pytest.raises(DataError, match="is not the file that the run was made from"):
        describe(folder)
    save_scan(simulated_scan(0, (24, 24)), folder / "results/scan.h5")
    with pytest.raises(DataError, match="the scan of this run is simulated"):
        describe(folder)
    monkeypatch.setattr(sys, "argv", ["apply", str(folder)])
    with pytest.raises(SystemExit, match="the scan of this run is simulated"):
        runpy.run_module("workflow.apply", run_name="__main__")


LARGE = """
import sys
import numpy as np

from helpers.scans.reading import load_scan
from helpers.scans.scan import standardised
from helpers.scans.blocks import Source
from workflow.apply import fit_linear, stack_channels
from helpers.paths import peak_memory_GiB
before = peak_memory_GiB()
path = sys.argv[1]
scan = load_scan(path)
source = Source(path, tuple(map(int, sys.argv[2:4])), len(scan.voltage_V), standardised(scan)[1])
atoms = np.linalg.svd(stack_channels(standardised(scan)[0][::50]), full_matrices=False)[2][:5]
def batches():
    for _, spectra, usable in source.blocks(shuffled=True):
        yield stack_channels(spectra[usable])
pca, dictionary, fitted = fit_linear(batches(), atoms, 1.0)
print(fitted, peak_memory_GiB() - before, *pca.explained_variance_)
"""


@pytest.mark.all
def test_several_GiB_are_learned_from_in_bounded_memory(tmp_path):
    """2.1 GiB in three million pixels where the disk allows, a tenth of it elsewhere; two waves of known size."""
    rows, columns, steps = (3000 if shutil.disk_usage(tmp_path).free > 6 * 2**30 else 300), 1000, 96
    time = 2 * np.pi * np.arange(steps) / steps
    waves = np.stack([np.cos(time), 0.5 * np.sin(2 * time)])
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "large.h5", "w") as file:
        loops = file.create_dataset("piezoresponse", (rows, columns, steps), "float64")
        for row in range(rows):
            loops[row] = rng.normal(size=(columns, 2)) @ waves + 0.01 * rng.normal(size=steps)
        file["voltage"] = 5 * np.cos(time + 0.1)
    done = subprocess.run([sys.executable, "-c", LARGE, tmp_path / "large.h5", str(rows), str(columns)], cwd=ROOT,
                          text=True, capture_output=True, check=False)
    (tmp_path / "large.h5").unlink()
    assert done.returncode == 0, done.stderr[-3000:]
    fitted, used_GiB, *variances = map(float, done.stdout.split())
    assert fitted == rows * columns
    assert used_GiB < 1.0
    # Variance along a wave: its energy over the variance of all values, by which they were standardised.
    energy = np.square(waves).sum(axis=1)
    assert variances[:2] == pytest.approx(energy / (energy.sum() / steps), rel=0.05)
    assert max(variances[2:]) < 0.01 * variances[1]


def test_errors_on_another_cycle_are_those_of_the_trained_models_in_units_of_the_trained_cycle(run, scan, network):
    noise = np.random.default_rng(1).normal(size=scan.piezoresponse.shape)
    unusable = np.zeros(scan.shape, bool)
    unusable[0, 0] = True
    other = replace(scan, piezoresponse=1.1 * scan.piezoresponse + 1e-6 * noise,
                    resonance_kHz=scan.resonance_kHz + 0.5, unusable=unusable)
    spectra, scaler = standardised(scan)
    shown = standardised(other, scaler)[0][1:]
    np.testing.assert_allclose(shown[..., 1] - spectra[1:, :, 1], 0.5 / scaler.scale_[1])
    errors = errors_on_cycles(run, other)
    pca = PCA(5).fit(stack_channels(spectra)[~heldout_blocks(scan.shape, PROFILE.heldout_every)])
    for column, part in enumerate((spectra[1:], shown)):
        flat = np.concatenate([part[..., 0], part[..., 1]], axis=1)
        expected = np.square(pca.inverse_transform(pca.transform(flat)) - flat).mean()
        assert errors["PCA, 5 components"][column] == pytest.approx(expected)
        expected = np.square(reconstruct(network, part) - part).mean()
        assert errors["companion's β-VAE"][column] == pytest.approx(expected, rel=1e-5)
    assert errors["the trained cycle itself"] == (0, pytest.approx(np.square(shown - spectra[1:]).mean()))
    assert errors["dictionary, 5 atoms"][0] > errors["PCA, 5 components"][0]
    with pytest.raises(DataError, match=r"expected \(12, 16, 96\) with piezoresponse, resonance_kHz"):
        errors_on_cycles(run, replace(scan, resonance_kHz=None))
    with pytest.raises(DataError, match="the file that the run was made from"):
        errors_on_cycles(run, simulated_scan(4, (16, 12)))


def test_errors_on_another_cycle_are_a_table(run, scan, tmp_path):
    save_scan(scan, tmp_path / "scan.h5")
    lines = apply.report(run, tmp_path / "scan.h5", 1).splitlines()
    assert lines[0].split() == ["mean", "squared", "error", "trained", "cycle", "cycle", "1"] and len(lines) == 5
    for line in lines[1:]:
        assert line.split()[-1] == line.split()[-2]  # the same cycle
    with pytest.raises(DataError, match="holds one cycle"):
        apply.report(run, tmp_path / "scan.h5", 2)


def test_the_other_cycle_is_read_as_the_run_read_its_own(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    write_json(tmp_path / "results/0_measured_data.json", {"parameters": {
        "cycle": 0, "field": "on", "outlier_sd": 6.0, "valid_range": {}}})
    asked = []
    monkeypatch.setattr(apply, "read", lambda path, choice: asked.append(choice) or SimpleNamespace(theta_rad=0.7))
    monkeypatch.setattr(apply, "load_scan", lambda *given: asked.append(given))
    monkeypatch.setattr(apply, "errors_on_cycles", lambda folder, other: {})
    apply.report(tmp_path, "scan.h5", 2)
    assert asked == [Choice(field="on"),
                     ("scan.h5", Choice(cycle=2, field="on", theta_rad=0.7), Cleaning(outlier_sd=6.0))]
