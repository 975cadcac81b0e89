import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_training import DRIVE, toy_spectra

from helpers import checkpoints, training
from helpers.beta_vae import encode
from helpers.profiles import AdditiveNetwork, Training
from helpers.training import train

NETWORK = AdditiveNetwork(units=4, layers=1, patch=5, branch=4, latents=4)
TRAINING = Training(epochs=2, batch=32, learning_rate=1e-2, snapshots=2)
SPECTRA = toy_spectra()
WATCHED = SPECTRA[:9]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    run = train(NETWORK, TRAINING, SPECTRA, DRIVE, watched=WATCHED, validation=WATCHED, seed=0, title="toy",
                folder=folder / "checkpoints")
    run.restore_chosen()
    checkpoints.store(folder / "toy", run, NETWORK, TRAINING, SPECTRA, WATCHED, seed=0)
    return folder, run


@pytest.fixture
def get(monkeypatch):
    """Function that asks for the weights kept in a folder; where a network would be trained it returns a text."""
    def ask(folder, weights="pretrained", network=NETWORK, settings=TRAINING, spectra=SPECTRA, seed=0):
        monkeypatch.setattr(training, "WEIGHTS_FOLDER", folder)
        return training.train_or_load(weights, network, settings, spectra, DRIVE, watched=WATCHED, title="toy",
                                      seed=seed)

    monkeypatch.setattr(training, "train", lambda *given, **options: "trained here")
    return ask


def test_a_kept_training_is_read_with_weights_history_and_snapshots(kept, get, capsys):
    folder, run = kept
    again = get(folder)
    assert "weights trained in advance are used" in capsys.readouterr().out
    again.restore_chosen()
    np.testing.assert_array_equal(encode(run.model, SPECTRA)[0], encode(again.model, SPECTRA)[0])
    assert again.chosen == run.chosen and again.seconds == run.seconds
    carried = run.arrays()["snapshot_kl"][:, None] > 0.01
    for name, values in run.arrays().items():
        values = np.where(carried, values, 0) if "embeddings" in name else values  # the others are not kept
        np.testing.assert_allclose(again.arrays()[name], values, atol=1.2e-2 if "embeddings" in name else 0)


@pytest.mark.parametrize(("changed", "reason"), [
    ({"spectra": SPECTRA + 0.01}, "learned other spectra"),
    ({"network": replace(NETWORK, units=5)}, "a network with other units"),
    ({"settings": replace(TRAINING, weight_decay=0.5)}, "a training with other weight_decay"),
    ({"seed": 1}, "are of seed 0"),
])
def test_where_it_does_not_fit_the_network_is_trained(kept, get, capsys, changed, reason):
    assert get(kept[0], **changed) == "trained here"
    assert reason in capsys.readouterr().out


def test_weights_of_an_earlier_release_or_none_are_not_used_and_an_unknown_choice_is_refused(
        kept, get, tmp_path, capsys):
    earlier = tmp_path / "earlier"
    shutil.copytree(kept[0], earlier, ignore=shutil.ignore_patterns("checkpoints"))
    origin = json.loads((earlier / "toy.json").read_text())
    del origin["format"]
    (earlier / "toy.json").write_text(json.dumps(origin))
    assert get(earlier) == "trained here"
    assert "are of an earlier release (toy.json has format 1: expected 3" in capsys.readouterr().out
    assert get(tmp_path / "none") == "trained here"
    assert "toy.json is missing" in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected one of train, pretrained"):
        get(tmp_path, weights="best")


def test_rounding_makes_the_fingerprint_the_same_everywhere():
    assert checkpoints.fingerprint(SPECTRA) == checkpoints.fingerprint(SPECTRA + 1e-13)
    assert checkpoints.fingerprint(SPECTRA) != checkpoints.fingerprint(SPECTRA + 1e-2)


@pytest.mark.parametrize("file", ["toy.json", "toy.npz", "toy.weights.h5"])
def test_damaged_files_are_named(kept, get, tmp_path, file):
    folder = shutil.copytree(kept[0], tmp_path / "damaged", ignore=shutil.ignore_patterns("checkpoints"))
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{file}.*expected"):
        get(folder)
