import errno
import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from helpers.paths import atomic
from helpers.profiles import PROFILES, get_profile
from helpers.record import load_arrays, save_arrays, start
from helpers.tables import as_markdown, number


def opened(tmp_path, **changes):
    return start("1_toy_rgb_benchmark", **{"profile": "smoke", "seed": 0, "build": str(tmp_path), **changes})


def test_a_record_keeps_numbers_figures_time_and_memory(tmp_path):
    record = opened(tmp_path)
    record.metric("a", np.float32(0.5))
    record.metric("b", float("nan"))
    record.figure(Figure(), "fig1", "a–d", "toy")
    record.finish()
    stored = json.loads((tmp_path / "smoke/seed0/results/1_toy_rgb_benchmark.json").read_text())
    assert stored["metrics"] == {"a": 0.5, "b": None}
    assert stored["manifest"][0]["file"] == "figures/fig1.png"
    assert stored["seconds"] > 0 and stored["peak_memory_GiB"] > 0.01


@pytest.mark.parametrize(("changes", "message"), [
    ({"profile": "huge"}, "profile is 'huge': expected one of smoke, laptop, paper"),
    ({"seed": -1}, "seed is -1: expected a whole number"),
    ({"seed": "x"}, "seed is 'x'"),
])
def test_unknown_values_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, **changes)


def test_a_build_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(PermissionError, match="cannot write to the build folder .*taken"):
        opened(tmp_path, build=str(tmp_path / "taken"))


def test_a_missing_result_names_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the notebooks in order"):
        load_arrays(tmp_path / "toy.npz")


def test_arrays_come_back_and_objects_are_never_unpickled(tmp_path):
    save_arrays(tmp_path / "a.npz", x=np.arange(3))
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.npz")["x"], [0, 1, 2])
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "b.npz")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("good")
    with pytest.raises(OSError, match="could not write .*a.txt .*No space left"), atomic(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "good" and list(tmp_path.iterdir()) == [path]


def test_every_profile_has_at_least_24_snapshots():
    for name in PROFILES:
        profile = get_profile(name)
        for training in (profile.toy_training, profile.beps_training):
            assert min(training.snapshots, training.epochs) >= 24


def test_table_cells():
    assert [number(x) for x in (None, 3, 0.123456, 20_000)] == ["–", "3", "0.123", "20000"]
    assert as_markdown([{"a": "1", "b": "2"}]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
