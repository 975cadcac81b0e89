"""Figures: what is drawn is what was given, its labels, files on disk; the paper's inventory, panel by panel."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

from helpers.figures import comparison, loops, measurement, network, snapshots, toy, training, twin
from helpers.figures.inputs import IMAGE, SCAN, TURNED, Look, ModelOutput, Orientation, Sweep, channels_of
from helpers.figures.maps import lay_out, plot_map, signed_norm
from helpers.figures.spectra import close_loop
from helpers.figures.style import BOUND, TWIN_LABEL, page_figure, panel_letters, plain, plain_log_ticks, save_figure
from helpers.loops import UNITS
from helpers.paper import CAPTIONS
from helpers.profiles import PROFILES
from helpers.scans.scan import Scan

ROWS, COLUMNS, STEPS = 12, 12, 16
PIXELS = ROWS * COLUMNS
RNG = np.random.default_rng(0)
VOLTAGE = np.concatenate([np.linspace(16, -16, STEPS // 2), np.linspace(-12, 12, STEPS // 2)])
MAPS = RNG.normal(size=(5, ROWS, COLUMNS))
LOST = np.arange(PIXELS) % 17 == 3  # unusable pixels


def scan(source: str = "measured", **changes) -> Scan:
    """A small scan of noise, which is turned."""
    cube = RNG.normal(size=(ROWS, COLUMNS, STEPS))
    return replace(Scan(cube * 1e-4, 1325 + cube, VOLTAGE, source, "", "", 2.0, {}, turned=True), **changes)


def model(name: str, data: np.ndarray, **options) -> ModelOutput:
    """A model that is off by noise, with errors in a known order."""
    return ModelOutput(name, MAPS, data + 0.1 * RNG.normal(size=data.shape), np.linspace(0.1, 0.9, PIXELS), **options)


def sweep(name: str, maps: np.ndarray = MAPS, channels: int = 2) -> Sweep:
    values = np.linspace(-2, 2, 20) * np.ones((len(maps), 1))
    return Sweep(name, maps, values, RNG.normal(size=(len(maps), 20, STEPS, channels)))


def raw_loop() -> measurement.RawLoop:
    spectra = RNG.normal(size=(STEPS, 30)) + 1j * RNG.normal(size=(STEPS, 30))
    loop = RNG.normal(size=STEPS)
    return measurement.RawLoop(np.linspace(1300, 1350, 30), spectra, spectra, VOLTAGE, loop, loop)


def figures_of(made: Scan, maps: np.ndarray = MAPS) -> dict[str, Figure]:
    """Every figure that is labelled by the source of the scan."""
    source, look, data = made.source, Look.of(made), RNG.normal(size=(PIXELS, STEPS, len(made.channels)))
    mse = np.where(made.usable, np.linspace(0.1, 0.9, PIXELS), np.nan)
    dl, vae = (ModelOutput(name, maps, data + 0.1 * RNG.normal(size=data.shape), mse)
               for name in ("DL", "companion's β-VAE"))
    dl_sweep, vae_sweep = (sweep(name, maps, data.shape[-1]) for name in ("DL", "companion's β-VAE"))
    errors = comparison.Errors("BEPS", np.geomspace(0.1, 0.01, 6), {"DL": (5, 0.03)})
    linear = comparison.BaselineErrors("Toy", ["SVD", "PCA"], {3: np.array([0.2, 0.1])}, {3: np.ones(2, bool)})
    history = {"mse": np.ones(4), "kl": np.ones(4), "beta": np.array([0, 0.1, 0.1, 0.2])}
    every = dict.fromkeys(("pca", "dl", "vae"), maps[0])
    latents = np.resize(maps, (16, *maps.shape[1:]))
    return {
        "fig4": loops.figure_4(VOLTAGE, data, dl, vae, replace(dl, name="PCA"), look),
        "fig5": loops.figure_5(VOLTAGE, dl_sweep, vae_sweep, look),
        "figS5": loops.figure_s5(VOLTAGE, dl_sweep, look),
        "figS1": measurement.figure_s1(VOLTAGE, raw_loop(), source=source),
        "figS6": measurement.figure_s6(made.piezoresponse, VOLTAGE, look, resonance_kHz=made.resonance_kHz),
        "figS7": loops.figure_s7({"film": (latents, np.linspace(2, 0, 16), look)}),
        "figS8": loops.figure_s8(VOLTAGE, data, dl, vae, look),
        "figS9": comparison.figure_s9(errors, errors, source=source),
        "figS10": loops.figure_s5(VOLTAGE, sweep("companion's β-VAE", maps[:1], data.shape[-1]), look),
        "every pixel": loops.figure_every_pixel(maps, list("abcde"), every, look),
        "training": training.training_curves(history, source=source, snapshot_epochs=np.arange(4), active=np.arange(4)),
        "linear models": comparison.figure_baselines(linear, linear, source=source),
    }


def other_figures() -> dict[str, Figure]:
    """Those of the toy, and those of the simulated measurement, whatever the scan."""
    time, data = np.linspace(-1, 1, STEPS), RNG.normal(size=(PIXELS, STEPS))
    grid, mse = np.linspace(0.1, 1, 5), {"DL": RNG.random(400), "companion's β-VAE": RNG.random(400)}
    return {
        "fig1": toy.figure_1(time, RNG.normal(size=(3, 5, STEPS)), grid, RNG.random((9, 7, 3))),
        "fig2": toy.figure_2(time, data, model("DL", data), model("companion's β-VAE", data), RNG.random((9, 7, 3))),
        "figS3": toy.figure_s3(grid, {"coded at its own λ": grid, "coded at λ = 1": (grid - 0.5) ** 2}, 0.57, 0.109),
        "figS4": toy.figure_s4(RNG.random((400, 3)), mse, 0.109),
        "figS2": measurement.figure_s2(raw_loop()),
    }


@pytest.fixture(scope="module")
def twin_figures() -> dict[str, Figure]:
    return figures_of(scan("twin")) | other_figures()


def labelled(drawn: dict[str, Figure]) -> set[str]:
    return {name for name, figure in drawn.items() if any(text.get_text() == TWIN_LABEL for text in figure.texts)}


def test_what_is_drawn_from_simulated_loops_says_so_and_nothing_else(twin_figures):
    assert labelled(twin_figures) == set(twin_figures) - {"fig1", "fig2", "figS3", "figS4"}
    assert labelled(figures_of(scan("measured"))) == set()
    with pytest.raises(ValueError, match="expected one of"):
        figures_of(scan("guessed"))


@pytest.mark.parametrize(("shape", "channels", "fig4"), [
    ((8, 18), 1, "abcdefklmnoptu"), ((18, 8), 2, "abcdefhijklmnopqrstu")])
def test_any_grid_one_channel_and_unusable_pixels_are_drawn(shape, channels, fig4):
    maps = np.where(LOST, np.nan, RNG.normal(size=(5, PIXELS))).reshape(5, *shape)
    cube = RNG.normal(size=(*shape, STEPS))
    own = scan(piezoresponse=cube, resonance_kHz=300 + cube if channels > 1 else None, size_um=float("nan"),
               turned=False, unusable=LOST.reshape(shape))
    drawn = figures_of(own, maps) | {
        "topography": measurement.figure_s6(cube, VOLTAGE, Look.of(own), topography=RNG.normal(size=(30, 20))),
        "compared": twin.compare_scans(own, scan("twin")),
        "cleaning": measurement.cleaning_map(np.ones(shape, int), Look.of(own)),
    }
    assert ["".join(panel_letters(drawn[name])) for name in ("fig4", "figS8", "compared")] == [
        fig4, "abcd"[:2 * channels], "abcdefghijkl"[:6 * channels]]
    for name, figure in drawn.items():
        figure.canvas.draw()
        assert not [ax for ax in figure.axes if ax.axison and not ax.has_data()], name
        maps = [ax for ax in figure.axes if ax.images]
        grey = [ax for ax in maps if len(ax.images) == 2]
        of_scan = [ax for ax in maps if ax.images[0].get_array().shape == shape]
        assert (len(grey) == len(of_scan) > 0) or not maps, name
        for ax in grey:
            shown, below = (image.get_array().mask for image in ax.images)
            np.testing.assert_array_equal(shown, ~below)
            assert shown.sum() == LOST.sum()


def test_unusable_pixels_are_no_example_and_no_part_of_a_distribution():
    mse = np.where(LOST, np.nan, np.linspace(0.1, 0.9, PIXELS))
    kept = np.flatnonzero(~LOST)
    chosen = ModelOutput("DL", MAPS, np.zeros((PIXELS, STEPS)), mse).best_median_worst()
    assert list(chosen.values()) == [kept[0], kept[len(kept) // 2], kept[-1]]
    shuffled = ModelOutput("DL", MAPS, np.zeros((5, STEPS)), np.array([0.5, 0.1, 0.9, 0.3, 0.7]))
    assert shuffled.best_median_worst() == {"best\nMSE 0.1": 1, "median\nMSE 0.5": 0, "worst\nMSE 0.9": 2}
    data = np.zeros((PIXELS, STEPS, 1))
    wrong = np.where(LOST[:, None, None], 1e6, 1.0) * RNG.normal(size=data.shape)
    models = (ModelOutput(name, MAPS, wrong, mse) for name in ("DL", "companion's β-VAE"))
    drawn = loops.figure_s8(VOLTAGE, data, *models, Look.of(scan("twin")))
    assert drawn.axes[0].get_ylim()[1] < 10


@pytest.mark.parametrize(("facts", "angle", "size"), [
    ({}, 29.54, 2.0), ({"piezoresponse": np.ones((12, 10, 4))}, 0.0, 2.0), ({"turned": False}, 0.0, 2.0),
    ({"size_um": float("nan")}, 29.54, None)])
def test_only_the_published_square_scan_is_turned(facts, angle, size):
    orientation = Look.of(scan(**facts)).orientation
    assert (orientation.angle_deg, orientation.size_um) == (angle, size)


@pytest.mark.parametrize(("size_um", "label", "pixels"), [
    (2.0, "500 nm", 3), (0.3, "100 nm", 4), (30.0, "10 µm", 4), (1.0, "200 nm", 2.4)])
def test_the_scale_bar_is_a_round_length_of_the_width(size_um, label, pixels):
    ax = plot_map(Figure().subplots(), np.zeros((5, 12)), Orientation(0, 0, size_um))
    bar, = ax.artists
    assert bar.txt_label.get_text() == label
    assert bar.size_bar.get_children()[0].get_width() == pytest.approx(pixels)


@pytest.mark.parametrize(("size", "unit"), [
    (1e-4, "10⁻⁴ arb. u."), (3.0, "arb. u."), (40.0, "arb. u."), (2e5, "10⁵ arb. u.")])
def test_axes_count_in_the_size_of_the_loops(size, unit):
    channel, = channels_of(np.full((2, 2, 5), size))
    assert channel.unit == unit and 0.1 <= size * channel.scale < 100
    assert [c.unit for c in channels_of(np.ones((2, 2, 5)), np.full((2, 2, 5), 1.2))] == ["arb. u.", "s.d."]


def test_axes_and_colour_bars_name_quantity_and_unit_and_channels_that_are_not_there_are_named(twin_figures):
    labels = [ax.get_ylabel() for name in ("figS8", "figS9") for ax in twin_figures[name].axes]
    assert all("(s.d." in label for label in labels if label)
    labels = {ax.get_ylabel() for ax in twin_figures["fig5"].axes if ax.lines}
    assert labels == {"Piezoresponse\n(10⁻⁴ arb. u.)", "Δ Resonance\n(kHz)"}
    bars = [bar for ax in twin_figures["fig5"].axes for bar in ax.child_axes]
    assert [bar.get_xlabel() for bar in bars] == ["coefficient"] * 3 + ["posterior mean"] * 3
    data = RNG.normal(size=(PIXELS, STEPS, 2))
    vae = ModelOutput("companion's β-VAE", MAPS[:2], data, np.linspace(0, 1, PIXELS))
    figure = loops.figure_4(VOLTAGE, data, model("DL", data), vae, model("PCA", data), Look.of(scan("twin")))
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts.count("no further\nactive channel") == 1


def test_compared_scans_name_their_source():
    figure = twin.compare_scans(scan(), scan("twin"))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert sum("measured" in title for title in titles) == 6 == sum("simulated (twin)" in title for title in titles)
    for block in figure.subfigs:
        key, = block.legends
        assert [line.get_color() for line in key.get_lines()] == [line.get_color() for line in block.axes[0].lines]


@pytest.mark.parametrize("name", ["figS4", "figS9"])
def test_legends_lie_beside_the_panels(twin_figures, name):
    twin_figures[name].draw_without_rendering()
    legend, = (legend.get_window_extent() for legend in twin_figures[name].legends)
    assert not [ax for ax in twin_figures[name].axes if ax.get_window_extent().overlaps(legend)]


def test_error_maps_share_one_scale_generated_loops_one_range_and_loops_are_closed(twin_figures):
    limits = {ax.images[0].get_clim() for ax in twin_figures["fig4"].axes
              if any(f"{{{letter}}}" in ax.get_title(loc="left") for letter in "tu")}
    assert len(limits) == 1
    axes = [ax for ax in twin_figures["fig5"].axes if ax.lines]
    for label in ("Piezoresponse", "Δ Resonance"):
        assert len({ax.get_ylim() for ax in axes if ax.get_ylabel().startswith(label)}) == 1
    for ax in axes:
        half = len(ax.lines) // 2
        for falling, rising in zip(ax.lines[:half], ax.lines[half:], strict=True):
            assert (falling.get_linestyle(), rising.get_linestyle()) == ("-", "--")
            for down, up in zip(falling.get_data(), rising.get_data(), strict=True):
                assert (down[0], down[-1]) == (up[-1], up[0])
    assert close_loop(VOLTAGE).shape == (STEPS + 1,)


def test_signed_scales_are_symmetric_and_small_errors_powers_of_ten():
    norm = signed_norm(np.linspace(-1, 7, 1000))
    assert isinstance(norm, CenteredNorm)
    assert (norm(0.0), norm(-norm.halfrange)) == pytest.approx((0.5, 0.0))
    assert norm.halfrange == pytest.approx(6.92, abs=0.01)
    assert [plain(value) for value in (0.0039, 0.00038, 6.73e-5)] == ["0.0039", "0.00038", r"$6.7\times10^{-5}$"]


@pytest.mark.parametrize(("norm", "ends"), [
    (Normalize(-0.5, 0.5), "both"), (Normalize(-1, 0.5), "max"), (Normalize(-1, 1), "neither")])
def test_a_colour_bar_says_that_its_scale_clips(norm, ends):
    values = np.linspace(-1, 1, 144).reshape(12, 12)
    ax = plot_map(Figure().subplots(), values, SCAN, label="x", norm=norm)
    assert ax.images[0].colorbar.extend == ends


def test_turned_bands_stand_upright_and_others_are_untouched():
    rows, columns = np.mgrid[:60, :60]
    along = np.deg2rad(29.54)
    bands = np.sin((columns * np.cos(along) + rows * np.sin(along)) / 3)
    upright = lay_out(bands, TURNED)[15:-15, 15:-15]
    assert np.isfinite(upright).all()
    assert upright.std(axis=0).mean() < 0.1 * upright.std(axis=1).mean()
    assert lay_out(bands, SCAN) is lay_out(bands, IMAGE) is bands
    classes = lay_out(3.0 * (bands > 0), TURNED, order=0)
    assert set(np.unique(classes[np.isfinite(classes)])) == {0, 3}  # no class in between


def test_maps_of_a_training_stand_in_rows_of_equal_length_with_the_snapshot_of_the_other_figures(monkeypatch):
    count, times, size = 11, 12, np.where(np.arange(12), 1, 9)[:, None, None]
    stored = {f"snapshot_{name}": np.ones(times) for name in ("beta", "mse")} | {
        "snapshot_epochs": np.arange(times), "snapshot_kl": np.ones((times, count)), "order": np.arange(count),
        "snapshot_embeddings": size * RNG.normal(size=(1, 36, count)), "chosen": np.array(5)}
    drawn = []
    monkeypatch.setattr(snapshots, "display", drawn.append)
    snapshots.show_training(snapshots.Snapshots.of_picture((6, 6), stored))
    rows = drawn[0].subfigs[0].subfigs
    assert [row.get_suptitle().split(",")[0] for row in rows] == [f"epoch {n}" for n in (0, 4, 5, 7, 11)]
    assert ["clipped" in row.get_suptitle() for row in rows] == [True] + 4 * [False]
    assert [sum(bool(ax.images) for ax in row.axes) for row in rows] == [count] * 5
    assert {ax.get_gridspec().get_geometry() for row in rows for ax in row.axes} == {(2, 6)}


def layer(kind: str, name: str):
    """Stand-in for a Keras layer."""
    return type(kind, (), {"name": name, "units": 32, "steps": 16, "forward_layer": SimpleNamespace(units=32),
                           "output": SimpleNamespace(shape=(None, 25, 64))})()


@pytest.mark.parametrize("linear", [False, True])
def test_network_schematic_prints_the_sizes_ends_in_the_shape_of_the_input_and_names_what_is_drawn(linear):
    stages = network.network_stages([layer("Bidirectional", "bilstm1"), layer("Add", "add2"), layer("Dense", "mean"),
                                     layer("InputLayer", "latents"), layer("Branches", "branches")])
    assert [stage.lines for stage in stages] == [("BiLSTM", "32 units"), ("Σₖ gₖ(zₖ)", "2 × 32 units", "a channel")]
    assert [stage.skip for stage in stages] == [True, False]
    figure = network.figure_3(stages, stages, n_latents=16, n_parameters=1234, paper_parameters=5, linear_path=linear)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("25 × 64") == 4 + 2  # each output, too
    paper = PROFILES["paper"].paper_network
    assert texts.count(f"{paper.blocks} blocks of\n2 × BiLSTM\n{paper.units} units") == 2
    assert texts.count("output") == 2 and sum("1,234 parameters" in text for text in texts) == 1
    assert any("Dashed" in text for text in texts) == linear


def test_every_linear_model_has_its_marker_and_a_ring_where_its_fit_ended():
    names, mse = ["SVD", "PCA", "DL, lasso", "k-means"], np.array([0.2, 0.1, 0.3, 0.4])
    errors = comparison.BaselineErrors("Toy", names, {3: mse, 16: mse / 10},
                                       {3: np.array([True, True, False, True]), 16: np.ones(4, bool)})
    ax = comparison.plot_baselines(page_figure(2.0).subplots(), errors)
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    markers = [c.get_offsets() for c in ax.collections if len(c.get_offsets()) == len(names)]
    np.testing.assert_allclose(markers, [np.c_[mse, range(4)], np.c_[mse / 10, range(4)]])
    assert [line.get_xdata()[0] for line in ax.lines if line.get_color() == BOUND] == [0.1, 0.01]
    rings = [c.get_offsets() for c in ax.collections if 0 < len(c.get_offsets()) < len(names)]
    np.testing.assert_allclose(np.vstack(rings), [[0.3, 2]])


@pytest.mark.parametrize(("resonance", "drawn"), [(True, 8), (False, 4)])
def test_every_feature_is_drawn_for_the_scan_and_as_an_error_of_each_model(resonance, drawn):
    assert set(comparison.SHOWN_FEATURES) <= set(UNITS)
    measured = {name: RNG.normal(size=(8, 12)) for name in UNITS if resonance or not name.endswith("kHz")}
    models = {"DL": measured, "PCA": {name: values + 0.5 for name, values in measured.items()}}
    figure = comparison.figure_loop_features(measured, models, Look("twin", SCAN, ()))
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) == 3 * drawn
    np.testing.assert_allclose(maps[drawn].images[0].get_array(), 0)
    assert maps[0].get_ylabel() == "Simulated" and maps[drawn].get_ylabel() == "DL\n− simulated"
    figure.canvas.draw()


def test_fractions_of_the_twin_stand_beside_their_predictions_with_their_r2():
    truth = RNG.random((10, 10, 4))
    given = {"truth": truth, "dl_one": np.full(truth.shape, truth.mean((0, 1))), "dl_all": truth}
    figure = twin.figure_fractions(given, {"dl": "DL"}, Look("twin", SCAN, ()))
    assert labelled({"": figure}) and panel_letters(figure) == ["a", "b", "c"]
    titles = [ax.get_title(loc="left").split("\n")[-1] for ax in figure.axes if ax.images]
    assert titles == ["", "DL, R² 0.00", "DL, R² 1.00"] * 4


def simple() -> Figure:
    figure = page_figure(1.5)
    figure.subplots().plot(VOLTAGE, MAPS[:, 0, 0].repeat(4)[:STEPS])
    return figure


def test_saved_files_open_with_their_provenance_the_same_each_time_and_a_failed_one_leaves_nothing(tmp_path):
    provenance, written = {"source": "twin", "seed": "0"}, []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        png, pdf = save_figure(simple(), folder / "figS2", provenance=provenance)
        assert sorted(folder.iterdir()) == [pdf, png]
        written.append((png.read_bytes(), pdf.read_bytes()))
    assert written[0] == written[1] and pdf.read_bytes().startswith(b"%PDF")
    pixels = imread(png)[..., :3]
    assert pixels.shape[1] == 2160
    assert 0.005 < (pixels < 0.9).any(axis=-1).mean() < 0.9
    assert json.loads(Image.open(png).text["Description"]) == provenance
    with pytest.raises(OSError, match=r"could not write .*figS2\.png") as error:
        save_figure(simple(), tmp_path / "missing" / "figS2", provenance={})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "missing").exists()


def test_a_notebook_shows_a_figure_with_a_text_in_its_place():
    drawn = measurement.figure_s2(raw_loop())
    picture, metadata = drawn._repr_png_()
    assert picture.startswith(b"\x89PNG") and "Phase (°) against Frequency (kHz)" in metadata["alt"]
    drawn.alt = "Three panels"
    assert drawn._repr_png_()[1]["alt"] == "Three panels"
    width = int.from_bytes(picture[16:20], "big")
    assert metadata["width"] == width // 2 >= 700  # half as wide on the page: sharp on any screen


@pytest.mark.parametrize(("axis", "limits", "fewest", "most"), [
    ("y", (0.006, 0.012), 5, 20), ("y", (0.0002, 0.5), 9, 20),
    # Labels of a horizontal axis stand side by side.
    ("x", (0.006, 0.012), 5, 5), ("x", (0.001, 0.05), 4, 4), ("x", (1e-4, 1), 5, 5)])
def test_a_logarithmic_axis_has_several_labels_and_room_for_them(axis, limits, fewest, most):
    ax = Figure().subplots()
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": limits[::-1] if axis == "x" else limits})
    one = getattr(ax, f"{axis}axis")
    plain_log_ticks(one)
    assert fewest <= sum(limits[0] <= tick <= limits[1] for tick in one.get_majorticklocs()) <= most


# What the letters of each figure hold; a map has a scale bar.
FIGURES = {
    "fig1": {"abc": "curves", "d": "picture"},  # spectra along R, G and B; the painting
    # Dictionary: maps, best, median and worst; β-VAE the same; errors along the spectrum.
    "fig2": {"abc": "picture", "def": "curves", "ghi": "picture", "jkl": "curves", "mn": "bands"},
    "fig3": {},  # one drawing
    # Dictionary: maps, three piezoresponse loops, three of the resonance; β-VAE the same; errors.
    "fig4": {"abc": "map", "def": "loops", "hij": "loops",
             "klm": "map", "nop": "loops", "qrs": "loops", "tu": "map"},
    "fig5": {"abc": "map", "def": "map"},  # each with its generated loops
    "figS1": {"ab": "curves", "c": "mesh"},  # drive, reading on and off field, spectra over the steps
    "figS2": {"abc": "curves"},  # amplitude, phase, loop
    "figS3": {},  # one curve
    "figS4": {"abc": "curves", "d": "bars"},  # error along each colour, its distribution
    "figS5": {"abcde": "map"},  # all five atoms
    "figS6": {"ab": "map"},  # observables, after the topography where there is one
    "figS7": {"abcdefghijklmnop": "map"},  # all sixteen latents
    "figS8": {"abcd": "bands"},  # piezoresponse, resonance, on either branch
    "figS9": {"ab": "curves"},  # toy, scan
    "figS10": {"a": "map"},  # at least one active channel
}
TABLES = {"table1": ("Reconstruction quality (MSE, s.d.²)", "Ordinal", "Nonlinear", "Training time",
                     "Inference time", "Influence of hyperparameters")}
# How many channels a movie shows at least: atoms, latents, active channels.
MOVIES = {"movieS1": 3, "movieS2": 16, "movieS3": 1, "movieS4": 5, "movieS5": 16, "movieS6": 1}
INVENTORY = {*FIGURES, *TABLES, *MOVIES}


def holds(ax, kind: str) -> bool:
    """Whether a panel holds what its letter promises."""
    closed = [line.get_xdata()[0] == line.get_xdata()[-1] for line in ax.lines if len(line.get_xdata())]
    return bool({
        "curves": ax.lines, "loops": closed and all(closed), "picture": ax.images, "bars": ax.patches,
        "map": ax.images and ax.artists, "mesh": ax.collections, "bands": len(ax.collections) >= 2,
    }[kind])


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "fig3"])
def test_every_panel_holds_what_the_paper_shows_there(twin_figures, name):
    assert set(CAPTIONS) == INVENTORY
    panels = {ax.get_title(loc="left").partition(r"\mathbf{")[2][:1]: ax for ax in twin_figures[name].axes}
    kinds = {letter: kind for letters, kind in FIGURES[name].items() for letter in letters}
    assert set(panels) - {""} == set(kinds)
    assert [letter for letter, kind in kinds.items() if not holds(panels[letter], kind)] == []
