"""Nothing secret and nobody's data in what is published: page, manifest, executed notebook.

Customer ids become short keyed hashes that are the same in every report of a workbench; the key
lies in the workbench and never in a report. Addresses, e-mails, phone numbers, secrets of the
environment and passwords in URLs are taken out; paths of this machine become relative. Pictures
are not read: what a chart writes as text into its image stays.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import html
import itertools
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_lab.reports.manifest import Manifest
from crm_lab.reports.numbers import numbers_of
from crm_lab.reports.printed_tables import column_kind, is_count, masked_tables

HIDDEN = "[hidden]"
SHOW_PARAMETER = "show_customer_ids"
"""A notebook that declares this parameter lets its reader ask for ids as they are."""
KEY_FILE = Path(".crm-lab") / "masking.key"
MASK_DIGITS = 16
SECRET_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|KEY", re.IGNORECASE)
MIN_SECRET_LENGTH = 6

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[\w-]*[^\W\d_]{2,}", re.UNICODE)
_PHONE = re.compile(
    r"(?<![\w/+=.,-])(?:\+[1-9]\d{0,2}|8(?=[\s(-]{0,2}[3489])|7(?=[\s(-]{0,2}9))"
    r"(?:[ ()\u00a0-]{0,3}\d){7,13}(?![\w/+=]|[.,]\d)"
)
_PHONE_DIGITS = range(10, 16)
_GROUPED = re.compile(r"\+?\d{1,3}(?:\u00a0\d{3})+")
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:\"'<>]*:[^\s/@\"'<>]+@", re.IGNORECASE)
_URL_TOKEN = re.compile(
    r"([?&](?:access_token|api_?key|auth|key|password|secret|sig|signature|token)=)[^\s&#\"'<>]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic) [A-Za-z0-9._~+/=-]{12,}")
_PICTURE = re.compile(r"(data:image/[a-z+]+;base64,[A-Za-z0-9+/=\s]*)")
_TABLE = re.compile(r"<table.*?</table>", re.DOTALL | re.IGNORECASE)
_ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL | re.IGNORECASE)
_CELL = re.compile(r"(<t[hd][^>]*>)(.*?)(</t[hd]>)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_SPAN = re.compile(r"\bcolspan=\W?(\d+)", re.IGNORECASE)
_ANSI = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z])")
_FIELD_NAME = re.compile(r"[A-Za-z_]+")
_MASKED_ID = re.compile(rf"(?<![\w-])c-[0-9a-f]{{{MASK_DIGITS}}}(?![\w-])")
_TOKEN = re.compile(r"\w[\w-]*")
_BEGUN_NUMBER = re.compile(r"(?:\d\.|(?<!\d)\d{1,3},)\Z")
_NUMBER_GOES_ON = re.compile(r"\.\d")
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "image/svg+xml")


@dataclass(slots=True)
class Mask:
    """Takes out of texts and data what must not be published.

    Attributes
    ----------
    folder : Path
        The workbench: its path is made relative, and the key lies in it.
    shows_customer_ids : bool
        Whether ids stay as they are, because somebody asked for it.
    secrets : tuple of str
        Texts to take out wherever they stand.
    """

    folder: Path
    shows_customer_ids: bool = False
    secrets: tuple[str, ...] = ()
    _ids: dict[str, str] = field(default_factory=dict)

    def customer(self, customer_id: object) -> str:
        """Give the short keyed hash that stands for a customer.

        Examples
        --------
        >>> Mask(Path(), shows_customer_ids=True).customer("C-17")
        'C-17'
        """
        text = str(customer_id)
        if self.shows_customer_ids or not text or _is_masked(text):
            return text
        if text not in self._ids:
            self._ids[text] = masked_id(masking_key(self.folder), text)
        return self._ids[text]

    def data(self, value: Any, name: str = "") -> Any:
        """Mask JSON data; ``name`` is the key or column that it stands under."""
        if isinstance(value, Mapping):
            masked: dict[Any, Any] = {}
            for key, item in value.items():
                masked[self._mapping_key(key, masked)] = self.data(item, str(key))
            return masked
        if isinstance(value, list):
            return [self.data(item, name) for item in value]
        if value is None or isinstance(value, bool):
            return value
        kind = column_kind(name)
        if kind == "id":
            return self.customer(value)
        if kind == "personal" and not is_count(str(value)):
            return HIDDEN
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Mask one text: known ids, e-mails, phones, secrets, passwords of URLs, own paths."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        # What follows a colour code of a terminal begins a word.
        pieces = _ANSI.split(text)
        pieces[::2] = [self._uncoloured(piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _uncoloured(self, text: str) -> str:
        text = _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text)
        text = _URL_TOKEN.sub(rf"\1{HIDDEN}", text)
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
        text = _EMAIL.sub(HIDDEN, text)
        text = _PHONE.sub(_phone, text)
        text = self._paths(text)
        return self._known_ids(text)

    def html(self, page: str) -> str:
        """Mask HTML: the columns of its tables by their headings, then every text of it."""
        tables = _TABLE.sub(lambda found: self._html_table(found[0]), page)
        parts = _PICTURE.split(tables)
        for place in range(0, len(parts), 2):
            text = parts[place]
            for secret in self.secrets:
                text = text.replace(html.escape(secret), HIDDEN)
            parts[place] = self.text(text)
        return "".join(parts)

    def printed(self, text: str) -> str:
        """Mask a text that may hold tables as pandas prints them, then every text of it."""
        return self.text(self._printed_tables(text))

    def notebook(self, notebook: Any) -> Any:
        """Mask an executed notebook in place and give it: sources, outputs, alternative texts."""
        for output in _outputs(notebook):
            self._learn(output)
        for cell in notebook.cells:
            cell.source = self.text(cell.source)
            for output in cell.get("outputs", []):
                self._output(output)
        notebook.metadata = type(notebook.metadata)(self.data(notebook.metadata))
        return notebook

    def manifest(self, manifest: Manifest) -> Manifest:
        """Give the manifest masked; the names of its numbers are made anew."""
        data = manifest.model_dump(mode="json")
        for name in ("title", "parameters", "headline", "verdict", "context", "decisions", "error"):
            data[name] = self.data(data[name])
        data["results"] = self.data(data["results"])
        data["numbers"] = numbers_of(data["results"])
        data["changes_sentence"] = self.text(data["changes_sentence"])
        return Manifest.model_validate(data)

    def _output(self, output: Any) -> None:
        if output.output_type == "stream":
            output.text = self.printed(_joined(output.text))
        elif output.output_type == "error":
            output.evalue = self.text(str(output.evalue))
            output.traceback = [self.text(line) for line in output.traceback]
        else:
            for mime, content in output.data.items():
                output.data[mime] = self._content(mime, content)
            output.metadata = type(output.metadata)(self.data(output.metadata))

    def _content(self, mime: str, content: Any) -> Any:
        if isinstance(content, (Mapping, list)) and mime.endswith("json"):
            return self.data(content)
        if mime == "text/html":
            return self.html(_joined(content))
        if mime == "text/plain":
            return self.printed(_joined(content))
        return self.text(_joined(content)) if mime.startswith(_TEXT_TYPES) else content

    def _mapping_key(self, key: Any, masked: Mapping[Any, Any]) -> Any:
        """Mask a key that names somebody; keys that become the same are numbered."""
        if not isinstance(key, str) or _FIELD_NAME.fullmatch(key):
            return key
        name = text = self.text(key)
        number = 1
        while name != key and name in masked:
            number += 1
            name = f"{text} {number}"
        return name

    def _learn(self, output: Any) -> None:
        """Take note of the ids of an output, so that they are masked wherever they are named."""
        if output.output_type == "stream":
            self._printed_tables(_joined(output.text))
        for mime, content in output.get("data", {}).items():
            if isinstance(content, (Mapping, list)) and mime.endswith("json"):
                self.data(content)
            elif mime == "text/html":
                _TABLE.sub(lambda found: self._html_table(found[0]), _joined(content))
            elif mime == "text/plain":
                self._printed_tables(_joined(content))

    def _html_table(self, table: str) -> str:
        kinds: list[str] = []
        is_heading = False
        head_ends = table.lower().find("</thead>")

        def row(found: re.Match[str]) -> str:
            nonlocal kinds, is_heading
            cells = _CELL.findall(found[0])
            named = [
                column_kind(_plain(inner)) for mark, inner, _ in cells for _ in range(_span(mark))
            ]
            is_next = is_heading
            is_heading = found.start() < head_ends or (
                any(named) and all(mark.lower().startswith("<th") for mark, _, _ in cells)
            )
            if is_heading:
                # The second row of headings names the index of the table.
                pairs = itertools.zip_longest(named, kinds if is_next else (), fillvalue="")
                kinds = [new or old for new, old in pairs]
                return found[0]
            if not any(kinds):
                return found[0]
            places = iter(range(len(cells)))
            # A row with fewer cells than headings has lost some to its left: a table of pandas.
            shift = len(kinds) - len(cells)

            def cell(part: re.Match[str]) -> str:
                place = next(places) + shift
                kind = kinds[place] if 0 <= place < len(kinds) else ""
                text = _plain(part[2])
                shown = self._cell(kind, text)
                return part[0] if shown == text else f"{part[1]}{html.escape(shown)}{part[3]}"

            return _CELL.sub(cell, found[0])

        return _ROW.sub(row, table)

    def _cell(self, kind: str, text: str) -> str:
        if not kind or not text:
            return text
        if kind == "personal":
            return text if is_count(text) else HIDDEN
        return self.customer(text)

    def _printed_tables(self, text: str) -> str:
        return masked_tables(text, self._cell)

    def _known_ids(self, text: str) -> str:
        if not self._ids:
            return text

        def known(found: re.Match[str]) -> str:
            token = found[0]
            is_id = token in self._ids and _is_telling(token) and not _is_part_of_number(found)
            return self._ids[token] if is_id else token

        return _TOKEN.sub(known, text)

    def _paths(self, text: str) -> str:
        for folder, short in _own_folders(self.folder.absolute()):
            if folder in text:
                name = rf"(?<![\w./-]){re.escape(folder)}"
                text = re.sub(rf"{name}/", f"{short}/" if short else "", text)
                text = re.sub(rf"{name}(?![\w-]|\.\w)", short or ".", text)
        return text


def mask_run(
    notebook: Any, manifest: Manifest, *, folder: Path, show_customer_ids: bool = False
) -> tuple[Any, Manifest]:
    """Mask what a run is about to publish, before anything of it is written.

    Parameters
    ----------
    notebook : NotebookNode
        The executed notebook; changed in place.
    manifest : Manifest
        Its manifest.
    folder : Path
        The workbench.
    show_customer_ids : bool
        Whether customer ids stay as they are.

    Returns
    -------
    tuple of (NotebookNode, Manifest)
        Both without secrets and personal data; the page is made of them.
    """
    mask = run_mask(folder, show_customer_ids=show_customer_ids)
    # The manifest first, since its ids are masked wherever the notebook's texts name them.
    masked = mask.manifest(manifest)
    notebook = mask.notebook(notebook)
    return notebook, mask.manifest(masked)


def masked_results(
    results: list[dict[str, Any]], notebook: Any, *, folder: Path, show_customer_ids: bool = False
) -> list[dict[str, Any]]:
    """Mask the results of an executed notebook as :func:`mask_run` masks those of a manifest.

    Parameters
    ----------
    results : list of dict
        What the notebook displayed.
    notebook : NotebookNode
        The executed notebook; changed in place.
    folder : Path
        The workbench.
    show_customer_ids : bool
        Whether customer ids stay as they are.
    """
    mask = run_mask(folder, show_customer_ids=show_customer_ids)
    masked = mask.data(results)
    mask.notebook(notebook)
    again: list[dict[str, Any]] = mask.data(masked)
    return again


def run_mask(folder: Path, *, show_customer_ids: bool = False) -> Mask:
    """Give the mask of a workbench, with the secrets of this process's environment."""
    return Mask(folder, shows_customer_ids=show_customer_ids, secrets=environment_secrets())


