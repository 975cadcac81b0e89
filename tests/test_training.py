import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import callbacks, toy
from helpers.beta_vae import open_channels
from helpers.callbacks import KeepSnapshots, Snapshots
from helpers.checkpoints import CODE, Checkpoints, configuration_hash
from helpers.paths import ROOT
from helpers.profiles import Network, Training, get_profile
from helpers.schedule import first_beta, linked_lambda, scheduled_beta, scheduled_lambda
from helpers.training import shuffled_batches, train

NETWORK = Network(units=4, blocks=0, latents=4)
TRAINING = Training(epochs=6, batch=32, learning_rate=1e-2, priming=2, snapshots=6, start="isomap")
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


STAIRCASE = replace(TRAINING, schedule="staircase", cosine=False, beta_step=0.1, step_epochs=2, start="random")


def test_lambda_grows_as_the_paper_writes_it():
    """Closed forms: each step adds 1e-5 × 10^β for the toy, 1e-5 × 10^(nβ) for BEPS; none while priming."""
    beta = [0.01, 0.11, 0.21]
    for l1, exponents in (("added", beta), ("added_n", [0.01, 0.22, 0.63])):
        training = replace(STAIRCASE, l1=l1, kl_mean=True)
        values = [scheduled_lambda(training, epoch, 0.01 / 4, latents=4) for epoch in (1, 2, 3, 4, 6)]
        steps = np.cumsum(1e-5 * 10 ** np.array(exponents))
        assert values == pytest.approx([0, steps[0], steps[0], steps[1], steps[2]])


def test_lambda_of_the_original_code_is_never_zero():
    training = replace(STAIRCASE, l1="set", kl_mean=True)
    values = [scheduled_lambda(training, epoch, 0.01 / 4, latents=4) for epoch in (0, 2, 4)]
    assert values == pytest.approx([1e-5, 1e-5 * 10**0.01, 1e-5 * 10**0.11])


def test_a_mean_over_latents_divides_the_steps_of_beta():
    summed = scheduled_beta(STAIRCASE, 4, 0.5, latents=4)
    mean = scheduled_beta(replace(STAIRCASE, kl_mean=True), 4, 0.5, latents=4)
    assert (summed, mean) == pytest.approx((0.6, 0.525))


@pytest.mark.parametrize("settings", [{"l1": "mostly"}, {"l1": "added"}, {"restart_steps": True},
                                      {"schedule": "staircase", "cosine": True, "restart_steps": True}])
def test_impossible_trainings_are_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        replace(TRAINING, **settings)


def test_order_is_a_function_of_seed_and_epoch_and_visits_every_spectrum():
    x = np.arange(10.0).reshape(10, 1, 1)
    batches = shuffled_batches(x, x, batch=4, seed=5)
    first, second = ([next(batches)[0] for _ in range(3)] for _ in range(2))
    again = [next(from_second)[0] for from_second in [shuffled_batches(x, x, 4, 5, first_epoch=1)] for _ in range(3)]
    assert [len(batch) for batch in second] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(second), np.concatenate(again))
    np.testing.assert_array_equal(np.sort(np.concatenate(second).ravel()), x.ravel())
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


def snapshots(active, mse):
    kl = [np.r_[np.ones(n), np.zeros(16 - n)] for n in active]
    return Snapshots(epochs=list(range(len(active))), mse=list(mse), kl=kl)


@pytest.mark.parametrize(("active", "mse", "chosen"), [
    ([5, 3, 3, 2], [0.1, 0.4, 0.2, 0.9], 2),
    ([5, 5, 1, 1], [0.1, 0.05, 0.2, 0.9], 1),
    ([16, 8, 6], [0.1, 0.2, 0.3], 2),
])
def test_snapshot_is_chosen_by_the_rule(active, mse, chosen):
    assert snapshots(active, mse).choose(found=3) == chosen


def run(folder, seed=1, training=TRAINING, x=None, network=NETWORK, **options):
    x = toy_spectra() if x is None else x
    return train(network, training, x, DRIVE, watched=x[:9], validation=x[:20], seed=seed, title="test",
                 folder=folder, **options)


def same_weights(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("finished"))


def test_training_keeps_what_the_figures_need(finished):
    assert np.array(finished.snapshots.epochs).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.array(finished.snapshots.embeddings).shape == (6, 9, 4)
    beta = finished.history["beta"]
    assert beta[:2].tolist() == [0, 0] and beta[2] == finished.first_beta > 0
    assert 1 <= finished.found <= 4 and finished.coordinate_errors.shape == (4,)
    assert (np.diff(finished.history["seconds"]) > 0).all()
    assert np.isnan(finished.seconds_to(0))
    assert 0 < finished.seconds_to(1e9) == finished.start_seconds < finished.history["seconds"][0]
    final = finished.model.get_weights()
    finished.restore_chosen()
    kept = finished.checkpoints.load_snapshot(int(finished.snapshots.epochs[finished.chosen]))
    assert same_weights(finished.model.get_weights(), kept)
    finished.model.set_weights(final)


