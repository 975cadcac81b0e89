import hashlib
import io
import json
import os
import shutil
import socket
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pooch
import pytest
import urllib3
from fake_servers import QUOTA_PAGE, RECORD, always, circle, cut, instead, rangeless, serving, silent, status, trickle
from gdown.exceptions import FileURLRetrievalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.scans import archives, fetch
from helpers.scans.choice import Choice
from helpers.scans.cleaning import Cleaning
from helpers.scans.formats import DataError
from helpers.scans.scan import save_scan, simulated_scan

SHAPE = (20, 20)
ANY_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def loops(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("loops") / "loops.h5"
    save_scan(simulated_scan(3, SHAPE), path)
    return path.read_bytes()


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        point_at(server.address, monkeypatch)
        yield server


@pytest.fixture
def stocked(server, loops):
    """A record of one file, which is shared on Drive too."""
    server.record({"b.h5": loops})
    server.files["/uc"] = loops
    return server


@pytest.fixture
def offline(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    point_at(f"http://127.0.0.1:{port}", monkeypatch)


def point_at(address, monkeypatch):
    monkeypatch.setattr(fetch, "ZENODO", address)
    monkeypatch.setattr(fetch, "DRIVE", address)
    monkeypatch.setattr(fetch, "ASKED_PATIENCE_S", 4)
    monkeypatch.setattr(fetch, "STALL_PATIENCE_S", 2)
    monkeypatch.setattr(fetch, "TIMEOUT_S", (1, 0.5))
    monkeypatch.setattr(fetch, "RETRIES", fetch.RETRIES.new(backoff_factor=0.01))
    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda _: None))