def environment_secrets() -> tuple[str, ...]:
    """Give the values of environment variables whose names say that they are secret."""
    found = {
        value
        for name, value in os.environ.items()
        if SECRET_NAME.search(name) and _is_secret(value.strip())
    }
    return tuple(sorted(found, key=len, reverse=True))


def masking_key(folder: Path) -> str:
    """Give the key of a workbench; made once, readable by its owner only.

    Parameters
    ----------
    folder : Path
        The workbench.
    """
    return _key(folder.resolve() / KEY_FILE)


def masked_id(key: str, customer_id: str) -> str:
    """Give the keyed hash of a customer id; the gateway's star schema computes the same in SQL.

    Examples
    --------
    >>> masked_id("k", "C-17")
    'c-566c8e941f92f3d3'
    """
    digest = hashlib.sha256(f"{key}:{customer_id}".encode()).hexdigest()
    return f"c-{digest[:MASK_DIGITS]}"


@functools.cache
def _key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n", encoding="ascii")  # a key is not committed
    mine = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key stands
            path.hardlink_to(mine)
    finally:
        mine.unlink()
    return path.read_text(encoding="ascii").strip()


@functools.cache
def _own_folders(folder: Path) -> tuple[tuple[str, str], ...]:
    """Give the folders of this machine that texts may name, and what stands for each."""
    found = ((folder.resolve(), ""), (Path.home(), "~"))
    # not the root: every path would be ours
    return tuple((str(path), short) for path, short in found if len(path.parts) > 1)


