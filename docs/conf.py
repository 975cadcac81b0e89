"""Sphinx: how the pages of `make site` look. They open from disk, so nothing is loaded from elsewhere."""

from pathlib import Path

import yaml
from docutils.nodes import SkipNode
from latex2mathml.converter import convert

CITED = yaml.safe_load((Path(__file__).parent.parent / "CITATION.cff").read_text(encoding="utf-8"))
ADDRESS = CITED.get("repository-code", "")

project = html_title = "Why linear machine learning “works” so well"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = html_show_sphinx = html_show_copyright = False
html_context = {"default_mode": "auto"}
html_math_renderer = "mathml"
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
nb_execution_mode = "off"  # they are the run's
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"
nb_ipywidgets_js = {}
# Links to files that are no pages become words; notebooks begin sections anywhere.
suppress_warnings = ["myst.xref_missing", "myst.header", "mystnb.unknown_mime_type"]
html_theme_options = {
    "use_download_button": False,
    "navbar_persistent": [],
    "footer_content_items": ["extra-footer"],
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "explorer": []},
    **({"repository_url": ADDRESS, "use_repository_button": True, "repository_branch": f"v{CITED['version']}",
        "launch_buttons": {"colab_url": "https://colab.research.google.com"}} if ADDRESS else {}),
}


def visit_inline(writer, node):
    """Formulas as MathML, which browsers set without a script."""
    writer.body.append(convert(node.astext()))
    raise SkipNode


def visit_block(writer, node):
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
