"""The paper's recipe at a fraction of its epochs."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.benchmarks import toy_benchmark
from helpers.figures import figure_paper_recipe
from helpers.paper_recipe import ends, run_shortened, sentence, shortened, stored_runs
from helpers.profiles import get_profile
from helpers.schedule import scheduled_beta, scheduled_lambda, step_number

PAPER = get_profile("paper")


@pytest.mark.parametrize(("training", "by"), [(PAPER.toy_training, 50), (PAPER.beps_training, 125)])
def test_a_shortened_schedule_climbs_the_same_stairs(training, by):
    short = shortened(training, by)
    assert short.learning_rate * short.epochs == pytest.approx(training.learning_rate * training.epochs)
    for epoch in range(short.epochs):
        assert step_number(short, epoch) == step_number(training, epoch * by)
        assert scheduled_beta(short, epoch, 1e-3) == scheduled_beta(training, epoch * by, 1e-3)
        assert scheduled_lambda(short, epoch, 1e-3, 16) == scheduled_lambda(training, epoch * by, 1e-3, 16)


def test_only_divisors_of_a_step_shorten_it():
    with pytest.raises(ValueError, match="steps of 100 epochs cannot be shortened by 3: expected a divisor of 100"):
        shortened(PAPER.toy_training, 3)
    with pytest.raises(ValueError, match="expected a divisor"):
        shortened(PAPER.toy_training, 0)


def test_a_run_tells_its_pace_its_end_and_its_course(tmp_path):
    small = replace(
        PAPER, toy_spectra=300, gamut_spectra=200, toy_network=replace(PAPER.toy_network, units=6, blocks=1),
        toy_training=replace(PAPER.toy_training, epochs=60, priming=20, step_epochs=10, batch=100, snapshots=4))
    found = run_shortened(toy_benchmark(small, 0), 10, 0, tmp_path)
    assert found["epochs_done"] == 6 and found["course"]["epoch"] == [1, 3, 4, 6]
    assert found["hours_of_all_epochs"] == pytest.approx(found["seconds_per_epoch"] / 60)
    assert found["last"]["epoch"] == 6 and 0 <= found["last"]["spearman"] <= 1
    assert np.shape(found["course"]["kl"]) == (4, 16)
    assert (np.diff(found["pca_mse"]) < 0).all() and len(found["pca_mse"]) == 16


def test_the_stored_runs_are_of_the_papers_network_and_schedule():
    for name, run in stored_runs().items():
        benchmark = name.split("-")[0]
        training, network = getattr(PAPER, f"{benchmark}_training"), getattr(PAPER, f"{benchmark}_network")
        for settings, kept in ((network, run["network"]), (shortened(training, run["shortened_by"]), run["training"])):
            for field, value in kept.items():
                expected = pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
                assert getattr(settings, field) == expected, (name, field)
        assert (np.array(run["course"]["kl"]) > 0.1).sum(axis=1).tolist() == run["course"]["active"]
        assert run["hours_of_all_epochs"] == pytest.approx(run["seconds_per_epoch"] * training.epochs / 3600, rel=1e-3)
        assert run["course"]["epoch"][-1] <= run["epochs_done"] <= run["training"]["epochs"]


def test_a_sentence_has_the_numbers_of_the_run_and_of_pca():
    run = stored_runs()["toy-50"]
    text = sentence("toy-50")
    assert text.startswith("toy, 1/50 of the epochs, 130 of 130 done: ")
    assert f"{run['last']['mse']:.3f}" in text and f"{run['pca_mse'][run['last']['active'] - 1]:.3f}" in text
    assert f"{run['last']['spearman']:.2f}" in text and "Spearman" not in sentence("toy-25")
    assert ends("toy")["toy.paper_recipe_50.active"] == run["last"]["active"]
    assert all(key.startswith("toy.") for key in ends("toy"))


def test_the_figure_sets_pca_of_the_active_channels_beside_the_error():
    runs = stored_runs()
    axes = np.array(figure_paper_recipe(runs).axes).reshape(2, -1)
    for column, run in zip(axes.T, runs.values(), strict=True):
        error, bound = (line.get_ydata() for line in column[0].lines[:2])
        assert list(error) == run["course"]["mse"]
        assert list(bound) == [run["pca_mse"][n - 1] for n in run["course"]["active"]]
        assert list(column[1].lines[0].get_ydata()) == run["course"]["active"]
