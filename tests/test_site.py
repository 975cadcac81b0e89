"""The site of a run: its files, the arrays of the explorer, and one page of each kind in a browser."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from browsing import phone, preferring, touch, until
from bs4 import BeautifulSoup
from conftest import ROOT, write_notebook
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from sklearn.decomposition import PCA

from docs import explorer
from docs.build import build_site, plain
from docs.explorer import NO_VALUE, drawn_pixels, explorer_data, packed, shades, whole_numbers
from helpers.dictionary import stack_channels, unstack_channels
from helpers.figures import snapshots
from helpers.figures.inputs import SCAN, TURNED, Look, channels_of
from helpers.figures.maps import lay_out
from helpers.figures.snapshots import Snapshots, show_training, training_strip
from helpers.figures.style import TWIN_LABEL
from helpers.paths import load_arrays
from helpers.profiles import get_profile
from helpers.scans.reading import load_scan
from helpers.scans.scan import heldout_blocks, in_physical_units, standardised, training_pixels

LARGEST_SITE_MIB, LARGEST_PAGE_MIB = 30, 8
# One of each kind.
FILES = [f"{name}.html" for name in ("index", "gallery", "movies", "explorer", "ledger", "README", "workflow/README",
                                     "search", "notebooks/3_beta_vae_training", "notebooks/5_paper_and_reproduction")]
MODELS = ("measured", "DL", "PCA", "companion's β-VAE")
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated. Check CHANGES for Sphinx:")  # by the theme and MyST


@pytest.fixture(scope="module")
def site(twin_run):
    return build_site(twin_run).parent


@cache
def parsed(path: Path) -> tuple[BeautifulSoup, set[str]]:
    """A page, and the places in it that can be led to."""
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return page, {part["id"] for part in page.select("[id]")}


@pytest.mark.parametrize("name", FILES)
def test_page_is_light_describes_its_pictures_and_its_links_lead_somewhere(site, name):
    page, _ = parsed(site / name)
    loaded = [part[kind] for kind in ("src", "poster") for part in page.select(f"[{kind}]")]
    loaded += [part["href"] for part in page.select("link[rel~=stylesheet]")]
    for url in [*loaded, *(part["href"] for part in page.select("a[href]"))]:
        if url.startswith(("data:", "http")):
            continue
        address, place = unquote(urlsplit(url).path), unquote(urlsplit(url).fragment)
        target = (site / name).parent / address if address else site / name
        assert target.is_file(), url
        assert not place or target.suffix != ".html" or place in parsed(target)[1], url
    files = {(site / name).parent / unquote(urlsplit(url).path) for url in loaded if url[:5] != "data:"}
    weight = sum(path.stat().st_size for path in {site / name, *files} if path.suffix != ".mp4")
    assert weight / 2**20 <= LARGEST_PAGE_MIB
    assert TWIN_LABEL in (site / name).read_text().lower()
    assert all(picture.get("alt") for picture in page.select("img"))


def test_site_is_small_and_shows_every_entry_with_caption_and_alternative_text(twin_run, site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 2**20 <= LARGEST_SITE_MIB
    pages = ((site / f"{name}.html").read_text() for name in ("gallery", "movies"))
    text = "".join(re.sub(r"<[^>]+>|\s+", " ", page) for page in pages)
    alternatives = [picture["alt"] for picture in parsed(site / "gallery.html")[0].select("img")]
    entries = json.loads((twin_run / "manifest.json").read_text())
    assert len(entries) == 22
    for entry in entries:
        assert re.sub(r"[’']", "'", entry["caption"][:30]) in re.sub(r"[’']|&#39;", "'", text)
        assert entry["kind"] != "figure" or entry["alt"] in alternatives


def test_notebooks_carry_their_formulas_as_mathml_and_no_cell_for_machines(site):
    assert '<math xmlns' in (site / "notebooks/3_beta_vae_training.html").read_text()
    for page in (site / "notebooks").glob("*.html"):
        text = page.read_text()
        assert "$$" not in text and "Injected parameters" not in text and "google.colab" not in text
        assert not re.findall(r"<m\w+[^>]*>\\[^<]*", text), "a command that the formulas do not know"
        assert "| --- |" not in text, "a table that was not read as one"
        assert "colab-badge.svg" not in text


def test_words_of_captions_are_no_marks_a_constant_channel_is_kept_and_shades_keep_holes():
    assert plain("|R| of *a_b* in `x_y*`") == r"\|R\| of \*a\_b\* in `x_y*`"
    constant = whole_numbers(np.full((3, 4, 1), 7.0))
    assert (constant["changes"] == 0).all() and constant["zero"] == [7.0]
    assert shades(np.array([0.5, -0.25, np.nan, 9.0]), 1.0).tolist() == [50, -25, NO_VALUE, 127]


def test_site_of_an_unfinished_run_names_what_is_missing_and_keeps_the_old_one(twin_run, tmp_path):
    run = tmp_path / "build/smoke/seed0"
    (run / "site").mkdir(parents=True)
    for name in ("manifest.json", "metrics.json", "run.json"):
        shutil.copy(twin_run / name, run)
    (run / "site/index.html").write_text("old")
    with pytest.raises(FileNotFoundError, match=r"fig1\.png is not there"):
        build_site(run)
    assert (run / "site/index.html").read_text() == "old"


def test_maps_are_turned_and_cropped_as_in_the_figures_and_uncropped_show_every_pixel():
    row, column = np.indices((60, 60)) / 60
    values = np.sin(5 * row) + column**2
    pixel, drawn = drawn_pixels(values.shape, TURNED), lay_out(values, TURNED)
    ours = np.where(pixel >= 0, values.ravel()[pixel], np.nan)[1::3, 1::3][: drawn.shape[0], : drawn.shape[1]]
    theirs = drawn[: ours.shape[0], : ours.shape[1]]
    both = np.isfinite(ours) & np.isfinite(theirs)
    assert abs(np.array(ours.shape) - drawn.shape).max() <= 1 and both.mean() > 0.9
    assert np.abs(ours - theirs)[both].max() < 0.2
    for shape, orientation in (((20, 31), SCAN), ((30, 30), replace(TURNED, crop=0.0))):
        assert set(range(shape[0] * shape[1])) <= set(drawn_pixels(shape, orientation).ravel().tolist())


@cache
def shown_of(run: Path) -> dict:
    return explorer_data(run, "smoke")


@cache
def expected_loops(run: Path) -> np.ndarray:
    """Loops (models, pixels, steps, channels) in the units of the axes, straight from the results."""
    scan = load_scan(run / "results/scan.h5")
    linear, vae = load_arrays(run / "results/dictionary.npz"), load_arrays(run / "results/vae_beps.npz")
    spectra, scaler = standardised(scan)
    stacked, n = stack_channels(spectra), spectra.shape[-1]
    fitted = training_pixels(scan, heldout_blocks(scan.shape, get_profile("smoke").heldout_every))
    pca = PCA(5, svd_solver="full").fit(stacked[fitted])
    modelled = (unstack_channels(linear["beps_codes"] @ linear["beps_atoms"], n),
                unstack_channels(pca.inverse_transform(pca.transform(stacked)), n), vae["reconstructed"])
    scale = [channel.scale for channel in channels_of(scan.piezoresponse, scan.resonance_kHz)]
    return np.stack([scan.spectra, *(in_physical_units(loops, scaler) for loops in modelled)]) * scale


def unpacked(whole: dict) -> np.ndarray:
    return np.add(whole["zero"], whole["scale"] * np.cumsum(whole["changes"], axis=-2))


def test_loops_of_the_page_are_those_of_the_results(twin_run):
    data, expected = shown_of(twin_run), expected_loops(twin_run)
    assert data["stride"] == 1 and data["models"] == list(MODELS)
    assert (np.abs(unpacked(data["loops"]) - expected) <= 1e-4 * np.ptp(expected, axis=(0, 1, 2))).all()
    error = np.square((expected[0] - expected[2]) / data["deviation"]).mean()
    assert error == pytest.approx(json.loads((twin_run / "metrics.json").read_text())["beps.pca5.mse"])


def test_a_large_scan_is_thinned(twin_run, monkeypatch):
    monkeypatch.setattr(explorer, "MOST_VALUES", 50_000)
    data, shape = explorer_data(twin_run, "smoke"), load_scan(twin_run / "results/scan.h5").shape
    stride, (rows, columns) = data["stride"], data["shape"]
    assert stride > 1 and (rows, columns) == tuple(-(-n // stride) for n in shape)
    pixel = 3 * stride * shape[1] + 2 * stride
    wrong = unpacked(data["loops"])[:, 3 * columns + 2] - expected_loops(twin_run)[:, pixel]
    assert (np.abs(wrong) <= 1e-4 * np.ptp(expected_loops(twin_run), axis=(0, 1, 2))).all()
    assert data["trainings"]["the companion's β-VAE on the loops"]["maps"].shape[2] == rows * columns


def made_snapshots(count: int = 9) -> Snapshots:
    values = np.random.default_rng(0).normal(size=(count, 2, 6, 6))
    return Snapshots(values, np.ones((count, 2)), np.arange(count), np.linspace(1, 0, count), np.ones(count),
                     ("z1", "z2"), Look("twin", SCAN, ()))


@pytest.mark.parametrize("allowed, shown", [(True, ["interact"]), (False, ["PageFigure"])])
def test_a_live_kernel_gets_a_widget_and_papermill_a_picture(monkeypatch, allowed, shown):
    found = []
    shell = SimpleNamespace(get_parent=lambda: {"content": {"allow_stdin": allowed}})
    monkeypatch.setattr(snapshots, "get_ipython", lambda: shell)
    monkeypatch.setattr(snapshots, "display", lambda thing: found.append(type(thing).__name__))
    monkeypatch.setattr(snapshots.ipywidgets, "interact", lambda draw, snapshot: found.append("interact"))
    show_training(made_snapshots())
    assert found == shown


def test_the_widget_draws_the_chosen_snapshot():
    figure = training_strip(made_snapshots(), [4])
    assert "epoch 4" in figure.alt and len([ax for ax in figure.axes if ax.images]) == 2
    assert [ax.get_ylabel() for ax in figure.axes].count("posterior mean") == 1


def show(browser, path: Path) -> None:
    """Open a page, with the logs of earlier ones thrown away, and wait until its plots are drawn."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    until(browser, "return document.readyState == 'complete' && document.body != null")
    if path.name == "explorer.html":
        until(browser, "return document.body.dataset.ready")


