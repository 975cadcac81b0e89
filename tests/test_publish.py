"""The project's address in all its places, and the exact versions of requirements.lock."""

import json
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from helpers.paths import ROOT
from workflow.publish import publish
from workflow.render import DIGEST, is_current
from workflow.settings import cells_digest

FIRST, SECOND = "https://github.com/an-owner/some.name", "https://github.com/other/name"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what publishing changes; notebooks 0 and 1 are rendered, the others were edited since."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "CITATION.cff").write_text("# repository-code: https://github.com/<owner>/<name>\nversion: 0.1.0\n")
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["metadata"][DIGEST] = cells_digest(notebook["cells"]) if path.name < "2" else "of another source"
        (tmp_path / "notebooks" / path.name).write_text(json.dumps(notebook))
    for module in ("publish", "render"):
        monkeypatch.setattr(f"workflow.{module}.ROOT", tmp_path)
    return tmp_path


def test_an_address_stands_everywhere_once_and_another_replaces_it(project, capsys):
    for address in (FIRST, SECOND, SECOND):
        before = {path: path.read_text() for path in project.rglob("*.*")}
        publish(address)
    assert before == {path: path.read_text() for path in before} and FIRST not in "".join(before.values())
    assert f"{SECOND}/settings/pages" in capsys.readouterr().out
    assert (project / "CITATION.cff").read_text() == f"repository-code: {SECOND}\nversion: 0.1.0\n"
    assert f"({SECOND}/actions/workflows/tests.yml)" in (project / "README.md").read_text()
    for path in (project / "notebooks").iterdir():
        notebook = json.loads(path.read_text())
        source = "".join("".join(cell["source"]) for cell in notebook["cells"])
        assert re.findall(r"\(https:\S+/github/other/name/blob/v0.1.0/notebooks/(.*)\)\n\n", source) == [path.name]
        assert source.count(f'repository, tag = "{SECOND}", "v0.1.0"\n') == 1 and source.count("/colab-badge.svg") == 1
        assert is_current(notebook) == (path.name < "2")


def test_what_is_no_address_is_refused_in_one_sentence_before_anything_is_written(project):
    for address in ("", "github.com/a/b", f"{SECOND}.git", f"{SECOND}/", f'{SECOND}"', f"{SECOND}\n"):
        with pytest.raises(ValueError, match="is not the address of a repository: expected https://github.com/<owner>/"):
            publish(address)
    assert not (project / "README.md").exists() and "<owner>" in (project / "CITATION.cff").read_text()
    done = subprocess.run([sys.executable, "-m", "workflow.publish", ""], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and re.fullmatch("REPOSITORY= is not the address of .*\n", done.stderr)


def test_every_requirement_is_locked_at_a_version_that_its_range_allows():
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for line in re.findall(r"^[^#\s]+", (ROOT / "requirements.txt").read_text(), re.MULTILINE):
        assert Requirement(line).specifier.contains(locked[Requirement(line).name]), line
