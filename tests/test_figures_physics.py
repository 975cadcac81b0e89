import numpy as np

from helpers.scans.scan import simulated_scan
from helpers.figures.maps import SCAN
from helpers.figures.physics import SHOWN, figure_loop_features
from helpers.loops import UNITS, loop_features


def features(scan, resonance=True):
    found = loop_features(scan.piezoresponse.reshape(-1, 96),
                          scan.resonance_kHz.reshape(-1, 96) if resonance else None, scan.voltage_V)
    return {name: values.reshape(scan.shape) for name, values in found.items()}


def test_every_feature_is_drawn_for_the_scan_and_as_an_error_of_each_model():
    assert set(SHOWN) <= set(UNITS)
    scan = simulated_scan(0, (8, 12))
    measured = features(scan)
    models = {"DL": measured, "PCA": {name: values + 0.5 for name, values in measured.items()}}
    figure = figure_loop_features(measured, models, source="twin", orientation=SCAN)
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) == 3 * len(SHOWN)
    np.testing.assert_allclose(maps[len(SHOWN)].images[0].get_array(), 0)
    assert maps[0].get_ylabel() == "Simulated" and maps[len(SHOWN)].get_ylabel() == "DL − simulated"
    figure.canvas.draw()


def test_without_a_resonance_its_features_are_left_out():
    measured = features(simulated_scan(0, (5, 7)), resonance=False)
    figure = figure_loop_features(measured, {"DL": measured}, source="twin", orientation=SCAN)
    assert len([ax for ax in figure.axes if ax.images]) == 2 * 5