# Texts whose contrast (WCAG 2) with what lies behind them is below 4.5, and whether the page is light.
FAINT = """
    document.getAnimations().forEach((change) => change.finish())  // of colours, where the page has just become dark
    const parse = (text) => text.match(/[\\d.]+/g).map(Number)
    const linear = (part) => part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    const css = (part) => getComputedStyle(part)
    const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
      const part = walker.currentNode.parentElement
      const seen = part.checkVisibility() && !part.matches('script, style, .visually-hidden, .headerlink')
      if (!walker.currentNode.data.trim() || !seen) continue
      let ground = part
      while (parse(css(ground).backgroundColor)[3] === 0 && ground.parentElement) ground = ground.parentElement
      const colour = css(part).fill != 'rgb(0, 0, 0)' && part.closest('svg') ? css(part).fill : css(part).color
      const both = [colour, css(ground).backgroundColor].map((colour) => luminance(parse(colour)))
      const [low, high] = both.sort((a, b) => a - b)
      if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(walker.currentNode.data)
    }
    const lines = Array.from(document.querySelectorAll('.line path')).map((line) => luminance(parse(css(line).stroke)))
    const page = luminance(parse(css(document.body).backgroundColor))
    const contrast = lines.map((line) => (Math.max(line, page) + 0.05) / (Math.min(line, page) + 0.05))
    return [page > 0.5, faint, Math.min(3, ...contrast)]"""


