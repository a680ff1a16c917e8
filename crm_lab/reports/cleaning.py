"""Making HTML from a notebook inert: no script, no style, no form, nothing loaded from elsewhere.

What a report shows comes from data, and data may hold anything. The policy of the page stops
scripts; it does not stop a redirect or a fake form, so every output is cleaned as well.
"""

from __future__ import annotations

import html
import re

import nh3
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_TAGS = (nh3.ALLOWED_TAGS - {"map", "area", "center", "article", "aside", "nav", "header"}) | {
    "details",
    "figure",
    "section",
    "summary",
    "tfoot",
}
_ATTRIBUTES = {
    "*": {"class", "lang", "dir", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "headers"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
    "details": {"open"},
    "time": {"datetime"},
}
_SCHEMES = {"http", "https", "mailto", "data"}
_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*\Z")
_LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
_BRACKETS = str.maketrans({"<": "‹", ">": "›"})
_EMPTY_IMAGE = re.compile(r"<img(?![^>]* src=)[^>]*>")
_TAG = re.compile(r"<[^>]*>")


def clean_html(fragment: str) -> str:
    """Keep text, tables, lists, links and embedded pictures of a fragment; drop all that acts.

    Parameters
    ----------
    fragment : str
        HTML of any origin.

    Returns
    -------
    str
        Balanced HTML without scripts, styles, identifiers, event handlers, forms or frames.

    Examples
    --------
    >>> clean_html('<p onclick="x()">Hi<script>alert(1)</script></p>')
    '<p>Hi</p>'
    """
    cleaned = nh3.clean(
        fragment,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template", "noscript", "svg", "math"},
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        url_schemes=_SCHEMES,
    )
    return _EMPTY_IMAGE.sub("", cleaned)


def markdown_html(source: str) -> str:
    """Turn Markdown into clean HTML."""
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    return clean_html(MarkdownWithMath(renderer=renderer).render(source))


def text_of(fragment: str) -> str:
    """Give the text of a clean fragment, without its tags."""
    return html.unescape(_TAG.sub("", fragment)).strip()


def _filter(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "src":
        return value if _IMAGE.match(value) else None
    if attribute == "href" and not _LINK.match(value):
        return None
    # No angle bracket within a tag: what works on clean HTML may rely on it.
    return value.translate(_BRACKETS)