def test_another_seed_gives_another_network(finished, tmp_path):
    other = run(tmp_path, seed=2)
    assert not same_weights(finished.checkpoints.load_snapshot(6), other.checkpoints.load_snapshot(6))


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
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
from types import SimpleNamespace
test_training.run(Path({folder!r}), **test_training.{settings})
"""
PLAIN = {}
RESTARTED = {"training": replace(STAIRCASE, epochs=5, restart_steps=True, learning_rate=3e-2, snapshots=5),
             "network": replace(NETWORK, blocks=1, dropout=0.2)}


def kill(folder, epoch, where, settings="PLAIN"):
    code = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), folder=str(folder), epoch=epoch, where=where,
                         settings=settings)
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]


@pytest.mark.parametrize(("epoch", "where", "done"), [
    pytest.param(1, "before", 0, marks=pytest.mark.all), pytest.param(2, "after", 2, marks=pytest.mark.all), (4, "before", 3)])
def test_a_killed_training_goes_on_to_the_same_weights(finished, tmp_path, capsys, epoch, where, done):
    """Killed before the first checkpoint, at the end of priming, and in the schedule."""
    kill(tmp_path, epoch, where)
    again = run(tmp_path)
    assert ("3 of 6 epochs are done" in capsys.readouterr().out) == (done == 3)
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
    """Four batches an epoch, two epochs a step: Adam counts them from 0 in every step."""
    begun, kept = {}, {}

    def look(self, epoch, logs=None):
        begun[epoch] = [self.model.get_weights()[0], int(self.model.optimizer.iterations)]

    def keep(self, epoch, logs=None):
        kept[epoch] = [self.model.get_weights()[0], logs["loss"]]

    monkeypatch.setattr(KeepSnapshots, "on_epoch_begin", look)
    monkeypatch.setattr("helpers.callbacks.ProgressBar.on_epoch_end", keep)
    run(tmp_path, training=replace(RESTARTED["training"], batch=24))
    assert [begun[epoch][1] for epoch in range(5)] == [0, 4, 0, 4, 0]
    for first in (2, 4):
        best = min((first - 2, first - 1), key=lambda epoch: kept[epoch][1])
        np.testing.assert_array_equal(begun[first][0], kept[best][0])


DEVICES = """
import json, sys
sys.path[:0] = [{root!r}, {tests!r}]
import tensorflow as tf
if {devices} > 1:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * {devices})
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
import keras, numpy as np, test_training
from helpers import training

strategy, draw, told = training.mirrored_strategy(), keras.random.normal, {{}}
settings = replace(test_training.STAIRCASE, clip_norm=None, beta_step=1e-3, epochs=4)
for noise in (False, True):
    keras.random.normal = draw if noise else lambda shape, seed=None: keras.ops.zeros(shape)
    folder = Path({folder!r}) / str(noise)
    run = test_training.run(folder, training=settings)
    again = test_training.run(folder, training=settings)
    state = run.model.get_layer("latents").noise.state.value
    states = strategy.experimental_local_results(state) if strategy else [state]
    told[noise] = {{"replicas": training.replicas(strategy), "states": [np.array(s).tolist() for s in states],
                   "read back": test_training.same_weights(run.model.get_weights(), again.model.get_weights()),
                   **{{name: values.tolist() for name, values in run.history.items()}}}}
