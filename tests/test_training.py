from dataclasses import replace

import numpy as np
import pytest

from helpers import toy
from helpers.profiles import Network, Training, get_profile
from helpers.schedule import first_beta, linked_lambda, scheduled_beta
from helpers.training import ShuffledSpectra, train
from helpers.watching import Snapshots, TimeToReach

NETWORK = Network(units=4, blocks=0, latents=4)
TRAINING = Training(epochs=6, batch=32, learning_rate=1e-2, priming=2, wanted_active=2, snapshots=6)
DRIVE = toy.time_steps()[:, None]


def toy_spectra(n=96):
    x = toy.spectra(toy.sample_rgb(n, 0))
    return ((x - x.mean(axis=0)) / x.std(axis=0))[..., None]


def test_first_beta_makes_kl_sixty_percent_of_the_loss():
    mse, kl = 0.25, 12.5
    beta = first_beta(mse, kl, 0.6)
    assert beta * kl / (mse + beta * kl) == pytest.approx(0.6)


def test_paper_schedule_is_a_staircase_after_priming():
    training = get_profile("paper").toy_training
    beta = [scheduled_beta(training, epoch, first_beta=1e-3) for epoch in (0, 1999, 2000, 2099, 2100, 6499)]
    step = 5e-3 / 16
    assert beta == pytest.approx([0, 0, 1e-3, 1e-3, 1e-3 + step, 1e-3 + 44 * step])


def test_annealing_falls_from_the_first_beta_to_its_end_and_stays():
    training = replace(TRAINING, epochs=100, priming=4, end=0.01)
    beta = np.array([scheduled_beta(training, epoch, 0.5) for epoch in range(100)])
    assert (beta[:4] == 0).all() and beta[4] == pytest.approx(0.5)
    assert (np.diff(beta[4:81]) < 0).all() and beta[80:] == pytest.approx(0.005)


def test_lambda_is_linked_to_the_papers_beta():
    assert linked_lambda(0.0, 16) == 0
    assert linked_lambda(0.5 / 16, 16) == pytest.approx(1e-5 * 10**0.5)
    assert linked_lambda(10.0, 16) == pytest.approx(1e-4)


def test_order_is_a_function_of_seed_and_epoch_and_visits_every_spectrum():
    x = np.arange(10.0).reshape(10, 1, 1)
    batches = ShuffledSpectra(x, batch=4, seed=5)
    batches.on_epoch_end()
    second = [batches[i][0] for i in range(len(batches))]
    again = ShuffledSpectra(x, batch=4, seed=5)
    again.start_epoch(1)
    np.testing.assert_array_equal(np.concatenate(second), again.spectra[again.order])
    assert [len(batch) for batch in second] == [4, 4, 2]
    np.testing.assert_array_equal(np.sort(np.concatenate(second).ravel()), x.ravel())


def snapshots(active, mse):
    kl = [np.r_[np.ones(n), np.zeros(16 - n)] for n in active]
    return Snapshots(epochs=list(range(len(active))), mse=list(mse), kl=kl)


@pytest.mark.parametrize(("active", "mse", "chosen"), [
    ([5, 3, 3, 2], [0.1, 0.4, 0.2, 0.9], 2),
    ([5, 5, 1, 1], [0.1, 0.05, 0.2, 0.9], 1),
    ([16, 8, 6], [0.1, 0.2, 0.3], 2),
])
def test_snapshot_is_chosen_by_the_rule(active, mse, chosen):
    assert snapshots(active, mse).choose(wanted_active=3) == chosen


@pytest.fixture(scope="module")
def watched_run():
    x = toy_spectra()
    reached = TimeToReach(x.astype("float32"), mse=1e9)
    return train(NETWORK, TRAINING, x, DRIVE, x[:9], 1, "test", callbacks=(reached,)), reached


@pytest.mark.parametrize(("seed", "equal"), [(1, True), (2, False)])
def test_training_is_the_same_twice_and_differs_with_the_seed(watched_run, seed, equal):
    x = toy_spectra()
    again = train(NETWORK, TRAINING, x, DRIVE, x[:9], seed, "test").model.get_weights()
    first = watched_run[0].snapshots.weights[-1]
    same = [np.array_equal(a, b) for a, b in zip(first, again, strict=True)]
    assert all(same) == equal


def test_training_keeps_what_the_figures_need(watched_run):
    run, reached = watched_run
    assert run.snapshots.epochs == [1, 2, 3, 4, 5, 6]
    assert np.array(run.snapshots.embeddings).shape == (6, 9, 4)
    assert run.history["beta"][:2].tolist() == [0, 0] and run.history["beta"][2] == run.first_beta > 0
    assert (np.array(run.snapshots.kl[2:]) > 0).sum(axis=1).max() <= TRAINING.wanted_active
    assert 0 < reached.seconds < run.seconds
    run.restore_chosen()
    for shown, kept in zip(run.model.get_weights(), run.snapshots.weights[run.chosen], strict=True):
        np.testing.assert_array_equal(shown, kept)


def test_learning_lowers_the_error():
    x = toy_spectra(300)
    training = replace(TRAINING, epochs=30, learning_rate=2e-2, end=1e-3)
    history = train(Network(units=8, blocks=0, latents=4), training, x, DRIVE, x[:2], 0, "test").history
    assert history["mse"][-1] < 0.6 * history["mse"][0]


def test_too_few_spectra_and_a_loss_that_is_not_finite_are_refused():
    x = toy_spectra()
    with pytest.raises(ValueError, match="3 spectra are fewer than a batch of 32"):
        train(NETWORK, TRAINING, x[:3], DRIVE, x[:3], 0, "toy")
    x[0, 0, 0] = np.inf
    with pytest.raises(FloatingPointError, match="in epoch 0"):
        train(NETWORK, TRAINING, x, DRIVE, x[:3], 0, "toy")
