"""Figures of the linear baselines: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.figures.comparison import (
    BaselineErrors,
    figure_baselines,
    figure_lambda_codings,
    figure_reference_34,
    plot_baselines,
)
from helpers.figures.style import BOUND, TWIN_LABEL, page_figure

NAMES = ["SVD", "PCA", "DL, lasso", "k-means"]
MSE = {3: np.array([0.2, 0.1, 0.3, 0.4]), 16: np.array([0.02, 0.01, 0.03, 0.04])}
CONVERGED = {3: np.array([True, True, False, True]), 16: np.ones(4, bool)}
ERRORS = BaselineErrors("Toy", NAMES, MSE, CONVERGED)


def labelled(figure) -> bool:
    return any(text.get_text() == TWIN_LABEL for text in figure.texts)


def test_every_model_has_its_marker_and_pca_its_lines():
    ax = plot_baselines(page_figure(2.0).subplots(), ERRORS)
    assert [label.get_text() for label in ax.get_yticklabels()] == NAMES
    markers = [c.get_offsets() for c in ax.collections if len(c.get_offsets()) == len(NAMES)]
    for drawn, mse in zip(markers, MSE.values(), strict=True):
        np.testing.assert_allclose(drawn, np.c_[mse, range(4)])
    lines = [line.get_xdata()[0] for line in ax.lines if line.get_color() == BOUND]
    assert lines == [0.1, 0.01]


def test_a_ring_marks_the_fit_that_ended_at_its_limit():
    ax = plot_baselines(page_figure(2.0).subplots(), ERRORS)
    rings = [c.get_offsets() for c in ax.collections if 0 < len(c.get_offsets()) < len(NAMES)]
    np.testing.assert_allclose(np.vstack(rings), [[0.3, 2]])


@pytest.mark.parametrize("source", ["measured", "twin"])
def test_both_benchmarks_and_the_label_of_the_twin(source):
    figure = figure_baselines(ERRORS, ERRORS, source=source)
    figure.canvas.draw()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title[len(r"$\mathbf{")] for title in titles] == ["a", "b"]
    assert labelled(figure) == (source == "twin")


def test_reference_34_draws_one_curve_per_alpha():
    rms = {1.0: np.array([0.3, 0.2]), 6.0: np.array([0.5, 0.4]), 12.0: np.array([0.9, 0.8])}
    figure = figure_reference_34([2, 3], rms, np.array([0.2, 0.1]), source="twin")
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert list(lines) == ["α = 1", "α = 6", "α = 12", "PCA"]
    np.testing.assert_allclose(lines["α = 6"], rms[6.0])
    assert labelled(figure)


def test_codings_name_their_lowest_lambda():
    errors = {"own": np.array([0.1, 0.2, 0.3]), "at 1": np.array([0.3, 0.2, 0.3])}
    figure = figure_lambda_codings([0.1, 0.5, 1.0], errors, 0.09, paper_lambda=0.57, paper_mse=0.184)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["own, lowest at λ = 0.1", "at 1, lowest at λ = 0.5"]
