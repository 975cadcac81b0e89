import json
import re
from math import inf, nan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import ledger
from helpers.ledger import CLAIMS, FAILS, HOLDS, IN_PART, NO, PARTLY, SUBJECTS, TIE, TIED, UNMEASURED, UNSAID, YES
from helpers.loops import UNITS
from helpers.paper import PAPER
from helpers.paths import ROOT, Build
from helpers.twin.domains import MECHANISMS

at_least, below, higher, lower, near = ledger.at_least, ledger.below, ledger.higher, ledger.lower, ledger.near
CHECKS = [check for claim in CLAIMS for check in claim["checks"]]
NEEDED = sorted({name for check in CHECKS for name in ledger.names(check) if not name.startswith("paper.")})
GROUPS = ledger._FILE["groups"]
REFERENCE = ROOT / "data/reference"
ON_MEASURED = {"beps.source": "measured"}
COLUMNS = ["claim", "where", *SUBJECTS, "measure", "result", "control"]


def one(value):
    return ledger.Number(value, value, value)


def over_seeds(low, median, high):
    return ledger.Number(median, low, high, 3)


def row(start, metrics, seeds=None):
    """The row whose claim starts so."""
    found = [row for row in ledger.ledger_rows(metrics, seeds) if row["claim"].startswith(start)]
    assert len(found) == 1
    return found[0]


def verdicts_of(row):
    """What a row says, whoever it is about."""
    return {row[who] for who in SUBJECTS} - {UNSAID}


def verdict(start, metrics, seeds=None):
    found, = verdicts_of(row(start, metrics, seeds))
    return found


# First match: a value where all that the paper claims is true, and one where none of it is.
WORLDS = (
    (r"beps\.vae\.heldout_over_pca\..*", 0.1, 1.2),
    (r"toy\.paper_\w+\.(mse|mse_gamut)", 0.01, 99),
    (r"toy\.vae\.latents", 16, 16),
    (r".*over_pca", 0.1, 1.2),
    (r"beps\.narrow\.hardened.*", 0.9, 0.1),
    (r"beps\.wide\.hardened.*", 0.1, 0.3),
    (r"toy\.paper_vae\.spearman_painting", 0.95, 0.1),
    (r"toy\.dl\.mse_gamut", PAPER["toy.dl.mse_gamut"], 77),
    (r"toy\.dl\.mse_painting", PAPER["toy.dl.mse_painting"], 77),
    (r"toy\.dl\.lowest_mse_coded_at_1", 0.01, 99),
    (r"toy\.dl\.best_lambda", PAPER["toy.dl.best_lambda"], 77),
    (r"toy\.pca3\.mse_gamut", 1, 0.01),
    (r"toy\.vae\.mse_gamut", 0.01, 99),
    (r"toy\.(vae\.active|paper_\w+\.(\w+\.)?active(_at_end)?|control.*channels)", PAPER["toy.vae.active"], 77),
    (r"beps\.dl\.mse", PAPER["beps.dl.mse"], 77),
    (r"beps\.vae\.share_below_dl", 1, 0),
    (r"beps\.vae\.mse_area_spearman", 0.1, 0.9),
    (r"beps\.dl\.moran", 0.9, 0),
    (r"beps\.dl\.moran_shuffled", 0, 0.3),
    (r".*inference_seconds", 1e3, 1),
    (r".*\.vae\.seconds", 1e5, 10),
    (r".*\.hours", 9, 0.1),
    (r".*\.dl\.seconds", 1e3, 1e5),
    (r"twin\.dl\.r2.*", 0.25, 0.5),
    (r"(toy|twin)\.(vae|dl)\.(r2.*|matched_r2|dci_informativeness)", 0.9, 0.1),
    (r"toy\.(vae|control\.vae_(full|few_latents)\.kept|paper_\w+)\.(mig|dci|sap|spearman)", 0.95, 0.1),
    (r"(toy|twin).*(mig|dci|sap|spearman|r2).*", 0.4, 0.3),
    (r".*control\.pca\.kept.*", 9, 1),
    (r".*control\.pca\.shuffled.*", 9, 1.1),
    (r".*control\.lstm\.shuffled.*", 2, 3),
    (r".*control\.lstm.*", 1, 5),
    (r".*control\.vae_full\.shuffled.*", 1.5, 3.5),
    (r".*\.vae(_full)?\..*", 0.5, 7),
    (r".*", 2, 2),
)


def favourable(name):
    return next(right for pattern, right, _ in WORLDS if re.fullmatch(pattern, name))


def contrary(name):
    return next(wrong for pattern, _, wrong in WORLDS if re.fullmatch(pattern, name))


def world(values):
    return {name: values(name) for name in NEEDED} | ON_MEASURED