print(json.dumps([told[False], told[True]]))
"""


def on_devices(devices, folder):
    code = DEVICES.format(root=str(ROOT), tests=str(ROOT / "tests"), folder=str(folder), devices=devices)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_train_as_one_does(tmp_path):
    """The same but for rounding where no latent noise is drawn, and otherwise but for the noise."""
    pairs = zip(on_devices(1, tmp_path / "1"), on_devices(2, tmp_path / "2"), strict=True)
    for (one, two), tolerance in zip(pairs, (1e-4, 0.4), strict=True):
        assert (one["replicas"], two["replicas"]) == (1, 2) and two["read back"]
        for name in ("loss", "mse", "val_mse", "kl", "beta"):
            assert two[name] == pytest.approx(one[name], rel=tolerance), name
        assert two["states"][0] != two["states"][1]


def test_the_bar_shows_the_active_channels(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.callbacks.tqdm.set_postfix", lambda self, values, **_: shown.append(dict(values)))
    result = run(tmp_path, training=replace(TRAINING, start="random"))
    assert [values["active"] for values in shown] == result.snapshots.active.tolist()
    assert set(shown[0]) == {"loss", "mse", "kl", "beta", "active"}


def test_the_time_left_is_told_without_the_first_epoch_which_compiles():
    shown = callbacks.ProgressBar(10, "t", 2, SimpleNamespace(kept=SimpleNamespace(active=[1])))
    logs = dict.fromkeys(("loss", "mse", "kl", "beta"), 1.0)
    for seconds in (60, 1):
        shown.bar.start_t -= seconds
        shown.on_epoch_end(0, logs)
    bar = shown.bar.format_dict
    assert (bar["n"], bar["n"] - bar["initial"]) == (4, 1) and bar["elapsed"] < 10


def test_a_finished_training_is_read_back(finished, capsys):
    again = run(finished.checkpoints.folder.parent)
    assert "6 of 6 epochs are done already" in capsys.readouterr().out
    assert same_weights(finished.checkpoints.load_snapshot(6), again.model.get_weights())
    assert again.chosen == finished.chosen and again.seconds == finished.seconds


def test_a_changed_parameter_never_goes_on_with_another_run(tmp_path):
    x = toy_spectra()
    names = set()
    for training, seed, spectra in [(TRAINING, 1, x), (replace(TRAINING, batch=33), 1, x), (TRAINING, 2, x),
                                    (TRAINING, 1, x + 1e-6)]:
        names.add(configuration_hash(NETWORK, training, seed, spectra))
    assert len(names) == 4


def test_no_checkpoint_of_other_code_is_gone_on_from(monkeypatch):
    x = toy_spectra()
    own = configuration_hash(NETWORK, TRAINING, 1, x)
    assert own == configuration_hash(NETWORK, TRAINING, 1, x)
    for module in CODE:
        def read_bytes(path, module=module, read=Path.read_bytes):
            return read(path) + (b"# changed" if path.stem == module else b"")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", read_bytes)
            assert configuration_hash(NETWORK, TRAINING, 1, x) != own, module


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-400] + bytes(400),
                                    lambda b: b[:5000] + bytes([b[5000] ^ 255]) + b[5001:],
                                    # A method of compression that there is not, and a password.
                                    lambda b: b[:(at := b.index(b"PK\1\2") + 10)] + b"c" + b[at + 1:],
                                    lambda b: b[:(at := b.index(b"PK\1\2") + 8)] + b"\1" + b[at + 1:]])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(tmp_path, capsys, damage):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, {"epochs_done": np.array(epoch), "w": np.random.default_rng(0).random(2000)})
    newest = tmp_path / "checkpoint-000003.npz"
    newest.write_bytes(damage(newest.read_bytes()))
    assert checkpoints.load()["epochs_done"] == 2
    assert "checkpoint-000003.npz is damaged" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-000002.npz", "checkpoint-000003.damaged"]


def test_learning_lowers_the_error(tmp_path):
    x = toy_spectra(300)
    training = replace(TRAINING, epochs=30, learning_rate=2e-2, end=1e-3)
    history = run(tmp_path, training=training, x=x).history
    assert history["mse"][-1] < 0.6 * history["mse"][0]


@pytest.mark.parametrize("of", ["toy", "beps"])
def test_the_papers_recipe_trains_at_a_small_size(tmp_path, of):
    """The paper's layers, staircase and constant learning rate, with fewer units and epochs."""
    profile = get_profile("paper")
    network = replace(getattr(profile, f"{of}_network"), units=4, blocks=1)
    training = replace(getattr(profile, f"{of}_training"), epochs=5, batch=32, priming=2, step_epochs=2,
                       learning_rate=1e-3, snapshots=5)
    x = np.repeat(toy_spectra(), 1 if of == "toy" else 2, axis=2)
    result = train(network, training, x, DRIVE, watched=x[:4], validation=x[:9], seed=0, title=of,
                   folder=tmp_path)
    beta = result.history["beta"]
    assert beta[1] == 0 < beta[2] == beta[3] and beta[4] - beta[3] == pytest.approx(training.beta_step / 16, rel=1e-4)
    assert np.isfinite(result.history["loss"]).all() and len(open_channels(result.model)) == 16


@pytest.mark.parametrize("settings", [{"interleave": True}, {"units": 0}, {"latents": 0}, {"blocks": -1}])
def test_an_impossible_network_is_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        replace(NETWORK, **settings)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda x: x[:3], "3 spectra are fewer than a batch of 32"),
    (lambda x: x[:1], "1 spectra are fewer than a batch"),
    (lambda x: np.ones_like(x), "all spectra are the same"),
    (lambda x: np.where(x == x[0, 0, 0], np.nan, x), "some of the spectra are NaN"),
])
def test_spectra_that_cannot_be_learned_are_refused(tmp_path, spoil, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, x=spoil(toy_spectra()))


def test_a_loss_that_explodes_stops_at_once_and_keeps_the_last_good_state(tmp_path, monkeypatch):
    reached = []

    def explode(self, epoch, logs=None):
        reached.append(epoch)
        if epoch == 2:
            self.model.get_layer("latents").beta.assign(np.nan)

    monkeypatch.setattr(KeepSnapshots, "on_epoch_begin", explode)
    with pytest.raises(FloatingPointError, match="in epoch 3, batch 1: expected finite values"):
        run(tmp_path)
    monkeypatch.undo()
    assert reached == [0, 1, 2]
    assert next(tmp_path.glob("test-*/checkpoint-000002.npz"))
