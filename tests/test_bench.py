import numpy as np
import pytest

from helpers.bench import median_seconds, torch_step_seconds, training_step_gflop
from helpers.beta_vae import build_beta_vae
from helpers.profiles import Network


@pytest.mark.parametrize(("blocks", "drive_input", "linear"), [(0, True, True), (1, True, False), (2, False, False)])
def test_counted_products_are_those_of_the_lstm_equations(blocks, drive_input, linear):
    """Four gates of a product with input and state, two directions, at every step (Hochreiter & Schmidhuber 1997)."""
    units, steps, channels, latents, drive_channels, batch = 8, 10, 2, 3, 1, 5
    network = Network(units=units, blocks=blocks, latents=latents, drive_input=drive_input, linear_path=linear)
    model = build_beta_vae(network, np.zeros((steps, drive_channels)), channels, seed=0)
    known = drive_channels if drive_input else 0

    def bilstm(size):
        return 2 * steps * 4 * units * (size + units)

    width, first = 2 * units, channels + known
    encoder = [first, width, *[width] * 2 * (blocks - 1), width] if blocks else [first]
    decoder = [latents + known, *[width] * 2 * blocks]
    dense = 2 * width * latents + latents**2 + steps * width * channels
    if linear:
        dense += 2 * steps * channels * latents
    if blocks and first not in (1, width):
        dense += steps * first * width
    expected = 6 * batch * (sum(map(bilstm, encoder + decoder)) + dense) / 1e9
    assert training_step_gflop(model, batch) == pytest.approx(expected)


def test_median_leaves_the_first_run_out():
    calls = []
    assert median_seconds(lambda: calls.append(1), repeats=3) >= 0 and len(calls) == 4


def test_torch_is_only_compared_where_it_is_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert torch_step_seconds() is None
