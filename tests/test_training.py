import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import callbacks, profiles, schedule, toy
from helpers.beta_vae import build_beta_vae
from helpers.callbacks import KeepSnapshots, Snapshots
from helpers.checkpoints import CODE, Checkpoints, configuration_hash
from helpers.paths import ROOT
from helpers.profiles import PAPER_TOY_TRAINING, AdditiveNetwork, PaperNetwork, Training
from helpers.schedule import annealed_path, noise_variance, scheduled_lambda, staircase_beta, waking_beta
from helpers.training import epochs_of_batches, optimizer, train

NETWORK = AdditiveNetwork(units=4, layers=1, patch=5, branch=4, joint=4, linear=True, latents=4, input_noise=0.1)
TRAINING = Training(epochs=6, batch=12, learning_rate=1e-2, weight_decay=1e-2, starts=2, snapshots=6)
PAPERS = PaperNetwork(units=4, blocks=0, latents=4)
STAIRCASE = Training(epochs=6, batch=12, learning_rate=1e-2, priming=2, schedule="staircase", cosine=False,
                     beta_step=0.1, step_epochs=2, snapshots=6)
DRIVE = toy.time_steps()[:, None]


def toy_spectra(n=96):
    x = toy.spectra(toy.sample_rgb(n, 0))
    return ((x - x.mean(axis=0)) / x.std(axis=0))[..., None]


def test_the_papers_beta_begins_where_kl_is_sixty_percent_of_the_loss_and_climbs_after_priming():
    mse, kl = 0.25, 12.5
    beta = schedule.first_beta(PAPER_TOY_TRAINING, mse, kl, 16)
    assert beta * kl / (mse + beta * kl) == pytest.approx(0.6)
    assert schedule.first_beta(replace(PAPER_TOY_TRAINING, first_share=None), mse, kl, 16) == 5e-3 / 16
    beta = [staircase_beta(PAPER_TOY_TRAINING, epoch, 1e-3, 16) for epoch in (0, 1999, 2000, 2099, 2100, 6499)]
    step = 5e-3 / 16
    assert beta == pytest.approx([0, 0, 1e-3, 1e-3, 1e-3 + step, 1e-3 + 44 * step])
    summed, mean = (staircase_beta(replace(STAIRCASE, kl_mean=kl_mean), 4, 0.5, 4) for kl_mean in (False, True))
    assert (summed, mean) == pytest.approx((0.6, 0.525))


def test_the_path_falls_from_the_first_waking_point_to_the_noise_and_lingers_where_channels_wake():
    x = np.cumsum(np.random.default_rng(0).normal(size=(300, 12, 1)), axis=1) * 0.2
    path, waking, last = annealed_path(x, 4, 1000), waking_beta(x, 4), 2 * noise_variance(x) / 12
    assert path[0] == pytest.approx(waking[0]) and path[800:] == pytest.approx(last) and (np.diff(path[:800]) < 0).all()
    fall = np.log(waking[0] / last)
    for k, beta in enumerate(waking):
        share = np.argmin(np.abs(np.log(path[:800] / beta))) / 800
        assert share == pytest.approx((k / 4 + np.log(waking[0] / beta) / fall) / 2, abs=2e-3)


def test_noise_is_told_from_curves_and_edges():
    steps, rng = np.linspace(0, 1, 96), np.random.default_rng(0)
    curves = np.sin(2 * np.pi * (steps + rng.random((500, 1)))) + (steps > rng.random((500, 1)))
    assert noise_variance((curves + 0.05 * rng.normal(size=curves.shape))[..., None]) == pytest.approx(0.05**2, rel=0.2)
    assert annealed_path(np.ones((9, 1, 1)) * np.arange(9.0)[:, None, None] * np.ones((1, 8, 1)), 2, 10).min() > 0


