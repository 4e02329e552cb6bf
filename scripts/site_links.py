"""For mkdocs: what of the repository is no part of the site is named on its pages, and not linked."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]*)\]\((?:\.\./)+([^)\s]*)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page, with ``[text](../path)`` as the text and the path in the repository."""
    return _OUTSIDE.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    text, path = link[1], link[2]
    return text if path.rstrip("/") in text else f"{text} (`{path}`)"