def zipped(members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(memory := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return memory.getvalue()


def tarred(members: dict[str, bytes], *links: tuple[str, str], mode: str = "w:gz") -> bytes:
    with tarfile.open(fileobj=(memory := io.BytesIO()), mode=mode) as archive:
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return memory.getvalue()


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def refused(data: str, folder: Path, message: str) -> None:
    """One sentence that says what was expected."""
    with pytest.raises(DataError, match=message) as error:
        fetch.find_scan(data, folder=folder)
    assert "\n" not in str(error.value) and "expected" in str(error.value) and str(error.value).count(";") <= 3


@pytest.mark.parametrize(("choice", "cleaning"), [
    (Choice(field="on"), None), (Choice(cycle="mean"), None), (Choice(cycle=2), None), (Choice(grid=(6, 6)), None),
    (Choice(others={"FORC": 1}), None), (None, Cleaning(outlier_sd=10)), (None, None)])
def test_without_a_network_the_twin_is_taken_and_nothing_chosen_of_it(offline, tmp_path, capsys, choice, cleaning):
    scan = fetch.find_scan("auto", twin_shape=(6, 6), folder=tmp_path, choice=choice, cleaning=cleaning)
    assert scan.source == "twin" and scan.shape == (6, 6)
    said = capsys.readouterr().out
    assert "did not answer" in said
    assert ("CYCLE, SELECT and CLEAN have no effect on it." in said) == bool(choice or cleaning) == ("SELECT" in said)
    assert fetch.find_scan("twin", 0, (6, 6), choice=Choice(cycle=1), cleaning=Cleaning()).source == "twin"
    if choice or cleaning:
        with pytest.raises(DataError, match="the twin has one cycle.*; leave CYCLE, SELECT and CLEAN out"):
            fetch.find_scan("twin", folder=tmp_path, choice=choice, cleaning=cleaning)


@pytest.mark.parametrize("name", ["own.npy", "own.NPZ", "own.mat", "own.hdf5"])
def test_auto_takes_own_files_of_every_kind_first_and_choice_and_cleaning_reach_them(server, name, tmp_path):
    """Found by suffix, recognised by content."""
    made = simulated_scan(3, (5, 7))
    made.piezoresponse[2, 3, 20] = 1.0
    (tmp_path / "README.md").write_text("no loops")
    with (tmp_path / name).open("wb") as file:
        np.savez(file, made.piezoresponse, made.voltage_V)
    rules = Cleaning(valid_range={"piezoresponse": (-1e-3, 1e-3)})
    for data in ("auto", str(tmp_path / name)):
        scan = fetch.find_scan(data, folder=tmp_path)
        assert scan.shape == (5, 7) and scan.cleaning.map.sum() == 0
        assert fetch.find_scan(data, folder=tmp_path, cleaning=rules).cleaning.map[2, 3] == 1
        with pytest.raises(DataError, match="holds one cycle"):
            fetch.find_scan(data, folder=tmp_path, choice=Choice(cycle=2))
    assert server.asked == []


@pytest.mark.parametrize("data", ["zenodo", "drive:abc"])
def test_a_source_that_does_not_answer_is_an_error_with_a_remedy(offline, data, tmp_path):
    refused(data, tmp_path, "did not answer.* use DATA=<path>")


@pytest.mark.parametrize("fault", [silent, status(429, Retry_After="3600")])
def test_a_network_that_is_silent_or_asks_to_wait_is_given_up(server, fault, tmp_path, monkeypatch, capsys):
    assert fetch.NETWORK_PATIENCE_S < 10
    monkeypatch.setattr(fetch, "NETWORK_PATIENCE_S", 0.5)
    monkeypatch.setattr(fetch, "TIMEOUT_S", (60, 60))
    server.fail(RECORD, always(fault))
    assert fetch.find_scan("auto", twin_shape=(6, 6), folder=tmp_path).source == "twin"
    assert "did not answer within 0.5 s" in capsys.readouterr().out


@pytest.mark.parametrize("data", ["auto", "zenodo"])
def test_the_file_is_chosen_by_content(server, loops, data, tmp_path):
    server.record({"README.md": b"# Data\n" * 50, "paper.h5": b"%PDF-1.5\n" + bytes(9000),
                   "fit.mat": b"MATLAB 5.0 MAT-file" + bytes(900), "página 1 of (2)": loops})
    scan = fetch.find_scan(data, folder=tmp_path)
    assert scan.shape == SHAPE and scan.source == "twin"  # its truth came along
    assert all("ferroelectric-vae-companion" in agent and "pooch/" in agent for *_, agent in server.asked)


def test_an_npz_is_data_and_not_an_archive(server, tmp_path):
    scan = simulated_scan(3, (6, 6))
    np.savez(memory := io.BytesIO(), piezoresponse=scan.piezoresponse, resonance=scan.resonance_kHz,
             voltage=scan.voltage_V)
    server.record({"loops.npz": memory.getvalue()})
    found = fetch.find_scan("zenodo", folder=tmp_path)
    assert np.array_equal(found.piezoresponse, scan.piezoresponse) and found.source == "measured"
    assert found.path == str(tmp_path / "downloads/zenodo.6321172/loops.npz")


@pytest.mark.parametrize(("data", "file"), [("zenodo", "zenodo.6321172/b.h5"), ("drive:1a-B_2", "drive_1a-B_2")])
def test_what_was_chosen_is_used_again_and_fetched_again_once_changed(stocked, loops, tmp_path, capsys, data, file):
    stocked.record({"a.h5": b"\x89HDF\r\n\x1a\n" + bytes(900), "b.h5": loops})
    assert fetch.find_scan(data, folder=tmp_path).shape == SHAPE
    note = tmp_path / f"downloads/{file.removesuffix('/b.h5')}.json"
    assert json.loads(note.read_text()) == {"file": file, "sha256": hashlib.sha256(loops).hexdigest()}
    asked = len(stocked.asked)
    assert fetch.find_scan("auto" if data == "zenodo" else data, folder=tmp_path).shape == SHAPE
    assert len(stocked.asked) == asked
    if data == "zenodo":  # a file that was verified is not fetched twice
        note.unlink()
        fetch.find_scan(data, folder=tmp_path)
        assert len(stocked.starts("b.h5")) == 1
    stored = tmp_path / "downloads" / file
    stored.write_bytes(loops[:-1])
    fetch.find_scan(data, folder=tmp_path)
    assert stored.read_bytes() == loops and "has changed" in capsys.readouterr().out


def test_auto_leaves_what_is_too_large_and_says_what_fetches_it(server, loops, tmp_path, capsys, monkeypatch):
    server.record({"raw.h5": loops}, {"raw.h5": fetch.AUTO_BYTES + 1})
    assert fetch.find_scan("auto", twin_shape=(6, 6), folder=tmp_path).source == "twin"
    assert "raw.h5 would exceed 2 GiB, DATA=zenodo fetches it" in capsys.readouterr().out
    assert server.starts("raw.h5") == []
    monkeypatch.setattr(fetch, "AUTO_BYTES", 4000)
    server.record({f"{name}.h5": b"\x89HDF\r\n\x1a\n" + bytes(size)
                   for name, size in (("a", 1900), ("b", 2900), ("c", 900))})
    assert fetch.find_scan("auto", twin_shape=(6, 6), folder=tmp_path).source == "twin"
    assert [name for name in "abc" if server.starts(f"{name}.h5")] == ["b", "c"]


def test_nothing_usable_is_said_with_the_reasons_and_keys_with_paths_stay_in_the_folder(server, tmp_path, loops):
    server.record({"a.txt": b"text", "b.npy": b"\x93NUMPY" + bytes(99)})
    refused("zenodo", tmp_path / "other", r"holds no loops \(.*b.npy.*a.txt cannot be read")
    server.record({"../../../escaped.h5": loops})
    fetch.find_scan("zenodo", folder=tmp_path / "data")
    assert {name for name in files_below(tmp_path) if not name.startswith("other/downloads/")} == {
        "data/downloads/zenodo.6321172.json", "data/downloads/zenodo.6321172/escaped.h5"}


def test_a_busy_server_is_asked_again_after_the_time_it_asks_for(stocked, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(urllib3.util.retry.time, "sleep", waited.append)
    stocked.fail(RECORD, status(429, Retry_After="1"), status(503))
    fetch.find_scan("zenodo", folder=tmp_path)
    assert 1 in waited and [path for path, *_ in stocked.asked].count(RECORD) == 3
    stocked.fail("/uc", status(503), status(429, Retry_After="1"))
    assert fetch.find_scan("drive:abc", folder=tmp_path).shape == SHAPE


def test_a_broken_download_is_continued(stocked, loops, tmp_path):
    stocked.fail("b.h5", cut(70_000), status(502), cut(80_000))
    fetch.find_scan("zenodo", folder=tmp_path)
    first, second, third, fourth = stocked.starts("b.h5")
    lost = fetch.CHUNK_BYTES
    assert first == 0 and 70_000 - lost < second == third <= 70_000
    assert second + 80_000 - lost < fourth <= second + 80_000
    assert (tmp_path / "downloads/zenodo.6321172/b.h5").read_bytes() == loops


def test_what_a_failed_run_brought_is_continued_by_the_next(stocked, tmp_path):
    stocked.fail("b.h5", cut(70_000), always(cut(0)))
    refused("zenodo", tmp_path, "b.h5 broke off")
    stocked.faults.clear()
    fetch.find_scan("zenodo", folder=tmp_path)
    assert 70_000 - fetch.CHUNK_BYTES < stocked.starts("b.h5")[-1] <= 70_000


@pytest.mark.parametrize(("left", "faults"), [
    (b"", (cut(70_000), rangeless)), (b"\x89HDF of another release", ()), (b"x" * 10**6, ())])
def test_a_server_without_ranges_sends_the_whole_and_a_stale_part_heals(stocked, loops, left, faults, tmp_path):
    part = tmp_path / "downloads/zenodo.6321172/b.h5.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    stocked.fail("b.h5", *faults)
    fetch.find_scan("zenodo", folder=tmp_path)
    assert part.with_suffix("").read_bytes() == loops and not part.exists()


FAULTS = [("b.h5", *fault) for fault in [
    (instead(QUOTA_PAGE), "wrong checksum: expected md5:"),
    (lambda h, body: h.give(body + b"more"), "wrong checksum: expected md5:"),
    (cut(0), "b.h5 broke off every time"), (circle, "b.h5 redirects in a circle"),
    (trickle, "b.h5 did not answer within 2 s"), (silent, "b.h5 did not answer"),
    (status(404), "b.h5 answered 404 Not Found"), (status(503), "b.h5 answered 503 Service Unavailable")]
] + [("/uc", *fault) for fault in [
    (instead(QUOTA_PAGE), "drive_abc cannot be read .*a web page"), (status(404), "drive:abc answered 404"),
    (status(500), "drive:abc answered 500"), (circle, "drive:abc redirects in a circle"),
    (silent, "drive:abc did not answer"), (trickle, "drive:abc did not answer within"),
    (cut(5000), "drive:abc (gave no file|broke off)"),
    (instead(b"plain text"), "drive:abc holds no loops .*begins with bytes"),
    (instead(b"\x89HDF\r\n\x1a\n" + bytes(99)), "drive:abc holds no loops")]]


@pytest.mark.parametrize(("place", "fault", "sentence"), FAULTS)
def test_each_fault_is_one_sentence_and_keeps_the_good_file(stocked, place, fault, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "ATTEMPTS", 2)
    monkeypatch.setattr(fetch, "ASKED_PATIENCE_S", 1.5 if place == "/uc" else 4)
    kept = tmp_path / "downloads/zenodo.6321172/b.h5"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"an earlier release that the record no longer lists")
    stocked.fail(place, always(fault))
    refused("drive:abc" if place == "/uc" else "zenodo", tmp_path, sentence)
    assert kept.read_bytes() == b"an earlier release that the record no longer lists"
    assert {name for name in files_below(kept.parent) if (kept.parent / name).stat().st_size} <= {"b.h5", "b.h5.part"}
    assert not (tmp_path / "downloads/drive_abc.json").exists()


def test_a_file_that_cannot_fit_is_not_begun(server, loops, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "ASKED_BYTES", 10**16)
    server.record({"b.h5": loops}, {"b.h5": 10**15})
    refused("zenodo", tmp_path, "b.h5 does not fit on")
    assert server.starts("b.h5") == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_is_said(stocked, tmp_path):
    part = tmp_path / "downloads/zenodo.6321172/b.h5.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    refused("zenodo", tmp_path, r"b.h5 could not be stored \(No space left on device\)")
    assert files_below(part.parent) == set()


@pytest.mark.parametrize("data", ["zenodo", "drive:abc"])
def test_a_read_only_folder_is_said(stocked, data, tmp_path):
    (tmp_path / "downloads").write_text("in the way")
    refused(data, tmp_path, "could not be stored .* folder")


@pytest.mark.parametrize("answer", [
    QUOTA_PAGE, b"", b"[]", b"null", b"\xff\xfe", b'{"files": null}', b'{"files": [{"key": "a"}]}',
    b'{"files": [{"key": "a", "size": "many", "checksum": "md5:0", "links": {"self": "x"}}]}',
    b'{"files": [{"key": "a", "size": 1, "checksum": "", "links": {"self": "file:///etc/passwd"}}]}',
])
def test_an_answer_that_is_no_record_is_an_error(server, answer, tmp_path):
    server.files[RECORD] = answer
    refused("zenodo", tmp_path, "something other than a list of files")


values = st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=8),
                      lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(st.sampled_from(["key", "size", "links", "self", "checksum"]),
                                        inner, max_size=5), max_leaves=8)


