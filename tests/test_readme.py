import pytest

from helpers.paths import ROOT
from helpers.readme import REFERENCE, filled, generated_parts


@pytest.mark.skipif(not (REFERENCE / "metrics.json").is_file(), reason="no reference run is stored")
def test_readme_holds_the_numbers_of_the_reference_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert filled(readme, generated_parts()) == readme


def test_a_lost_mark_is_an_error():
    with pytest.raises(ValueError, match="has 0 parts called findings"):
        filled("no marks", {"findings": "text"})