@pytest.mark.parametrize("name", FILES)
def test_page_opens_without_errors_and_network_stands_out_in_light_and_dark_and_fits_a_phone(browser, site, name):
    for scheme in ("light", "dark"):
        with preferring(browser, scheme):
            show(browser, site / name)
            assert browser.execute_script(FAINT) == [scheme == "light", [], 3]
    assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("file:", "data:", "blob:", "about:")) for url in urls)
    with phone(browser):
        show(browser, site / name)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def assert_shows(browser, run: Path, row: int, column: int) -> None:
    """The page shows the loops of a pixel: its errors, and its lines, whose height is linear in the values."""
    scan, loops = load_scan(run / "results/scan.h5"), expected_loops(run)
    loops = loops[:, row * scan.shape[1] + column]
    deviation = shown_of(run)["deviation"]
    errors = dict(zip(MODELS[1:], np.square((loops[1:] - loops[0]) / deviation).mean(axis=(1, 2)), strict=True))
    said = browser.execute_script("return document.getElementById('readout').textContent")
    assert re.search(rf"Row {row}, column {column}\b", said)
    shown = {name: float(value) for name, value in re.findall(r"(DL|PCA|companion's β-VAE) ([\d.e−]+)", said)}
    assert shown == {name: pytest.approx(error, rel=1e-2) for name, error in errors.items()}
    for channel in range(loops.shape[-1]):
        lines = browser.find_elements("css selector", f"#loop{channel} .line path")
        paths = [line.get_attribute("d") for line in lines]
        assert len(paths) == len(MODELS)
        heights = np.array([[float(point.split(",")[1]) for point in path[1:].split("L")] for path in paths])
        values = np.concatenate([loops[..., channel], loops[:, :1, channel]], axis=1)
        assert np.corrcoef(heights.ravel(), values.ravel())[0, 1] < -0.999