@pytest.mark.parametrize("values, expected", [(favourable, HOLDS), (contrary, FAILS)])
def test_verdicts_follow_from_the_numbers(values, expected):
    for claim, row in zip(CLAIMS, ledger.ledger_rows(world(values)), strict=True):
        about = {ledger.subject(check) for check in claim["checks"] if "rule" in check}
        assert [row[who] for who in SUBJECTS] == [expected if who in about else UNSAID for who in SUBJECTS], row


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["claim"][:40])
def test_each_comparison_can_turn_the_verdict(claim):
    """No comparison is idle: the contrary numbers of it alone take the claim from holds."""
    for check in claim["checks"]:
        if "rule" in check:
            own = {name: contrary(name) for name in ledger.names(check) if not name.startswith("paper.")}
            found = row(claim["claim"], world(favourable) | own)
            assert found[ledger.subject(check)] in (PARTLY, FAILS), check["text"]


@given(st.sets(st.sampled_from(NEEDED)))
@example(set(NEEDED))
def test_a_claim_is_judged_exactly_when_its_numbers_are_there(missing):
    known = {name: value for name, value in world(favourable).items() if name not in missing}
    for claim, row in zip(CLAIMS, ledger.ledger_rows(known), strict=True):
        for who in SUBJECTS:
            judged = {name for check in claim["checks"] if "rule" in check and ledger.subject(check) == who
                      for name in ledger.names(check)}
            assert (row[who] == UNMEASURED) == bool(judged & missing)
        absent = [name for check in claim["checks"] for name in ledger.names(check) if name in missing]
        assert (UNMEASURED in row["result"]) == bool(absent)
        if absent:
            assert f"`{absent[0]}`" in row["result"]


values = st.one_of(st.none(), st.text(max_size=3), st.booleans(), st.floats(), st.integers(-5, 10**6))
spreads = st.fixed_dictionaries({}, optional={key: values for key in ("median", "min", "max", "n")})