def _outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def _joined(content: Any) -> str:
    return "".join(content) if isinstance(content, list) else str(content)


def _plain(inner: str) -> str:
    return html.unescape(_TAG.sub("", inner)).strip()


def _span(mark: str) -> int:
    found = _SPAN.search(mark)
    return int(found[1]) if found else 1


def _phone(found: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in found[0])
    is_amount = _GROUPED.fullmatch(found[0])
    return found[0] if digits not in _PHONE_DIGITS or is_amount else HIDDEN


def _is_masked(text: str) -> bool:
    return bool(_MASKED_ID.fullmatch(text))


def holds_masked(text: str) -> bool:
    """Whether a published text is not what it was: parts are hidden, or ids are hashes.

    Examples
    --------
    >>> holds_masked("c-566c8e941f92f3d3"), holds_masked("mail to [hidden]"), holds_masked("C-17")
    (True, True, False)
    """
    return HIDDEN in text or bool(_MASKED_ID.search(text))


def _is_telling(customer_id: str) -> bool:
    """Whether an id is no ordinary word or number, so that it may be masked within sentences."""
    if customer_id.isdigit():
        return len(customer_id) >= 5
    return len(customer_id) >= 3 and any(character.isdigit() for character in customer_id)


def _is_part_of_number(found: re.Match[str]) -> bool:
    """Whether digits stand before or after the point of a number, as in 0.00360."""
    if not found[0].isdigit():
        return False
    before = found.string[max(found.start() - 5, 0) : found.start()]
    return bool(_BEGUN_NUMBER.search(before) or _NUMBER_GOES_ON.match(found.string, found.end()))


def _is_secret(value: str) -> bool:
    return (
        len(value) >= MIN_SECRET_LENGTH
        and not value.isdigit()
        and value.lower() not in ("false", "default", "disabled", "enabled")
        and not _is_path(value)
    )


def _is_path(value: str) -> bool:
    try:
        return Path(value).exists()
    except OSError:  # longer than a path can be
        return False
