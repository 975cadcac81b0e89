"""A page inside an output of a notebook."""

from __future__ import annotations

import base64
import gzip


def framed(page: str, title: str) -> str:
    """A page within a page, compressed; the browser unpacks it."""
    # The alphabet of URLs has no slash, so that nothing in it can be taken for a path.
    data = base64.urlsafe_b64encode(gzip.compress(page.encode(), mtime=0)).decode()
    return FRAME.format(title=title, data=data)


FRAME = """<iframe title="{title}" style="width: 100%; border: 0" height="600"></iframe>
<script>
(async (frame) => {{
  const text = atob("{data}".replaceAll("-", "+").replaceAll("_", "/"))
  const packed = Uint8Array.from(text, (letter) => letter.charCodeAt(0))
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))
  frame.onload = () => new ResizeObserver(([body]) => {{
    frame.style.height = `${{body.target.offsetHeight + 20}}px`
  }}).observe(frame.contentDocument.body)
  frame.srcdoc = await new Response(unpacked).text()
}})(document.currentScript.previousElementSibling)
</script>"""