def test_a_linear_gaussian_channel_pays_below_its_waking_beta():
    """The loss of the best channel along a principal component against that of none, in closed form."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 1)) @ np.ones((1, 5)) + 0.1 * rng.normal(size=(4000, 5))
    waking = waking_beta(x[..., None], 2)
    variance = np.linalg.eigvalsh(np.cov(x.T))[-1]
    assert waking[0] == pytest.approx(2 * variance / 5)

    def gain(beta):
        posterior = np.linspace(1e-3, 1, 2000)  # σ² of the channel, its mean varying by 1 - σ²
        return (variance / 5 * (1 - posterior) + beta / 2 * np.log(posterior)).max()

    assert gain(0.98 * waking[0]) > 0 and gain(1.02 * waking[0]) == pytest.approx(0, abs=1e-9)


def test_lambda_grows_as_the_paper_writes_it_and_in_its_code_is_never_zero_and_never_explodes():
    """Closed forms: each step adds 1e-5 × 10^β for the toy, 1e-5 × 10^(nβ) for BEPS; none while priming."""
    beta = [0.01, 0.11, 0.21]
    for l1, exponents in (("added", beta), ("added_n", [0.01, 0.22, 0.63])):
        training = replace(STAIRCASE, l1=l1, kl_mean=True)
        values = [scheduled_lambda(training, epoch, 0.01 / 4, latents=4) for epoch in (1, 2, 3, 4, 6)]
        steps = np.cumsum(1e-5 * 10 ** np.array(exponents))
        assert values == pytest.approx([0, steps[0], steps[0], steps[1], steps[2]])
    training = replace(STAIRCASE, l1="set", kl_mean=True)
    cases = ((0, 0.0025), (2, 0.0025), (4, 9.0))
    values = [scheduled_lambda(training, epoch, beta, latents=4) for epoch, beta in cases]
    assert values == pytest.approx([1e-5, 1e-5 * 10**0.01, 1e-4])


@pytest.mark.parametrize(("made", "settings"), [
    *((TRAINING, settings) for settings in (
        {"l1": "mostly"}, {"l1": "added"}, {"restart_steps": True}, {"schedule": "staircase"},
        {"schedule": "staircase", "starts": 1, "restart_steps": True})),
    (PAPERS, {"units": 0}), (PAPERS, {"latents": 0}), (PAPERS, {"blocks": -1}), (NETWORK, {"patch": 0}),
    (NETWORK, {"branch": 0, "joint": 0})])
def test_impossible_trainings_and_networks_are_refused(made, settings):
    with pytest.raises(ValueError, match="expected"):
        replace(made, **settings)


def test_order_and_noise_are_a_function_of_seed_and_epoch_and_every_batch_is_whole_with_noise_of_its_own():
    """What is left over waits: ten spectra make two batches of four an epoch, none of them twice."""
    x = np.arange(10.0).reshape(10, 1, 1)
    epochs, again = epochs_of_batches(x, 4, 5, 3, 0.1), epochs_of_batches(x, 4, 5, 3, 0.1, first_epoch=1)
    first, second, third = next(epochs), next(epochs), next(again)
    assert np.unique(second[1]).shape == (8,) and not np.array_equal(first[1], second[1])
    for a, b in zip((*second[0], second[1]), (*third[0], third[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(np.unique([next(epochs)[1] for _ in range(20)])) == 10
    # Standard normal for the latents, of the deviation asked for on the input.
    x = np.zeros((400, 25, 1), "float32")
    epochs = [next(epochs_of_batches(x, 100, seed, 16, 0.1, epoch))[0] for seed in (1, 2) for epoch in range(3)]
    for draws, deviation in zip(map(np.array, zip(*epochs, strict=True)), (0.1, 1), strict=True):
        batches = draws.reshape(24, -1)
        assert draws.std() == pytest.approx(deviation, rel=0.02) and abs(draws.mean()) < 0.02 * deviation
        assert np.abs(np.corrcoef(batches) - np.eye(24)).max() < 0.15
    assert not np.array(next(epochs_of_batches(x, 100, 1, 16))[0][0]).any()


def snapshots(active, mse, beta=()):
    kl = [np.r_[np.ones(n), np.zeros(16 - n)] for n in active]
    return Snapshots(epochs=list(range(len(active))), mse=list(mse), kl=kl, beta=list(beta or np.ones(len(active))))


@pytest.mark.parametrize(("active", "mse", "beta", "chosen"), [
    ([5, 3, 3, 2], [0.1, 0.4, 0.2, 0.9], (), 2),
    ([5, 5, 1, 1], [0.1, 0.05, 0.2, 0.9], (), 1),
    ([16, 8, 6], [0.1, 0.2, 0.3], (), 2),
    ([3, 6, 5], [1.0, 0.3, 0.2], [0, 0.1, 0.2], 2)])  # priming is never shown
def test_snapshot_is_chosen_by_the_rule(active, mse, beta, chosen):
    assert snapshots(active, mse, beta).choose(3) == chosen


def test_a_channel_near_the_threshold_counts_only_without_another_and_without_a_wish_the_plateau_is_shown():
    kept = snapshots([3, 3, 5], [0.2, 0.1, 0.05])
    kept.kl[1][3] = 0.09
    assert kept.choose(3) == 0
    kept.kl[0][2] = 0.19
    assert kept.choose(3) == 1
    # Three channels over a decade of β, five over a factor of three; β = 0 does not count.
    kept = snapshots([16, 1, 3, 3, 3, 5, 5], [1, 0.9, 0.3, 0.2, 0.25, 0.1, 0.1], [0, 1, 0.5, 0.1, 0.05, 0.03, 0.01])
    assert kept.found == 3 and kept.plateau_decades == pytest.approx(1) and kept.choose(None) == 3


def run(folder, seed=1, training=TRAINING, x=None, network=NETWORK):
    callbacks.SAVE_EVERY_S = 0
    x = toy_spectra() if x is None else x
    return train(network, training, x, DRIVE, watched=x[:9], validation=x[:20], seed=seed, title="test", folder=folder)


def same_weights(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("finished"))


def test_training_keeps_what_the_figures_need_and_the_start_with_the_lower_loss_goes_on(finished):
    kept = finished.snapshots
    assert np.array(kept.epochs).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.array(kept.embeddings).shape == (6, 9, 4)
    path = annealed_path(toy_spectra().astype("float32"), 4, 6)
    assert finished.history["beta"].tolist() == kept.beta == path.tolist()
    assert (np.diff(finished.history["seconds"]) > 0).all() and kept.seconds[-1] == finished.seconds
    assert np.isnan(finished.seconds_to(0)) and finished.seconds_to(1e9) == kept.seconds[0]
    final = finished.model.get_weights()
    finished.restore_chosen()
    chosen = finished.checkpoints.load_snapshot(int(kept.epochs[finished.chosen]))
    assert same_weights(finished.model.get_weights(), chosen)
    finished.model.set_weights(final)
    folders = sorted(finished.checkpoints.folder.parent.glob("test-*"))
    ends = {folder: sorted(folder.glob("checkpoint-*"))[-1] for folder in folders}
    losses = {folder: np.load(path)["history_loss"] for folder, path in ends.items()}
    assert sorted(map(len, losses.values())) == [1, 6]
    best = min(losses, key=lambda folder: losses[folder][0])
    assert finished.checkpoints.folder == best and len(losses[best]) == 6
    others = sum(np.load(path)["history_seconds"][0] for folder, path in ends.items() if folder != best)
    assert finished.history["seconds"][0] == pytest.approx(others + np.load(ends[best])["history_seconds"][0])


def test_a_finished_training_is_read_back_in_plain_numbers(finished, capsys):
    """Numbers of NumPy cannot be written as JSON."""
    again = run(finished.checkpoints.folder.parent)
    assert "6 of 6 epochs are done already" in capsys.readouterr().err
    assert same_weights(finished.checkpoints.load_snapshot(6), again.model.get_weights())
    assert again.chosen == finished.chosen and again.seconds == finished.seconds
    assert again.earlier_s == pytest.approx(again.seconds) and finished.earlier_s == 0
    read = json.dumps([again.snapshots.epochs, again.snapshots.beta, again.snapshots.mse])
    assert read == json.dumps([[1, 2, 3, 4, 5, 6], finished.history["beta"].tolist(), finished.snapshots.mse])
    assert [kl.shape for kl in again.snapshots.kl] == [(4,)] * 6


def in_another_process(code, **names):
    paths = f"import sys\nsys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
    return subprocess.run([sys.executable, "-c", paths + code.format(**names)], capture_output=True, text=True,
                          errors="replace", check=False)


KILLED = """
import os, signal
from helpers import callbacks
import test_training
save = callbacks.Checkpoints.save
def save_and_die(self, epoch, arrays):
    if epoch == {epoch} and {where!r} == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, epoch, arrays)
    if epoch == {epoch}:
        os.kill(os.getpid(), signal.SIGKILL)
