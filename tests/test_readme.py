"""README.md: its generated parts, its links, and the commands that it names."""

import json
import re

from test_figures import INVENTORY

from helpers.paths import ROOT
from helpers.profiles import PROFILES
from workflow.render import readme

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_the_template_filled_from_the_reference_run():
    assert readme() == README, "write into workflow/README.md.j2, and run `make render`"


def test_the_inventory_is_whole_and_in_the_paper_s_order():
    line, = (line for line in README.splitlines() if line.startswith("Figures ["))
    assert re.findall(r"\[([^\]]+)\]\(", line) == [
        *"12345", *(f"S{n}" for n in range(1, 11)), "Table 1", *(f"Movie S{n}" for n in range(1, 7))]
    assert README.count("\n") <= 120


def test_links_lead_to_files_and_to_what_a_notebook_shows():
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([\w.-]+))?\)", README)
    assert len(links) > len(INVENTORY)
    for target, anchor in links:
        assert (ROOT / target).exists(), target
        if anchor and target.endswith(".ipynb"):
            cells = json.loads((ROOT / target).read_text(encoding="utf-8"))["cells"]
            source = "".join("".join(cell["source"]) for cell in cells)
            shown = re.sub(r"S\d", 'S{n}', anchor) if anchor.startswith("movie") else anchor
            assert f'"{shown}"' in source, anchor


def test_commands_variables_and_profiles_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = ["".join(found) for found in re.findall(r"`([^`\n]+)`|^(make .*)$", README, re.MULTILINE)]
    words = [word for command in commands for word in command.split("#")[0].split()]
    targets = {found[1] for command in commands if (found := re.search(r"\bmake ([\w-]+)", command))}
    assert {"figures", "test"} <= targets
    for target in targets:
        assert re.search(rf"^([\w-]+ )*{re.escape(target)}( [\w-]+)*:", makefile, re.MULTILINE), target
    variables = {word.partition("=")[0] for word in words if re.match(r"[A-Z]+=", word)}
    assert {"DATA", "PROFILE", "SEED"} <= variables
    for variable in variables:
        assert re.search(rf"^#: {variable}=", makefile, re.MULTILINE), variable
    assert set(re.findall(r"PROFILE=(\w+)", README)) <= set(PROFILES)


def test_pictures_have_a_text_in_their_place():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert pictures and all(len(text) > 40 for text, file in pictures if not file.startswith("http"))