def click_pixel(browser, run: Path, pixel: int, kind: str = "mouse") -> None:
    """Click or touch the map where a pixel is drawn."""
    cells = shown_of(run)["scan"]["pixel"]
    down, across = (np.argwhere(cells == pixel).mean(axis=0) + 0.5) / cells.shape
    canvas = browser.find_element("id", "map-canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", canvas)
    if kind == "mouse":
        offsets = round((across - 0.5) * box["width"]), round((down - 0.5) * box["height"])
        ActionChains(browser).move_to_element_with_offset(canvas, *offsets).click().perform()
    else:
        touch(browser, (box["x"] + across * box["width"], box["y"] + down * box["height"]))


@pytest.fixture
def page(browser, site):
    """The explorer of the run on the twin."""
    show(browser, site / "explorer.html")
    return browser


def test_click_keys_and_sliders_choose_the_pixel_whose_loops_are_shown(page, twin_run):
    rows, columns = load_scan(twin_run / "results/scan.h5").shape
    click_pixel(page, twin_run, (rows // 3) * columns + columns // 4)
    assert_shows(page, twin_run, rows // 3, columns // 4)
    page.find_element("id", "map").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert_shows(page, twin_run, rows // 3 - 1, columns // 4 + 2)
    page.find_element("id", "row").send_keys(Keys.HOME)
    page.find_element("id", "column").send_keys(Keys.ARROW_LEFT)
    assert_shows(page, twin_run, 0, columns // 4 + 1)


@pytest.mark.all
def test_a_scan_with_holes_and_one_channel_says_where_nothing_was_measured(browser, own_run, site, tmp_path):
    shutil.copytree(site / "_static", tmp_path / "_static")
    shutil.copy(site / "explorer.html", tmp_path)
    data = shown_of(own_run)
    (tmp_path / "loops.js").write_text(f"const EXPLORER = {json.dumps(packed(data))}")
    columns = load_scan(own_run / "results/scan.h5").shape[1]
    hole = 3 * columns + 4
    assert len(data["channels"]) == 1 and np.isnan(data["maps"][:, hole]).all() and not data["usable"][hole]
    show(browser, tmp_path / "explorer.html")
    click_pixel(browser, own_run, 12 * columns + 7)
    assert_shows(browser, own_run, 12, 7)
    click_pixel(browser, own_run, hole)
    assert "No usable loop" in browser.find_element("id", "readout").text
    assert not browser.find_elements("css selector", "#loop0 .line")


def test_the_tab_key_meets_named_controls_alone_and_a_box_hides_its_line_in_every_plot(page):
    names = page.execute_script("""
        return Array.from(document.querySelectorAll('.explorer :is(select, input, [tabindex]:not([tabindex="-1"]))'))
          .map((part) => part.ariaLabel ?? part.labels[0].firstChild.data ?? part.labels[0].innerText)""")
    assert [name.strip() for name in names] == [
        "Map", "Map of the scan. Arrow keys move the chosen pixel.", "Row", "Column", *MODELS, "Channel", "Its value",
        "Training of", "Snapshot of the training"]
    lines = """return [0, 1].map((c) => Array.from(document.querySelectorAll(`#loop${c} .line`))
                                        .map((line) => line.dataset.model))"""
    assert page.execute_script(lines) == [list(MODELS)] * 2
    page.find_element("css selector", "#lines input").click()
    assert page.execute_script(lines) == [list(MODELS[1:])] * 2


def test_a_finger_chooses_a_pixel_moves_a_slider_and_scrolls(browser, twin_run, site):
    value = "return Number(document.getElementById(arguments[0]).value)"
    with phone(browser):
        show(browser, site / "explorer.html")
        rows, columns = load_scan(twin_run / "results/scan.h5").shape
        click_pixel(browser, twin_run, 5 * columns + 6, "finger")
        until(browser, "return document.getElementById('readout').textContent.includes('Row 5, column 6')")
        before = browser.execute_script("return scrollY")
        touch(browser, *((200, 600 - 30 * step) for step in range(12)))
        until(browser, "return scrollY > arguments[0] + 50", before)
        # A flick goes on after the finger has left, and would carry the slider away from where it is found.
        until(browser, "const last = window.lastY; window.lastY = scrollY; return last === scrollY")
        x, y, width = browser.execute_script("""
            const slider = document.getElementById('row')
            slider.scrollIntoView({block: 'center', behavior: 'instant'})
            const box = slider.getBoundingClientRect()
            return [box.x, box.y + box.height / 2, box.width]""")
        # Beside the middle of the handle, which stands at a share 5 / (rows - 1) of the slider.
        start = x + width * 5 / (rows - 1)
        touch(browser, *((start + step, y + 12) for step in range(0, 121, 20)))
        until(browser, f"{value} > 5", "row")


COLOURS = """
    const canvas = document.getElementById(arguments[0])
    return Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""


def assert_painted(browser, canvas: str, layout: dict, values: np.ndarray, half: float, data: dict) -> None:
    """A map shows values by pixel, to within two of 256 shades."""
    painted = np.array(browser.execute_script(COLOURS, canvas)).reshape(*layout["pixel"].shape, 4)
    assert ((painted[..., 3] == 255) == (layout["pixel"] >= 0)).all()
    palette = np.array([[int(colour[i:i + 2], 16) for i in (1, 3, 5)] for colour in data["palette"]])
    inside = layout["pixel"] >= 0
    shade = np.abs(painted[inside][:, None, :3] - palette).sum(axis=2).argmin(axis=1)
    wanted = np.clip(np.floor(128 * (1 + values[layout["pixel"][inside]] / half)), 0, 255)
    assert np.abs(shade - wanted).max() <= 2


def test_map_and_sweep_follow_the_channel_chosen_at_either_place_and_a_slider_the_training(page, twin_run):
    data = shown_of(twin_run)
    choose = """const box = document.getElementById(arguments[0])
                box.value = arguments[1]
                box.dispatchEvent(new Event('change'))"""
    for place, chosen in (("channel", 1), ("embedding", len(data["names"]) - 6)):
        page.execute_script(choose, place, chosen)
        assert page.execute_script("return [embedding.value, channel.value]") == [str(chosen)] * 2
        assert_painted(page, "map-canvas", data["scan"], data["maps"][chosen], data["halves"][chosen], data)
    value, path = "return document.getElementById('swept').textContent", "#generated0 .line path"
    before = page.find_element("css selector", path).get_attribute("d")
    page.execute_script("sweep.value = 3; sweep.dispatchEvent(new Event('input'))")
    assert page.execute_script(value) == f"{data['names'][chosen]} = {data['swept'][chosen, 3]:.3g}".replace("-", "−")
    after = page.find_element("css selector", path).get_attribute("d")
    heights = [float(point.split(",")[1]) for point in after[1:].split("L")][:-1]
    assert after != before
    assert np.corrcoef(heights, unpacked(data["generated"])[chosen, 3, :, 0])[0, 1] < -0.999
    for name, training in data["trainings"].items():
        page.find_element("id", "training-of").send_keys(name)
        for index, key in ((-1, Keys.END), (0, Keys.HOME)):
            page.find_element("id", "training").send_keys(key)
            assert page.find_element("id", "trained").text == training["titles"][index]
            assert_painted(page, "training0", training["scan"], training["maps"][index, 0].astype(float), 100, data)


def test_movies_play_with_their_controls_below_the_picture(browser, site):
    for screen in (preferring(browser, "light"), phone(browser)):
        with screen:
            show(browser, site / "movies.html")
            seconds, room = until(browser, """
                const movies = Array.from(document.querySelectorAll('video'))
                return movies.every((movie) => movie.videoWidth) && [movies.map((movie) => movie.duration), movies.map(
                  (movie) => movie.clientHeight - movie.clientWidth * movie.videoHeight / movie.videoWidth)]""")
        assert len(seconds) == 6 and min(seconds) > 0 and min(room) >= 70


CELL = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from helpers.figures.snapshots import show_training
from test_site import made_snapshots
show_training(made_snapshots())
"""
READY = "return window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status == 'idle'"
PICTURE = """
    const pictures = document.querySelectorAll('.jp-OutputArea img')
    return pictures.length == 1 && pictures[0].naturalWidth > 0 && pictures[0].src != arguments[0] && pictures[0].src"""


@pytest.fixture
def lab(tmp_path):
    """Address of a notebook with one cell, in JupyterLab with settings of its own."""
    pytest.importorskip("jupyterlab")
    work = tmp_path / "work"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    work.mkdir()
    write_notebook(work / "slider.ipynb", CELL)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={work}",
               "--LabApp.expose_app_in_browser=True", "--LabApp.news_url="]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, env={**os.environ, "HOME": str(tmp_path)}, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}/lab/tree/slider.ipynb"
    server.terminate()
    server.wait(60)


@pytest.mark.all
def test_keys_move_the_slider_at_a_live_kernel_and_change_the_maps(browser, lab):
    for _ in range(60):
        try:
            browser.get(lab)
            break
        except WebDriverException:  # not served yet
            time.sleep(1)
    until(browser, READY, seconds=60)
    browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
    last = until(browser, PICTURE, "", seconds=60)
    handle, readout = (browser.find_element("css selector", f".jp-OutputArea {part}")
                       for part in (".noUi-handle", ".widget-readout"))
    assert readout.text == "epoch 8"
    handle.send_keys(Keys.ARROW_LEFT)
    until(browser, PICTURE, last)
    assert readout.text == "epoch 7"
    assert not browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", readout)
