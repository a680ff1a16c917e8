"""The report notebooks of a workbench, by kind."""

from __future__ import annotations

from pathlib import Path

from crm_lab.errors import ReportError
from crm_lab.formats import listing
from crm_lab.language import current_language, say
from crm_lab.workbench import Workbench


def notebooks(workbench: Workbench) -> dict[str, Path]:
    """Give the report notebooks by kind: the workbench's own, else those of the package."""
    folder = workbench.settings.notebooks_folder
    chosen = folder if any(folder.glob("*.ipynb")) else shipped_notebooks()
    return {kind_of(path): path for path in sorted(chosen.glob("*.ipynb"))} if chosen else {}


def find_notebook(workbench: Workbench, name: str) -> Path:
    """Find a report notebook by kind (``campaign_experiment``), part of it, or path.

    Raises
    ------
    ReportError
        None fits, or several.
    """
    path = Path(name)
    if path.suffix == ".ipynb":
        return path
    known = notebooks(workbench)
    wanted = name.replace("-", "_")
    fitting = [known[wanted]] if wanted in known else [p for k, p in known.items() if wanted in k]
    if len(fitting) != 1:
        raise ReportError(
            say("{count} report notebooks fit '{name}'", count=len(fitting), name=name),
            expected=say("one of {names}", names=listing(list(known), limit=20)),
        )
    return fitting[0]


def kind_of(path: Path) -> str:
    """Give a notebook's kind: its file name without the number in front.

    Examples
    --------
    >>> kind_of(Path("04_campaign_experiment.ipynb"))
    'campaign_experiment'
    """
    return path.stem.lstrip("0123456789_")


def shipped_notebooks() -> Path | None:
    """Find the report notebooks that come with the package, in an installation or a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_notebooks", package.parent / "notebooks"):
        if folder.is_dir():
            return folder
    return None


def notebook_texts() -> dict[str, str]:
    """Give the shipped notebooks for a new workbench, in the current language, by file name."""
    # imported here: notebooks take seconds to import
    import nbformat

    from crm_lab.reports.localising import localised, with_default_language

    folder = shipped_notebooks()
    texts = {}
    for path in sorted(folder.glob("*.ipynb")) if folder else ():
        texts[path.name] = path.read_text("utf-8")
        if current_language() != "en":
            notebook = localised(nbformat.reads(texts[path.name], as_version=4), current_language())
            texts[path.name] = nbformat.writes(with_default_language(notebook, current_language()))
    return texts
