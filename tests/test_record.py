import errno
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from helpers.figures.movies import poster, write_movie
from helpers.figures.style import letter_panels, page_figure
from helpers.paper import CAPTIONS
from helpers.paths import atomic, load_arrays, read_json, save_arrays
from helpers.profiles import PROFILES, get_profile
from helpers.record import start


def opened(tmp_path, **changes):
    return start("1_toy_rgb_benchmark", **{"profile": "smoke", "seed": 0, "build": str(tmp_path), **changes})


def panels(letters):
    figure = page_figure(2.0)
    letter_panels(figure.subplots(1, len(letters)), letters)
    return figure


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would show."""
    seen = []
    monkeypatch.setattr("helpers.record.display", seen.append)
    return seen


def test_a_record_keeps_numbers_figures_tables_time_and_memory_and_shows_captions_with_their_source(tmp_path, shown):
    record = opened(tmp_path)
    record.numbers("toy", a=np.float32(0.5), b=float("nan"))
    record.metrics |= {"c": float("inf"), "d": np.float64("nan")}
    record.figure(panels("ab"), "figS4", "twin")
    record.table("table1", [{"": "Ordinal", "paper": "No"}], "toy")
    record.finish()
    figure, caption, table, _ = shown
    texts = CAPTIONS["figS4"]
    assert figure.alt == texts.alt and "| Ordinal | No |" in table.data and caption.data == (
        f'<a id="figS4"></a>**Figure S4 (simulated loops (twin), not a measurement).** {texts.caption}')
    assert read_json(record.build.results / "table1.json") == [{"": "Ordinal", "paper": "No"}]
    stored = read_json(tmp_path / "smoke/seed0/results/1_toy_rgb_benchmark.json")
    assert stored["metrics"] == {"toy.a": 0.5, "toy.b": None, "c": None, "d": None}
    assert stored["manifest"][0] == {
        "id": "figS4", "kind": "figure", "file": "figures/figS4.png", "notebook": "1_toy_rgb_benchmark",
        "panels": ["a", "b"], "source": "twin", "caption": texts.caption, "alt": texts.alt}
    assert stored["manifest"][1]["panels"] == ["Ordinal"] and len(stored["manifest"]) == 2
    assert stored["seconds"] > 0 and stored["peak_memory_GiB"] > 0.01


def test_a_movie_is_a_picture_that_links_to_its_file(tmp_path, shown):
    record = opened(tmp_path)
    path = record.build.movies / "s1.mp4"
    frames = (bytes([shade] * (1280 * 720 * 4)) for shade in (0, 250, 250, 250, 0))
    write_movie(path, frames, 5)
    record.movie("movieS1", path, poster(path), ["DL 1", "DL 2"], "toy")
    html, caption = shown
    assert '<a href="../movies/s1.mp4"><img alt="' + CAPTIONS["movieS1"].alt in html.data
    picture = Image.open(BytesIO(b64decode(re.search("base64,([^\"]+)", html.data)[1])))
    assert picture.size == (640, 360) and picture.convert("L").getpixel((9, 9)) > 200
    assert "Movie S1 (toy spectra)" in caption.data
    assert record.manifest[0]["panels"] == ["DL 1", "DL 2"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"profile": "huge"}, "profile is 'huge': expected one of smoke, laptop, paper"),
    ({"seed": -1}, "seed is -1: expected a whole number"),
    ({"seed": "x"}, "seed is 'x'"),
    ({"seed": True}, "seed is True"),
    ({"seed": 10**11}, "seed is 100000000000: expected a whole number from 0 to 4294967295"),
])
def test_unknown_values_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, **changes)


def test_a_build_folder_that_cannot_be_written_is_named_and_a_missing_result_names_the_remedy(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(PermissionError, match="cannot write to the build folder .*taken"):
        opened(tmp_path, build=str(tmp_path / "taken"))
    with pytest.raises(FileNotFoundError, match="run the notebooks in order"):
        load_arrays(tmp_path / "toy.npz")


def test_arrays_come_back_objects_are_never_unpickled_and_a_failed_write_leaves_what_was_there(tmp_path):
    save_arrays(tmp_path / "a.npz", x=np.arange(3))
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.npz")["x"], [0, 1, 2])
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "b.npz")
    path = tmp_path / "here/a.txt"
    path.parent.mkdir()
    path.write_text("good")
    with pytest.raises(OSError, match="could not write .*a.txt .*No space left"), atomic(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "good" and list(path.parent.iterdir()) == [path]


def test_every_profile_has_at_least_24_snapshots():
    for profile in map(get_profile, PROFILES):
        assert all(min(t.snapshots, t.epochs) >= 24 for t in (profile.toy_training, profile.beps_training))
