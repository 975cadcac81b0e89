"""The paper's network and schedule at a fraction of its epochs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.callbacks import Snapshots
from helpers.figures.training import figure_paper_runs
from helpers.paper_runs import by_part, ends, papers_benchmark, run_shortened, sentence, shortened, stored_runs
from helpers.profiles import PAPER_BEPS, PAPER_BEPS_TRAINING, PAPER_TOY, PAPER_TOY_TRAINING
from helpers.scans.scan import simulated_scan
from helpers.schedule import scheduled_lambda, staircase_beta, step_number

PAPERS = {"toy": (PAPER_TOY, PAPER_TOY_TRAINING), "beps": (PAPER_BEPS, PAPER_BEPS_TRAINING)}


@pytest.mark.parametrize(("training", "by"), [(PAPER_TOY_TRAINING, 50), (PAPER_BEPS_TRAINING, 125)])
def test_a_shortened_schedule_climbs_the_same_stairs(training, by):
    short = shortened(training, by)
    assert short.learning_rate * short.epochs == pytest.approx(training.learning_rate * training.epochs)
    for epoch in range(short.epochs):
        assert step_number(short, epoch) == step_number(training, epoch * by)
        assert staircase_beta(short, epoch, 1e-3, 16) == staircase_beta(training, epoch * by, 1e-3, 16)
        assert scheduled_lambda(short, epoch, 1e-3, 16) == scheduled_lambda(training, epoch * by, 1e-3, 16)


def test_only_divisors_of_a_step_shorten_it():
    with pytest.raises(ValueError, match="steps of 100 epochs cannot be shortened by 3: expected a divisor of 100"):
        shortened(PAPER_TOY_TRAINING, 3)
    with pytest.raises(ValueError, match="expected a divisor"):
        shortened(PAPER_TOY_TRAINING, 0)


def test_a_run_tells_its_pace_its_end_and_its_course_and_keeps_its_maps(tmp_path):
    papers, painting = papers_benchmark(0, None)
    assert papers.network == PAPER_TOY and painting.shape == (64 * 64, 25, 1)
    small = replace(
        papers, spectra=papers.spectra[:300], heldout=papers.heldout[:200], truth=papers.truth[:200],
        network=replace(PAPER_TOY, units=6, blocks=1),
        training=replace(PAPER_TOY_TRAINING, epochs=60, priming=20, step_epochs=10, batch=100, snapshots=4))
    found = run_shortened(small, painting[:50], 10, 0, tmp_path)
    assert found["epochs_done"] == 6 and found["course"]["epoch"] == [1, 3, 4, 6]
    assert found["hours_of_all_epochs"] == pytest.approx(found["seconds_per_epoch"] / 60)
    assert found["last"]["epoch"] == 6 and 0 <= found["last"]["spearman"] <= 1
    assert -1 <= found["last"]["informativeness"] <= 1
    json.dumps(found)
    assert np.shape(found["course"]["kl"]) == (4, 16)
    assert (np.diff(found["pca_mse"]) < 0).all() and len(found["pca_mse"]) == 16
    with np.load(tmp_path / "toy-10-seed0.npz") as maps:
        assert maps["snapshot_embeddings"].shape == (4, 50, 16) and maps["snapshot_embeddings"].dtype == "float16"
    loops, every = papers_benchmark(0, simulated_scan(0, (8, 8)))
    assert loops.network == PAPER_BEPS and every.shape == (64, 96, 2)


def test_the_stored_runs_are_of_the_papers_network_and_schedule():
    for name, run in stored_runs().items():
        network, training = PAPERS[name.split("-")[0]]
        for settings, kept in ((network, run["network"]), (shortened(training, run["shortened_by"]), run["training"])):
            for field, value in kept.items():
                expected = pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
                assert getattr(settings, field) == expected, (name, field)
        assert (np.array(run["course"]["kl"]) > 0.1).sum(axis=1).tolist() == run["course"]["active"]
        assert run["hours_of_all_epochs"] == pytest.approx(run["seconds_per_epoch"] * training.epochs / 3600, rel=1e-3)
        assert run["course"]["epoch"][-1] <= run["epochs_done"] <= run["training"]["epochs"]


def test_a_sentence_has_the_numbers_of_the_run_and_of_pca():
    run = stored_runs()["toy-25-seed2"]
    text = sentence("toy-25-seed2")
    assert text.startswith(f"toy, 1/25 of the epochs, seed 2: {run['last']['active']} active channels, ")
    assert f"{run['last']['mse']:.3f}" in text and f"{run['pca_mse'][run['last']['active'] - 1]:.3f}" in text
    assert f"{run['last']['spearman']:.2f}" in text and f"{run['last']['informativeness']:.2f}" in text
    assert "Spearman" not in sentence("beps-125-seed0")


def test_the_end_of_a_part_is_the_median_of_its_seeds():
    found, runs = ends("toy"), [stored_runs()[f"toy-25-seed{seed}"] for seed in range(3)]
    for name in ("mse", "active", "spearman", "informativeness"):
        assert found[f"toy.paper_shortened_25.{name}"] == sorted(run["last"][name] for run in runs)[1]
    assert found["toy.paper_shortened_50.active"] == stored_runs()["toy-50-seed0"]["last"]["active"]
    assert all(key.startswith("toy.") for key in found)


def test_what_the_texts_say_of_the_stored_runs():
    """README, ledger and notebook 3: three seeds at once, four to six channels, below PCA, in two by more than half."""
    parts = by_part(stored_runs())
    assert {part: len(runs) for part, runs in parts.items()} == {("toy", 50): 1, ("toy", 25): 3, ("beps", 125): 1}
    assert all(run["at_once"] == (3 if part == ("toy", 25) else 2) for part, runs in parts.items() for run in runs)
    ends_of = [run["last"] for run in parts["toy", 25]]
    assert {min(end["active"] for end in ends_of), max(end["active"] for end in ends_of)} == {4, 6}
    share = sorted(run["last"]["mse"] / run["pca_mse"][run["last"]["active"] - 1] for run in parts["toy", 25])
    assert share[1] < 0.5 < share[2] < 1
    assert all(end["informativeness"] > 0.95 and end["spearman"] < 0.8 for end in ends_of)


def test_the_figure_sets_pca_of_the_active_channels_beside_the_error():
    parts = by_part(stored_runs())
    axes = np.array(figure_paper_runs(parts).axes).reshape(2, -1)
    for (errors, channels), runs in zip(axes.T, parts.values(), strict=True):
        pairs = zip(errors.lines[:-1:2], errors.lines[1:-1:2], channels.lines[:-1], runs, strict=True)
        for error, bound, active, run in pairs:
            assert list(error.get_ydata()) == run["course"]["mse"]
            assert list(bound.get_ydata()) == [run["pca_mse"][max(n, 1) - 1] for n in run["course"]["active"]]
            assert list(active.get_ydata()) == run["course"]["active"]


def test_a_training_that_went_on_keeps_plain_numbers_of_its_snapshots():
    """Numbers of NumPy cannot be written as JSON."""
    kept = Snapshots([1, 3], [2.0, 4.0], [0.0, 0.1], [0.5, 0.2], [0.6, 0.3], [np.ones(2)] * 2, [np.zeros((4, 2))] * 2)
    again = Snapshots()
    again.restore(kept.arrays())
    assert json.dumps([again.epochs, again.beta, again.mse]) == "[[1, 3], [0.0, 0.1], [0.5, 0.2]]"
    assert [kl.shape for kl in again.kl] == [(2,)] * 2
