import threading
import time

import pytest
import requests

from helpers import fetch
from helpers.data import DataError, save_scan, simulated_scan


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", refuse)


def test_auto_without_a_network_says_so_and_takes_the_twin(offline, tmp_path, capsys):
    scan = fetch.find_scan("auto", seed=2, twin_shape=(6, 6), folder=tmp_path)
    assert scan.source == "twin" and scan.shape == (6, 6)
    assert "did not answer" in capsys.readouterr().out


def test_auto_takes_the_readers_own_file_first(tmp_path):
    save_scan(simulated_scan(3, (5, 7)), tmp_path / "mine.h5")
    assert fetch.find_scan("auto", folder=tmp_path).shape == (5, 7)


@pytest.mark.parametrize("data", ["zenodo", "drive:abc"])
def test_a_source_that_does_not_answer_is_an_error_with_a_remedy(offline, data, tmp_path):
    with pytest.raises(DataError, match="did not answer .* use DATA=<path>"):
        fetch.find_scan(data, folder=tmp_path)


def test_a_silent_network_costs_at_most_ten_seconds(monkeypatch, tmp_path):
    released = threading.Event()

    def stay_silent(*args, **kwargs):
        released.wait(60)
        raise requests.Timeout("released")

    monkeypatch.setattr(requests, "get", stay_silent)
    began = time.monotonic()
    assert fetch.find_scan("auto", twin_shape=(6, 6), folder=tmp_path).source == "twin"
    assert time.monotonic() - began < 10
    released.set()