@ANY_FOLDER
@given(files=values | st.lists(st.fixed_dictionaries(
    {"key": values | st.text(), "size": values | st.integers(1, 10**400), "checksum": st.just("md5:" + "0" * 32),
     "links": st.fixed_dictionaries({"self": values | st.just("http://[")})}), max_size=3))
def test_no_answer_of_the_record_gets_further_than_a_message(server, files, tmp_path):
    server.files[RECORD] = json.dumps({"files": files}).encode()
    refused("zenodo", tmp_path, "expected")


def test_what_gdown_refuses_and_what_is_no_drive_id_is_one_sentence(stocked, tmp_path, monkeypatch):
    def refuse(**_):
        raise FileURLRetrievalError("Too many users\n\thave viewed this file.")

    monkeypatch.setattr(fetch.gdown, "download", refuse)
    refused("drive:abc", tmp_path, r"drive:abc gave no file \(Too many users have viewed this file.\)")
    for identifier in ("", "../../etc/passwd", "a b", "x?y"):
        refused(f"drive:{identifier}", tmp_path, "is not an id")


HOSTILE = ["../../escaped.h5", "/tmp/escaped-by-a-test.h5", "..\\..\\escaped.h5", "C:\\escaped.h5", "a/../../b.h5"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_never_leave_their_folder(server, loops, pack, name, tmp_path):
    data = tmp_path / "a/b"
    server.record({"all.bin": pack({"notes.txt": b"notes", name: loops})})
    try:
        assert fetch.find_scan("zenodo", folder=data).shape == SHAPE
        assert fetch.find_scan("auto", folder=data).shape == SHAPE
    except DataError as error:
        assert "holds no loops" in str(error)
    assert all(p.startswith("a/b/downloads/zenodo.6321172") for p in files_below(tmp_path))
    assert not Path("/tmp/escaped-by-a-test.h5").exists()


def test_links_and_nested_archives_hold_nothing(server, loops, tmp_path):
    (tmp_path / "outside.h5").write_bytes(loops)
    for links in ((("link.h5", str(tmp_path / "outside.h5")),), (("up", ".."),), ()):
        server.record({"all.tgz": tarred({"inner.zip": zipped({"loops.h5": loops})}, *links)})
        refused("zenodo", tmp_path / "data", "holds no loops")


@pytest.mark.parametrize(("pack", "members", "message"), [
    *((pack, {"zeros.h5": b"\x89HDF\r\n\x1a\n" + bytes(10**6)}, "bomb would unpack to more than 0.00")
      for pack in (zipped, tarred)),
    (zipped, {f"{n}.h5": b"x" for n in range(11)}, "or 10 files")])
def test_absurd_sizes_are_refused_before_anything_is_written(server, pack, members, message, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "ASKED_BYTES", 10**6)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 10)
    server.record({"bomb": pack(members)})
    refused("zenodo", tmp_path, message)
    assert files_below(tmp_path) == {"downloads/zenodo.6321172/bomb"}