@settings(max_examples=settings.default.max_examples // 2)
@given(st.dictionaries(st.sampled_from([*NEEDED, "beps.source"]), values),
       st.dictionaries(st.sampled_from(NEEDED), spreads | st.none()))
@example({"beps.source": "twin"}, {"toy.vae.mse_gamut": {"median": nan}})
def test_no_content_of_the_files_is_an_exception(metrics, seeds):
    rows = ledger.ledger_rows(metrics, seeds)
    assert all(list(row) == COLUMNS and {row[who] for who in SUBJECTS} <= set(ledger.VERDICTS) for row in rows)
    assert all(cell.strip() for row in rows for cell in row.values())
    for who, counts in ledger.verdict_counts(rows).items():
        assert sum(counts.values()) == sum(row[who] != UNSAID for row in rows)
        assert list(counts) == [verdict for verdict in ledger.VERDICTS if verdict in counts]


def test_a_training_that_did_not_converge_decides_nothing():
    numbers = world(favourable) | {"toy.control.lstm.kept.converged": 0}
    found = row("A β-VAE is better because it takes account", numbers)
    assert "LSTM autoencoder 1 in order below 2 shuffled (not converged, decides nothing); loops" in found["result"]
    seeds = {"toy.control.lstm.kept.converged": {"median": 0, "min": 0, "max": 0, "n": 1}}
    assert row("A β-VAE is better because it takes account", world(favourable), seeds)["result"] == found["result"]


def test_a_number_recorded_with_its_extremes_is_judged_by_them():
    name = "toy.paper_shortened_25.over_pca"
    numbers = world(favourable) | {name: 0.4, f"{name}.min": 0.26, f"{name}.max": 0.84, f"{name}.n": 3}
    result = row("On the toy a β-VAE", numbers)["result"]
    assert "error 0.4 (0.26 to 0.84, n = 3) times that of PCA, below 0.5: cannot be told apart" in result


def test_the_twin_does_not_decide_on_measured_loops():
    on_twin = world(contrary) | {"beps.source": "twin"}
    claim = "On the measured loops the error of a β-VAE is much lower than that of DL"
    loops = row(claim, on_twin)
    assert verdicts_of(loops) == {ledger.UNTESTABLE}
    assert loops["result"].count("(simulated twin, decides nothing)") == 2
    assert ": no" not in loops["result"]
    order = row("A β-VAE is better because it takes account", on_twin | {
        name: favourable(name) for name in NEEDED if name.startswith("toy.control")})
    assert verdicts_of(order) == {HOLDS} and "simulated" in order["result"]
    assert verdict("Halving and doubling β", on_twin) == ledger.UNTESTABLE
    unknown = {name: value for name, value in on_twin.items() if name != "beps.source"}
    assert verdict(claim, unknown) == UNMEASURED
    assert "`beps.source`" in row(claim, unknown)["result"]


def test_each_model_is_judged_on_its_own_runs_and_a_result_says_each_number_once_and_what_it_decides():
    numbers = {"toy.vae.active": 3, "toy.paper_shortened_25.active": 5}
    found = row("On the toy as many", world(favourable) | numbers)
    assert found["the companion's β-VAE"] == HOLDS and found["the paper's β-VAE"] == FAILS
    assert found["other models, or the loops alone"] == UNSAID
    bound = row("On the toy a β-VAE", world(favourable) | {"toy.pca3.mse_gamut": 0.21, "toy.vae.mse_gamut": 0.0009})
    assert bound["result"].startswith("error stated in the paper, 0.104, at a scaling that may differ, PCA here 0.21; ")
    assert "companion's error 0.0009 at most half of PCA 0.21: yes; at most half of DL with OMP" in bound["result"]
    measured = ON_MEASURED | {"beps.vae.beta_spread": 1.08, "sensitivity.dl.spread": 2.85}
    assert row("Halving and doubling β", measured)["result"] == (
        "largest over smallest error of the companion's β-VAE 1.08 below DL 2.85: yes; "
        "not measured yet: `beps.vae.stability`, `beps.vae.found`")


def test_spread_over_seeds_is_preferred_and_printed_and_fractions_are_averaged():
    seeds = {"twin.vae.r2.three_state": {"median": 0.8, "min": 0.7, "max": 0.9, "n": 3},
             "twin.height.r2.three_state": {"median": 0.75, "min": 0.7, "max": 0.76, "n": 3}}
    metrics = world(favourable) | {"twin.vae.r2.three_state": 0.1}
    found = row("A β-VAE detects", metrics, seeds)
    assert ("β-VAE 0.8 (0.7 to 0.9, n = 3) above the height 0.75 (0.7 to 0.76, n = 3): cannot be told apart;"
            in found["result"]) and verdicts_of(found) == {PARTLY}
    seeds["twin.vae.r2.three_state"]["max"] = None
    assert "β-VAE 0.1 above" in row("A β-VAE detects", metrics, seeds)["result"]
    metrics = {f"twin.dl.r2.{name}": value for name, value in zip(MECHANISMS, (0.2, 0.4, 0.6, 1.0), strict=True)}
    assert "together: DL 0.55;" in row("DL separates", metrics)["result"]
    seeds = {name: {"median": value, "min": value - 0.2, "max": value, "n": 3} for name, value in metrics.items()}
    assert "together: DL 0.55 (0.35 to 0.55, n = 3);" in row("DL separates", {}, seeds)["result"]


@pytest.mark.parametrize("wins, ties, answer", [(12, 0, YES), (11, 1, IN_PART), (0, 12, TIE), (0, 0, NO)])
def test_features_are_counted(wins, ties, answer):
    features = GROUPS["features"]
    metrics = ON_MEASURED | {f"beps.dl.error.{name}": 2.0 for name in features}
    metrics |= {f"beps.vae.error.{name}": 1.0 if i < wins else 2.0 if i < wins + ties else 3.0
                for i, name in enumerate(features)}
    found = row("Of the physics of a loop (", metrics)
    assert found["result"].startswith(f"closer than DL in {wins} of {len(features)}, {ties} cannot be told apart, "
                                      f"{len(features) - wins - ties} farther: {answer}")
    assert verdicts_of(found) == {{YES: HOLDS, IN_PART: PARTLY, TIE: TIED, NO: FAILS}[answer]}


@pytest.mark.parametrize("value", [None, nan, inf, True, "0.26"])
def test_what_is_no_finite_number_is_not_measured(value):
    found = row("DL of the measured loops", world(favourable) | {"beps.dl.mse": value})
    assert verdicts_of(found) == {UNMEASURED} and "`beps.dl.mse`" in found["result"]


positive = st.floats(1e-6, 1e6)
triples = st.tuples(positive, positive, positive, st.booleans()).map(
    lambda t: over_seeds(*sorted(t[:3])) if t[3] else one(t[0]))


@given(triples, triples)
def test_comparisons_exclude_each_other(a, b):
    """Of a difference one side says yes, the other no, or both that it cannot be told."""
    opposite = {YES: {NO}, NO: {YES, TIE}, TIE: {NO, TIE}}
    assert lower(b, a) in opposite[lower(a, b)] and higher(b, a) in opposite[higher(a, b)]
    assert lower(a, a) != YES and higher(a, a) != YES and near(a, a, ledger.BOUNDS["same"]) != NO
    if min(a.n, b.n) > 1:
        assert lower(a, b) != YES or higher(b, a) in (YES, TIE)


@given(triples, triples, st.floats(0.1, 0.99))
def test_a_smaller_error_never_makes_it_worse(a, b, factor):
    smaller = ledger.Number(*(factor * x for x in (a.median, a.low, a.high)), a.n)
    rank = [NO, TIE, YES].index
    assert rank(lower(smaller, b)) >= rank(lower(a, b))
    assert rank(lower(a, b)) >= rank(lower(a, b, ledger.BOUNDS["half"]))
    assert rank(below(smaller, b.median)) >= rank(below(a, b.median))
    assert rank(at_least(a, b.median)) >= rank(at_least(smaller, b.median))


@pytest.mark.parametrize("answer, expected", [
    (lower(one(0.8), one(1)), YES), (lower(one(0.95), one(1)), TIE), (lower(one(1.2), one(1)), NO),
    (lower(over_seeds(0.93, 0.95, 0.97), one(1)), TIE), (lower(over_seeds(0.8, 0.82, 0.85), one(1)), YES),
    (lower(over_seeds(0.9, 0.95, 1.1), one(1)), TIE),
    (lower(one(0.44), one(1), 0.5), YES), (lower(one(0.49), one(1), 0.5), TIE),
    (higher(one(0.99), one(0.8)), YES), (higher(one(0.95), one(0.9)), TIE), (higher(one(0.7), one(0.9)), NO),
    (higher(over_seeds(0.93, 0.95, 0.97), over_seeds(0.89, 0.9, 0.9)), YES),
    (higher(over_seeds(0.91, 0.95, 0.97), over_seeds(0.89, 0.9, 0.9)), TIE),
    (at_least(one(0.5), 0.5), YES), (at_least(over_seeds(0.4, 0.6, 0.7), 0.5), TIE),
    (below(one(0.5), 0.5), NO), (below(over_seeds(0.4, 0.45, 0.7), 0.5), TIE),
    (near(one(1.09), one(1), 0.1), YES), (near(one(0.89), one(1), 0.1), NO),
    (near(over_seeds(0.8, 1, 1), one(1), 0.1), TIE), (near(one(3), one(3), 0), YES), (near(one(4), one(3), 0), NO),
])
def test_answers(answer, expected):
    assert answer == expected


def test_names_are_those_of_the_reference_run_and_its_sweep():
    stored = set(json.loads((REFERENCE / "metrics.json").read_text()))
    swept = set(json.loads((REFERENCE / "seeds.json").read_text())["numbers"])
    of_sweep = (r"\w+\.control\..*|toy\.paper_vae\.\w+\.active_at_end|twin\..*|sensitivity\.\w+\.spread|"
                r"beps\.vae\.(stability|over_pca_halves)")
    missing = set(NEEDED) - stored - swept
    # Numbers of a network are not kept beside another one: after a change of it cells wait to be run again.
    assert all(re.fullmatch(of_sweep, name) for name in missing), sorted(missing)
    named = {name for check in CHECKS for name in ledger.names(check)}
    papers = {name.removeprefix("paper.") for name in named if name.startswith("paper.")}
    assert papers and papers <= set(PAPER)
    assert {*GROUPS["features"], *GROUPS["concavities"]} == set(UNITS) and set(GROUPS["fractions"]) == set(MECHANISMS)


def test_controls_are_those_that_are_trained():
    """The sweep that comes with the project trains every control that a claim rests on."""
    from workflow.sweep import sweep_cells

    trained = {cell for cell, _ in sweep_cells(ROOT / "workflow/sweep.yml")}
    cells = {tuple(name.split(".")) for name in NEEDED if ".control." in name}
    needed = {f"control.{benchmark}.{model}.{order}" for benchmark, _, model, order, _ in cells}
    assert {cell for cell in needed if not cell.endswith("vae_full.kept")} <= trained and "headline" in trained


def test_numbers_of_another_scan_are_not_handed_on(tmp_path, monkeypatch):
    reference = tmp_path / "data/reference"
    reference.mkdir(parents=True)
    monkeypatch.setattr(ledger, "ROOT", tmp_path)
    spread = {"beps.vae.mse": {"median": 1.0, "min": 1.0, "max": 1.0, "n": 3}}
    laptop = Build(tmp_path / "build", "laptop", 0)
    assert ledger.sweep_numbers(laptop, "abc") == {}
    stored = json.dumps({"scan_sha256": "abc", "numbers": spread})
    (reference / "seeds.json").write_text(stored)
    assert ledger.sweep_numbers(laptop, "abc") == spread
    assert ledger.sweep_numbers(laptop, "other") == {}
    smoke = Build(tmp_path / "build", "smoke", 0)
    assert ledger.sweep_numbers(smoke, "abc") == {}
    (tmp_path / "build/smoke/sweep").mkdir(parents=True)
    (tmp_path / "build/smoke/sweep/sweep.json").write_text(stored)
    assert ledger.sweep_numbers(smoke, "abc") == spread and ledger.sweep_numbers(smoke, "other") == {}
