"""A published page as PDF: printed by Chromium on A4, with page numbers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from crm_lab.errors import ReportError
from crm_lab.handover.folders import Handover, hand_over
from crm_lab.handover.inert import one_line
from crm_lab.language import say
from crm_lab.reports.differences import manifest_of
from crm_lab.reports.manifest import PAGE_NAME
from crm_lab.reports.notebooks import digest

PDF_NAME = "report.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER_VARIABLE = "CRM_LAB_CHROMIUM"
"""Environment variable that names the browser's file where it is not on the path."""
PRINT_SECONDS = 180
_PRINT_STYLE = (
    "<style>@page{size:A4;margin:14mm 12mm 16mm;@bottom-right{content:counter(page) ' / ' "
    "counter(pages);font:9px sans-serif;color:#555}@bottom-left{content:'TITLE';"
    "font:9px sans-serif;color:#555}}</style>"
)
_HEAD_END = re.compile(r"</head>", re.IGNORECASE)
_CLOSED = re.compile(r"<details(?![^>]*\bopen\b)", re.IGNORECASE)


def write_pdf(run_folder: Path, folder: Path, *, replace: bool = False) -> Handover:
    """Print the page of a published run into a PDF.

    Parameters
    ----------
    run_folder : Path
        A published run.
    folder : Path
        The folder to make.
    replace : bool, default False
        Whether an earlier hand-over in this folder gives way.

    Raises
    ------
    ReportError
        There is no such run, no Chromium, or the folder is there already.
    """
    manifest = manifest_of(run_folder)
    browser = find_browser()
    page = run_folder / PAGE_NAME
    printable = printable_page(page.read_text(encoding="utf-8"), title=manifest.title)

    def write(place: Path) -> None:
        print_page(browser, printable, place / PDF_NAME)

    return hand_over(
        folder,
        write,
        kind="pdf",
        source=manifest.run_id,
        facts={"title": manifest.title, "page_sha256": digest(page)},
        replace=replace,
    )


def find_browser() -> Path:
    """Find Chromium or a browser made of it.

    Raises
    ------
    ReportError
        There is none.
    """
    named = os.environ.get(BROWSER_VARIABLE)
    found = named if named and Path(named).is_file() else None
    found = found or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise ReportError(
            say("no Chromium on this machine"),
            expected=say("one of {names}", names=", ".join(BROWSERS)),
            remedy=say(
                "install it (Debian and Ubuntu: apt-get install chromium), or name its file in"
                " the environment variable {variable}",
                variable=BROWSER_VARIABLE,
            ),
        )
    return Path(found)


def printable_page(page: str, *, title: str) -> str:
    """Give a page with page numbers, its title at the foot, and everything unfolded."""
    text = one_line(title).replace("\\", "\\\\").replace("'", "\\'")
    shown = text.replace("<", "\\3c ").replace(">", "\\3e ")
    style = _PRINT_STYLE.replace("TITLE", shown)
    opened = _CLOSED.sub("<details open", page)
    return _HEAD_END.sub(lambda found: style + found[0], opened, count=1)


def print_page(browser: Path, page: str, target: Path) -> None:
    """Print HTML into a PDF file with a browser of its own that loads nothing.

    Raises
    ------
    ReportError
        The browser does not print.
    """
    with tempfile.TemporaryDirectory(prefix="crm-lab-print-") as scratch:
        source = Path(scratch) / "page.html"
        source.write_text(page, encoding="utf-8")
        command = [
            str(browser),
            "--headless=new",
            "--disable-gpu",
            "--disable-extensions",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-first-run",
            "--no-pdf-header-footer",
            f"--user-data-dir={scratch}/profile",
            f"--print-to-pdf={target.resolve()}",
            source.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium has none for root
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PRINT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ReportError(
                say("the browser has not printed within {seconds} seconds", seconds=PRINT_SECONDS),
                where=str(browser),
            ) from None
    if done.returncode != 0 or not target.is_file():
        last = done.stderr.strip().splitlines()[-1:] or [""]
        raise ReportError(
            say("the browser did not print: {message}", message=last[0]), where=str(browser)
        )