callbacks.Checkpoints.save = save_and_die
from pathlib import Path
test_training.run(Path({folder!r}), **test_training.{settings})
"""
PLAIN = {}
RESTARTED = {"training": replace(STAIRCASE, epochs=5, restart_steps=True, learning_rate=3e-2, l1="set", snapshots=5),
             "network": replace(PAPERS, blocks=1, dropout=0.2)}


def kill(folder, epoch, where, settings="PLAIN"):
    killed = in_another_process(KILLED, folder=str(folder), epoch=epoch, where=where, settings=settings)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]


@pytest.mark.parametrize(("epoch", "where", "done"), [
    pytest.param(1, "before", 0, marks=pytest.mark.all), (4, "before", 3)])
def test_a_killed_training_goes_on_to_the_same_weights(finished, tmp_path, capsys, epoch, where, done):
    """Killed before the first checkpoint, and once the joint term is open."""
    kill(tmp_path, epoch, where)
    again = run(tmp_path)
    assert ("3 of 6 epochs are done" in capsys.readouterr().err) == (done == 3)
    assert same_weights(finished.checkpoints.load_snapshot(6), again.checkpoints.load_snapshot(6))
    assert again.history["loss"].tolist() == finished.history["loss"].tolist()


@pytest.mark.all
def test_a_new_adam_at_every_step_and_dropout_survive_a_kill(tmp_path):
    """Killed within the first step of the staircase, with the best weights of it still to be used."""
    whole = run(tmp_path / "whole", **RESTARTED)
    (tmp_path / "killed").mkdir()
    kill(tmp_path / "killed", 3, "after", "RESTARTED")
    again = run(tmp_path / "killed", **RESTARTED)
    assert same_weights(whole.checkpoints.load_snapshot(5), again.checkpoints.load_snapshot(5))
    assert again.history["loss"].tolist() == whole.history["loss"].tolist()


def test_a_step_begins_at_the_best_epoch_of_the_step_before_with_a_new_adam(tmp_path, monkeypatch):
    """Eight batches an epoch, two epochs a step: Adam counts them from 0 in every step."""
    begun, kept = {}, {}

    def look(self, epoch, logs=None):
        begun[epoch] = [self.model.get_weights()[0], int(self.model.optimizer.iterations)]

    def keep(self, epoch, logs=None):
        kept[epoch] = [self.model.get_weights()[0], logs["loss"]]

    monkeypatch.setattr(KeepSnapshots, "on_epoch_begin", look)
    monkeypatch.setattr("helpers.callbacks.ProgressBar.on_epoch_end", keep)
    run(tmp_path, **RESTARTED | {"network": PAPERS})
    assert [begun[epoch][1] for epoch in range(5)] == [0, 8, 0, 8, 0]
    for first in (2, 4):
        best = min((first - 2, first - 1), key=lambda epoch: kept[epoch][1])
        np.testing.assert_array_equal(begun[first][0], kept[best][0])


SPREAD = {"network": PAPERS, "training": replace(STAIRCASE, clip_norm=None, beta_step=1e-3, epochs=4)}
DEVICES = """
import json
import tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
                                           [tf.config.LogicalDeviceConfiguration()] * 2)
