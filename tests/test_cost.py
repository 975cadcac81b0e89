from dataclasses import replace

import pytest

from helpers.cost import LARGE, Case, line, page, summary
from helpers.figures import figure_cost
from helpers.paths import ROOT
from helpers.profiles import get_profile


def linear(pixels, **other):
    """A case that takes 1 s and 1 GiB besides 1 ms and 1 KiB a pixel."""
    return Case(pixels, **other, seconds=1 + 1e-3 * pixels, memory_GiB=1 + pixels / 1024**2)


GROWN = {"pixels": [linear(n) for n in (3600, 14400, 57600)],
         "steps": [linear(3600, steps=n) for n in (48, 96, 192)],
         "latents": [replace(linear(3600, latents=4), seconds=2.0), linear(3600), linear(3600, latents=64)]}


@pytest.mark.parametrize(("what", "slope", "intercept"),
                         [("seconds", 1e-3, 1), ("memory_GiB", 1 / 1024**2, 1)])
def test_the_line_of_linear_growth(what, slope, intercept):
    assert line(GROWN["pixels"], what) == pytest.approx((slope, intercept))


def test_the_summary_says_what_the_cases_took():
    largest = linear(LARGE)
    rows = {row["measure"]: row["value"] for row in summary(
        {**GROWN, "largest": [largest], "pair": 2 * [replace(linear(3600), seconds=6.9)]})}
    assert rows["an epoch"] == "1.000 s for 1000 pixels and 1.0 s besides"
    assert rows["memory"] == "1.0 KiB a pixel and 1.00 GiB besides"
    assert rows["1024 × 1024 pixels, by the lines"] == "1050 s an epoch, 2.0 GiB"
    assert rows["1024 × 1024 pixels, run"].startswith("1050 s an epoch, 2.0 GiB")
    assert "1.50 times as long: 1.33 times" in rows["two trainings side by side"]
    assert rows["latents, 4 to 64"].startswith("2.3 times the epoch, 1 times the memory")
    hours = 1000 * get_profile("laptop").beps_training.epochs * 4.6 / 3600
    assert rows["1000 scans of 60 × 60 pixels"].startswith(f"{hours:.0f} h one by one, {hours * 0.75:.0f} h in pairs")


def test_the_figure_shows_every_case():
    lines = {what: line(GROWN["pixels"], what) for what in ("seconds", "memory_GiB")}
    figure = figure_cost({**GROWN, "largest": [linear(LARGE)]}, lines)
    pixels, steps, latents = figure.axes[:3]
    assert [len(shown.get_xdata()) for shown in pixels.lines[1:]] == [3, 1]
    assert list(steps.lines[0].get_xdata()) == [48, 96, 192] and list(latents.lines[0].get_xdata()) == [4, 16, 64]
    assert pixels.lines[0].get_ydata()[-1] == pytest.approx(linear(LARGE).seconds)


def test_the_stored_page_is_made_of_the_stored_cases():
    reference = ROOT / "data/reference"
    assert (reference / "cost.md").read_text(encoding="utf-8") == page(reference)