def test_a_drive_archive_is_unpacked_too(server, loops, tmp_path):
    server.files["/uc"] = zipped({"scan/loops.h5": loops})
    assert fetch.find_scan("drive:abc", folder=tmp_path).shape == SHAPE
    assert json.loads((tmp_path / "downloads/drive_abc.json").read_text())["file"] == (
        "drive_abc.members/scan/loops.h5")


@ANY_FOLDER
@given(pack=st.sampled_from([zipped, tarred, lambda m: tarred(m, mode="w"),
                             lambda m: tarred(m, mode="w:xz"), lambda m: tarred(m, mode="w:bz2")]),
       name=st.text(min_size=1, max_size=40).filter(lambda t: t.isprintable()), data=st.data())
def test_damaged_archives_end_in_a_message_and_in_their_folder(tmp_path, pack, name, data):
    body = bytearray(pack({name: b"\x93NUMPY" + bytes(3000), "b.mat": b"MATLAB 5.0" + bytes(90)}))
    folder = tmp_path / "inside"
    folder.mkdir(exist_ok=True)
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    (folder / "archive").write_bytes(body[:data.draw(st.integers(1, len(body)))])
    try:
        for path in archives.unpacked(folder / "archive", 10**6, lambda name, size: (name, size)):
            assert path.is_file() and path in (folder / "archive", *folder.rglob("archive.members/**/*"))
    except DataError as error:
        assert "expected" in str(error)
    assert all(name.startswith("inside/archive") for name in files_below(tmp_path))
    shutil.rmtree(folder / "archive.members", ignore_errors=True)