from pathlib import Path
import test_training
from helpers import training

run, again = (test_training.run(Path({folder!r}), **test_training.SPREAD) for _ in range(2))
assert training.replicas(training.mirrored_strategy()) == 2
assert test_training.same_weights(run.model.get_weights(), again.model.get_weights())
print(json.dumps({{name: values.tolist() for name, values in run.history.items()}}))
"""


@pytest.mark.all
def test_two_devices_train_as_one_does_and_are_read_back(tmp_path):
    done = in_another_process(DEVICES, folder=str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = run(tmp_path / "one", **SPREAD).history, json.loads(done.stdout.splitlines()[-1])
    for name in ("loss", "mse", "kl", "beta"):
        assert two[name] == pytest.approx(one[name].tolist(), rel=1e-4), name


def test_the_bar_shows_the_time_left_without_the_first_epoch_which_compiles():
    shown = callbacks.ProgressBar(10, "t", 2, SimpleNamespace(kept=SimpleNamespace(active=[1])))
    logs = dict.fromkeys(("loss", "mse", "kl", "beta"), 1.0)
    for seconds in (60, 1):
        shown.bar.start_t -= seconds
        shown.on_epoch_end(0, logs)
    bar = shown.bar.format_dict
    assert (bar["n"], bar["n"] - bar["initial"]) == (4, 1) and bar["elapsed"] < 10


def test_no_checkpoint_of_other_settings_spectra_or_code_is_gone_on_from(monkeypatch):
    x = toy_spectra()
    own, *others = (configuration_hash(NETWORK, training, seed, spectra) for training, seed, spectra in [
        (TRAINING, 1, x), (replace(TRAINING, batch=33), 1, x), (TRAINING, 2, x), (TRAINING, 1, x + 1e-6)])
    assert len({own, *others}) == 4 and own == configuration_hash(NETWORK, TRAINING, 1, x)
    for module in CODE:
        def read_bytes(path, module=module, read=Path.read_bytes):
            return read(path) + (b"# changed" if path.stem == module else b"")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", read_bytes)
            assert configuration_hash(NETWORK, TRAINING, 1, x) != own, module


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-400] + bytes(400),
                                    lambda b: b[:5000] + bytes([b[5000] ^ 255]) + b[5001:]])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(tmp_path, capsys, damage):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, {"epochs_done": np.array(epoch), "w": np.random.default_rng(0).random(2000)})
    newest = tmp_path / "checkpoint-000003.npz"
    newest.write_bytes(damage(newest.read_bytes()))
    assert checkpoints.load()["epochs_done"] == 2
    assert "checkpoint-000003.npz is damaged" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-000002.npz", "checkpoint-000003.damaged"]


def test_learning_lowers_the_error_and_wakes_channels_which_the_bar_shows(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.callbacks.tqdm.set_postfix", lambda self, values, **_: shown.append(dict(values)))
    training = replace(TRAINING, epochs=30, learning_rate=2e-2, starts=1, snapshots=30)
    result = run(tmp_path, training=training, x=toy_spectra(300))
    assert [values["active"] for values in shown] == result.snapshots.active.tolist()
    assert set(shown[0]) == {"loss", "mse", "kl", "beta", "active"}
    assert result.history["mse"][-1] < 0.3 * result.history["mse"][0]
    assert result.snapshots.active[0] < result.snapshots.active[-1]


def test_the_papers_beta_vae_of_loops_trains_at_a_small_size(tmp_path):
    """The paper's layers, staircase and constant learning rate, with fewer units and epochs."""
    training = replace(profiles.PAPER_BEPS_TRAINING, epochs=5, batch=32, priming=2, step_epochs=2, learning_rate=1e-3,
                       snapshots=5)
    result = run(tmp_path, training=training, x=np.repeat(toy_spectra(), 2, axis=2),
                 network=replace(profiles.PAPER_BEPS, units=4, blocks=1))
    beta = result.history["beta"]
    assert beta[1] == 0 < beta[2] == beta[3] and beta[4] - beta[3] == pytest.approx(training.beta_step / 16, rel=1e-4)
    assert np.isfinite(result.history["loss"]).all()


