import re

import numpy as np
import pytest

from helpers.tables import as_markdown, number, table_1_rows

METRICS = {f"{name}.{model}.{score}": 0.5 for name in ("toy", "beps") for model in ("dl", "vae")
           for score in ("mse", "mse_gamut", "seconds", "inference_seconds")}
GRID = np.array([0.25, 0.5])


def cells(sweep: dict) -> dict[str, dict[str, str]]:
    return {row[""]: row for row in table_1_rows(METRICS, GRID, sweep)}


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": value, "max": value, "n": 1}


def test_table_1_says_what_the_sweep_measured():
    sweep = {"sensitivity.dl.spread": spread(3.0), "sensitivity.vae.spread": spread(1.5),
             "toy.control.vae_recipe.shuffled.mse": spread(0.6), "toy.control.vae_recipe.kept.mse": spread(0.2),
             "beps.control.vae_recipe.shuffled.mse": spread(0.3), "beps.control.vae_recipe.kept.mse": spread(0.2)}
    rows = cells(sweep)
    influence = rows["Influence of hyperparameters"]
    assert influence["measured"].startswith("toy error 0.25 to 0.5")
    assert influence["measured"].endswith(": 3")
    assert influence["measured "].endswith(": 1.5")
    assert rows["Ordinal"]["measured "].endswith("toy 3, BEPS 1.5")


@pytest.mark.parametrize("name", ["sensitivity.vae.spread", "toy.control.vae_recipe.kept.mse"])
def test_table_1_says_what_was_not_measured(name):
    assert "not measured" in cells({name: spread(2.0)})["Ordinal"]["measured "]
    assert "not measured" in cells({})["Influence of hyperparameters"]["measured "]


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (3, "3"), (0.123456, "0.123"), (1e-5, "1e-05")])
def test_numbers(value, text):
    assert number(value) == text


def test_a_table_in_markdown():
    assert as_markdown([{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]) == (
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |")


def test_bars_inside_a_cell_part_no_columns():
    table = as_markdown([{"|Spearman|": "0.9", "b": "|P|"}])
    assert [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] == [
        [r" \|Spearman\| ", " b "], [" --- ", " --- "], [" 0.9 ", r" \|P\| "]]
