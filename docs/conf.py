"""
How Sphinx builds the documentation: ``make docs``.

The pages are written for those who read them in the repository, too: they link to each other as files
(``people.rst#anchor``), which become links between pages here. A link to a page or an anchor that does not exist is a
warning, and ``make docs`` fails.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from bore.version import __version__

project = "txbore"
author = "the authors of txbore"
version = release = __version__
extensions: list[str] = []
html_theme = "furo"
html_title = f"txbore {__version__}"
html_copy_source = False
html_show_copyright = False
exclude_patterns: list[str] = []
# The pages number nothing, and every title is an anchor.
suppress_warnings = ["epub.unknown_project_files"]

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
_LINK = re.compile(r"(?P<path>[\w./-]+\.rst)(?:#(?P<anchor>[\w-]+))?")
_log = logging.getLogger(__name__)


def _link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn links to files into links to pages; what is no page is left out of the link."""
    assert app.builder is not None
    # The first page is README.rst, whose links begin in the root of the repository.
    folder = _ROOT if docname == "index" else (_HERE / docname).parent
    for node in list(doctree.findall(nodes.reference)):
        found = _LINK.fullmatch(node.get("refuri", ""))
        if found is None:
            continue
        path = (folder / found["path"]).resolve()
        if not path.exists():
            _log.warning("there is no %s", found["path"], location=node)
            continue
        target = _page(path)
        if target not in app.env.found_docs:
            node.replace_self(nodes.inline("", "", *node.children))  # a file of the repository alone
            continue
        anchor = found["anchor"] or ""
        if anchor and anchor not in _anchors(app, target):
            _log.warning("there is no #%s in %s", anchor, found["path"], location=node)
        uri = app.builder.get_relative_uri(docname, target)
        node["refuri"] = f"{uri}#{anchor}" if anchor else uri


def _page(path: Path) -> str:
    """Return the page that a file becomes; empty: none."""
    if path == _ROOT / "README.rst":
        return "index"
    return path.relative_to(_HERE).with_suffix("").as_posix() if path.is_relative_to(_HERE) else ""


def _anchors(app: Sphinx, docname: str) -> set[str]:
    tree = app.env.get_doctree(docname)
    return {each for node in tree.findall(nodes.section) for each in node["ids"]}


def _readme(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
    """Have README.rst name its images from here."""
    content[0] = content[0].replace("image:: benchmarks/", "image:: ../benchmarks/")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("include-read", _readme)
    app.connect("doctree-resolved", _link)