def test_weights_decay_where_asked():
    built = [optimizer(replace(TRAINING, weight_decay=decay), 3) for decay in (0, 0.1)]
    assert [type(adam).__name__ for adam in built] == ["Adam", "AdamW"]


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda x: x[:3], "3 spectra: expected 16 or more"),
    (lambda x: np.ones_like(x), "all spectra are the same"),
    (lambda x: np.where(x == x[0, 0, 0], np.nan, x), "some of the spectra are NaN"),
])
def test_spectra_that_cannot_be_learned_are_refused(tmp_path, spoil, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, x=spoil(toy_spectra()))


def test_a_training_begins_with_the_weights_of_its_seed_and_if_its_loss_explodes_ends_with_the_last_good_state(
        tmp_path, monkeypatch):
    reached = {}

    def explode(self, epoch, logs=None):
        reached[epoch] = self.model.get_weights()[0]
        if epoch == 2:
            self.model.get_layer("latents").beta.assign(np.nan)

    monkeypatch.setattr(KeepSnapshots, "on_epoch_begin", explode)
    with pytest.raises(FloatingPointError, match="in epoch 3: expected finite values"):
        run(tmp_path, seed=2, training=replace(TRAINING, schedule="none", starts=1))
    assert list(reached) == [0, 1, 2]
    with np.load(next(tmp_path.glob("test-*/checkpoint-000002.npz"))) as last:
        assert last["history_beta"].tolist() == [0, 0]
    own, other = (build_beta_vae(NETWORK, DRIVE, 1, seed).get_weights()[0] for seed in (2, 1))
    assert np.array_equal(reached[0], own) and not np.array_equal(own, other)
