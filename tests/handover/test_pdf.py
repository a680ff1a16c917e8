"""The PDF of a report: printed whole on A4, with page numbers, or refused with a reason."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crm_lab.errors import ReportError
from crm_lab.handover import write_pdf
from crm_lab.handover.pdf import BROWSERS, PDF_NAME, find_browser, print_page, printable_page

needs_browser = pytest.mark.skipif(
    not any(shutil.which(name) for name in BROWSERS), reason="no Chromium on this machine"
)


@needs_browser
def test_a_report_is_printed_on_a4_with_its_pages_numbered(
    run_folder: Path, tmp_path: Path
) -> None:
    write_pdf(run_folder, tmp_path / "out")
    content = (tmp_path / "out" / PDF_NAME).read_bytes()
    assert content.startswith(b"%PDF-")
    boxes = re.findall(rb"/MediaBox \[0 0 (\d+)[\d.]* (\d+)[\d.]*\]", content)
    assert {(int(width), int(height)) for width, height in boxes} == {(594, 841)}
    if shutil.which("pdftotext"):
        done = subprocess.run(
            ["pdftotext", "-layout", tmp_path / "out" / PDF_NAME, "-"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(r"1\s*/\s*\d", done.stdout)
        assert "It brought +1.5 RUB <b>each</b>" in done.stdout
        assert "alert(2)" not in done.stdout


def test_everything_is_unfolded_and_the_title_cannot_leave_its_place() -> None:
    page = "<html><head><title>x</title></head><body><details class='a'>y</details></body></html>"
    printed = printable_page(page, title="It's </style><script>alert(1)</script> \\ done")
    assert "<details open class='a'>" in printed
    assert printed.count("</style>") == 1
    assert "<script>" not in printed
    assert r"It\'s" in printed


def test_a_machine_without_chromium_is_told_what_to_install(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CRM_LAB_CHROMIUM", raising=False)
    with pytest.raises(ReportError, match="apt-get install chromium"):
        write_pdf(run_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_browser_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "browser"
    broken.write_text("#!/bin/sh\necho it broke >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("CRM_LAB_CHROMIUM", str(broken))
    assert find_browser() == broken
    with pytest.raises(ReportError, match="did not print: it broke"):
        print_page(broken, "<html></html>", tmp_path / "x.pdf")
