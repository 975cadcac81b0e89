"""Executed notebooks as parts of a page: formulas as MathML, no script or style of another site."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from markupsafe import Markup, escape
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath


FETCH = "colab-fetch"
UNNAMED = "Drawn by the code above"


class _Renderer(IPythonRenderer):
    """Markdown with formulas that the browser itself can set, and nothing fetched from elsewhere."""

    _heads: Sequence[str] = ()
    _column = 0

    def inline_math(self, body: str) -> str:
        return convert(body)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return text if url.startswith("http") else super().image(text, url, title)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, re.sub(r"\.ipynb(?=$|#)", ".html", url), title)

    def table_head(self, text: str) -> str:
        self._column = 0
        return f"<thead><tr>{text}</tr></thead>\n"

    def table_row(self, text: str) -> str:
        self._column = 0
        return f"<tr>{text}</tr>\n"

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        """The first cell of a row heads it; the others name their column, for screens that stack them."""
        if head:
            self._heads = [*self._heads[:self._column], text]
        number, self._column = self._column, self._column + 1
        if head or number == 0:
            return f'<th scope="{"col" if head else "row"}">{text}</th>'
        return f'<td data-head="{escape(Markup(self._heads[number]).striptags())}">{text}</td>'

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{convert(body, display="block")}</div>'


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source: str) -> str:
        return MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(source)


def notebook_body(path: Path, alternatives: Mapping[str, str]) -> tuple[str, str]:
    """Title and body of an executed notebook.

    Parameters
    ----------
    path : Path
        ``.ipynb``, with outputs.
    alternatives : mapping of str to str
        Alternative text of each figure by its identifier, such as "fig4".

    Returns
    -------
    str
        First heading, plain.
    str
        HTML of all cells.
    """
    notebook = nbformat.read(path, as_version=4)
    # Cells that papermill or Colab need are no part of the article.
    notebook.cells = [cell for cell in notebook.cells
                      if "injected-parameters" not in cell.metadata.get("tags", [])
                      and cell.id not in (FETCH, "colab-prepare")]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            _name_pictures(cell, alternatives)
    exporter = _Exporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    title = next(line.lstrip("# ") for line in notebook.cells[0].source.splitlines() if line.startswith("#"))
    return title, body


def _name_pictures(cell: nbformat.NotebookNode, alternatives: Mapping[str, str]) -> None:
    """Give pictures without alternative text that of the figure which their code saves."""
    named = [text for identifier, text in alternatives.items() if f'"{identifier}"' in cell.source]
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            output.metadata.setdefault("image/png", {}).setdefault("alt", named[0] if named else UNNAMED)
