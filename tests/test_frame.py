"""The frame: dependencies in step, names, notebooks, import contracts, installer, benchmarks."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from benchmarks import harness
from benchmarks.__main__ import main as run_benchmarks
from tools import install, make_environment

PROJECT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
RUNTIME = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
EXTRAS = {
    extra: [Requirement(text) for text in texts]
    for extra, texts in PYPROJECT["project"]["optional-dependencies"].items()
}
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SOURCES = sorted((PROJECT / "crm_lab").rglob("*.py"))

LARGEST_FILE_BYTES = 1_000_000
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager"}

DESIGN_CARD = ["jupyterlab", "pandas", "statsmodels", "scipy", "lifetimes", "papermill"]
DESIGN_CARD += ["matplotlib", "pytest"]


# --- dependencies -------------------------------------------------------------------------------


def lock_lines() -> list[str]:
    return (PROJECT / "requirements.lock").read_text("utf-8").splitlines()


def locked_versions() -> dict[str, list[Version]]:
    """Every pinned version by package name; one package may have one pin per Python version."""
    versions: dict[str, list[Version]] = {}
    for line in lock_lines():
        if match := re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\]+)", line):
            versions.setdefault(canonicalize_name(match[1]), []).append(Version(match[2]))
    return versions


def test_environment_is_in_step_with_pyproject():
    assert make_environment.main(["--check"]) == 0, "run: make environment"


def test_environment_check_notices_a_difference(tmp_path, capsys):
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    assert make_environment.main(["--check"], folder=tmp_path) == 1
    assert "out of step" in capsys.readouterr().err
    assert make_environment.main([], folder=tmp_path) == 0
    assert make_environment.main(["--check"], folder=tmp_path) == 0


@pytest.mark.parametrize("text", ["a[b]>=1", "a>=1; python_version<'3.12'", "a @ https://b"])
def test_environment_refuses_what_conda_cannot_express(text):
    with pytest.raises(ValueError, match="conda has none"):
        make_environment.split_requirement(text)


def test_lock_pins_every_dependency_within_its_range():
    locked = locked_versions()
    wanted = RUNTIME + EXTRAS["demo"] + EXTRAS["dev"]
    missing = [need.name for need in wanted if canonicalize_name(need.name) not in locked]
    assert missing == [], "run: make lock"
    outside = [
        f"{need} is locked at {version}"
        for need in wanted
        for version in locked[canonicalize_name(need.name)]
        if version not in need.specifier
    ]
    assert outside == [], "run: make lock"


def test_lock_pins_every_package_by_hash():
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n".join(lock_lines()))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_lock_names_no_address():
    address = re.compile(r"://|^\s*--(?!hash=)| @ ")
    assert [line for line in lock_lines() if address.search(line)] == []


@pytest.mark.parametrize("package", DESIGN_CARD)
def test_package_of_the_design_card_is_declared(package):
    declared = EXTRAS["dev"] if package == "pytest" else RUNTIME
    assert package in {need.name for need in declared}


@pytest.mark.parametrize("package", [name for name in DESIGN_CARD if name != "jupyterlab"])
def test_package_of_the_design_card_is_used(package):
    files = [*SOURCES, *sorted((PROJECT / "tests").rglob("*.py"))]
    assert any(package in imported_packages(path) for path in files)


def test_jupyterlab_is_what_make_lab_opens():
    assert "jupyter lab" in (PROJECT / "Makefile").read_text("utf-8")


def imported_packages(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, also those it loads by name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            names.update(str(text).partition(".")[0] for text in texts)
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


# --- names and files ----------------------------------------------------------------------------


def test_no_module_is_named_after_nothing():
    modules = {path.relative_to(PROJECT) for path in SOURCES}
    bad = [str(path) for path in modules if FORBIDDEN_NAMES & {path.stem, *path.parts}]
    assert bad == []


def test_nothing_in_the_package_starts_with_test():
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    bad = [
        f"{path.relative_to(PROJECT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, definitions) and re.match(r"Test|test_", node.name)
    ]
    assert bad == []


def tracked_files() -> Iterator[Path]:
    """Files that git tracks; skips outside a git checkout."""
    if shutil.which("git") is None or not (PROJECT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True, text=True
    )
    return (PROJECT / name for name in listed.stdout.split("\0") if name)


def test_no_large_file_is_tracked():
    large = [
        f"{path.relative_to(PROJECT)}: {path.stat().st_size:,} bytes"
        for path in tracked_files()
        if path.is_file() and path.stat().st_size > LARGEST_FILE_BYTES
    ]
    assert large == []


# --- notebooks ----------------------------------------------------------------------------------


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_notebook_is_committed_without_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_notebook_names_its_kernel(notebook):
    assert notebook.metadata.get("kernelspec", {}).get("name")


def test_notebook_has_one_parameters_cell(notebook):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.cell_type for cell in tagged] == ["code"]


def test_notebook_has_one_title(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    outside_fences = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"^# ", outside_fences, flags=re.MULTILINE)) == 1


# --- import contracts ---------------------------------------------------------------------------

FORBIDDEN_IMPORTS = {
    "crm_lab/formats.py": ("import crm_lab.gateway", "layers"),
    "crm_lab/ltv/__init__.py": ("import crm_lab.gateway.store", "subjects"),
    "crm_lab/customers/__init__.py": ("import crm_lab.ltv", "layers"),
    "crm_lab/experiments/__init__.py": ("import crm_lab.uplift", "experiments"),
    "crm_lab/campaigns/__init__.py": ("import crm_lab.simulation", "experiments"),
    "crm_lab/workbench.py": ("import crm_lab.datasets", "workbench"),
    "crm_lab/reports/__init__.py": ("import crm_lab.stats", "reports"),
    "crm_lab/stats/__init__.py": ("import crm_lab.settings", "stats"),
    "crm_lab/plots/__init__.py": ("import crm_lab.gateway", "plots"),
    "crm_lab/datasets.py": ("import sqlite3", "engines"),
    "crm_lab/ltv/models.py": ("import lifetimes", "lifetimes"),
    "crm_lab/cli.py": ("import papermill", "papermill"),
}
ALLOWED_IMPORTS = {
    "crm_lab/errors.py": "",
    "crm_lab/settings.py": "import crm_lab.errors, crm_lab.yaml_files",
    "crm_lab/yaml_files.py": "import crm_lab.errors, crm_lab.formats",
    "crm_lab/cards.py": "import crm_lab.formats",
    "crm_lab/formats.py": "import crm_lab.errors",
    "crm_lab/stats/__init__.py": "import crm_lab.cards, crm_lab.formats, crm_lab.errors",
    "crm_lab/simulation/__init__.py": "import crm_lab.errors",
    "crm_lab/datasets.py": "import crm_lab.errors",
    "crm_lab/gateway/__init__.py": "import duckdb, crm_lab.settings, crm_lab.gateway.store",
    "crm_lab/gateway/store.py": "import sqlite3, crm_lab.errors",
    "crm_lab/customers/__init__.py": "import crm_lab.stats",
    "crm_lab/ltv/__init__.py": "import crm_lab.stats, crm_lab.ltv.lifetimes_backend",
    "crm_lab/ltv/lifetimes_backend.py": "import lifetimes",
    "crm_lab/ltv/models.py": "import crm_lab.stats",
    "crm_lab/uplift/__init__.py": "import crm_lab.stats",
    "crm_lab/experiments/__init__.py": "import crm_lab.gateway, crm_lab.customers, crm_lab.stats",
    "crm_lab/campaigns/__init__.py": "import crm_lab.gateway, crm_lab.experiments, crm_lab.stats",
    "crm_lab/reports/__init__.py": "import papermill, crm_lab.settings, crm_lab.reports.runner",
    "crm_lab/reports/runner.py": "import papermill",
    "crm_lab/plots/__init__.py": "import crm_lab.experiments, crm_lab.ltv, crm_lab.stats",
    "crm_lab/workbench.py": "import crm_lab.gateway, crm_lab.ltv, crm_lab.campaigns",
    "crm_lab/demo.py": "import crm_lab.workbench, crm_lab.reports, crm_lab.datasets",
    "crm_lab/cli.py": "import crm_lab.demo, crm_lab.workbench",
}


def broken_contracts(folder: Path, sources: dict[str, str]) -> set[str]:
    """Names of the contracts that a package of these sources breaks."""
    for path, text in {"crm_lab/__init__.py": "", **sources}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    lint_imports = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run(
        [lint_imports, "--no-cache", "--no-logo", "--config", PROJECT / "pyproject.toml"],
        cwd=folder,
        env=os.environ | {"COLUMNS": "300", "PYTHONUTF8": "1"},
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
    )
    assert "Contracts:" in found.stdout, found.stdout + found.stderr
    return set(re.findall(r"^(.+?) ?BROKEN", found.stdout, flags=re.MULTILINE))


def contract_name(identifier: str) -> str:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    return next(entry["name"] for entry in contracts if entry["id"] == identifier)


def test_contracts_allow_the_architecture(tmp_path):
    assert broken_contracts(tmp_path, ALLOWED_IMPORTS) == set()


@pytest.mark.parametrize("path", sorted(FORBIDDEN_IMPORTS))
def test_contracts_refuse(path, tmp_path):
    statement, identifier = FORBIDDEN_IMPORTS[path]
    sources = {**ALLOWED_IMPORTS, path: f"{ALLOWED_IMPORTS[path]}\n{statement}\n"}
    assert contract_name(identifier) in broken_contracts(tmp_path, sources)


def test_contracts_refuse_a_module_without_a_layer(tmp_path):
    sources = {**ALLOWED_IMPORTS, "crm_lab/newcomer.py": ""}
    assert broken_contracts(tmp_path, sources) == {contract_name("layers")}


# --- installer and commands ---------------------------------------------------------------------


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 13, 9)])
def test_installer_takes_supported_pythons(version):
    assert install.python_problem(version, "python3") == ""


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0), (2, 7, 18)])
def test_installer_names_what_it_found(version):
    found = ".".join(str(part) for part in version)
    assert f"my/python3 is Python {found}" in install.python_problem(version, "my/python3")


def test_installer_agrees_with_pyproject():
    (low, high) = (".".join(map(str, bound)) for bound in (install.OLDEST, install.TOO_NEW))
    assert PYPROJECT["project"]["requires-python"] == f">={low},<{high}"


def test_interrupted_environment_is_made_anew(tmp_path, capsys):
    python = install.environment_python(tmp_path / "venv")
    python.parent.mkdir(parents=True)
    python.write_text("", "utf-8")
    (tmp_path / "venv" / install.STARTED_NAME).touch()
    assert not install.is_usable(tmp_path / "venv")
    install.remove_incomplete(tmp_path / "venv")
    assert not (tmp_path / "venv").exists()
    assert "made anew" in capsys.readouterr().out


def test_installer_never_removes_another_folder(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine", "utf-8")
    with pytest.raises(SystemExit):
        install.remove_incomplete(tmp_path)
    assert (tmp_path / "letter.txt").exists()
    assert "no virtual environment" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_help_lists_every_command():
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=PROJECT, capture_output=True, check=True, text=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    assert [name for name in phony[1].split() if f"make {name} " not in shown] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_make_says_which_python_it_did_not_find(tmp_path):
    found = subprocess.run(
        ["make", "-s", "test", f"VENV={tmp_path}/venv", "PYTHON=no-such-python"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert found.returncode == 2
    assert "'no-such-python' was not found" in found.stderr


# --- benchmarks ---------------------------------------------------------------------------------

DUMMY = """
from benchmarks.harness import Sides, benchmark

MEGABYTE = 1_000_000


@benchmark("sum_of_squares", peer="a loop", note="self-test")
def sum_of_squares():
    held = bytearray(50 * MEGABYTE)
    n = 300_000

    def ours():
        return n * (n - 1) * (2 * n - 1) // 6

    def peer():
        block = bytearray(b"x") * (30 * MEGABYTE)
        return sum(i * i for i in range(n)) + 0 * len(block) * len(held)

    def check(ours, peer):
        assert ours == peer

    return Sides(ours=ours, peer=peer, check=check)


@benchmark("wrong", peer="the truth")
def wrong():
    def check(ours, peer):
        assert ours == peer

    return Sides(ours=lambda: 1, peer=lambda: 2, check=check)
"""


@pytest.fixture
def dummy_folder(tmp_path):
    (tmp_path / "bench_dummy.py").write_text(DUMMY, "utf-8")
    return tmp_path


def test_harness_measures_both_sides(dummy_folder):
    code = run_benchmarks(["--folder", str(dummy_folder), "--only", "sum_of_squares"])
    [line] = json.loads((dummy_folder / "results.json").read_text("utf-8"))
    assert code == 0
    assert {"name", "ours_s", "peer", "peer_s", "ratio", "peak_mb", "note"} <= line.keys()
    assert (line["name"], line["peer"], line["note"]) == ("sum_of_squares", "a loop", "self-test")
    assert line["peer_s"] > 0.005
    assert line["ratio"] is None or line["ratio"] > 10
    if sys.platform == "linux":  # the peer's 30 MB are seen, the 50 MB of the preparation are not
        assert line["peak_mb"] < 10
        assert 25 < line["peer_peak_mb"] < 45


def test_harness_refuses_a_wrong_result(dummy_folder, capfd):
    code = run_benchmarks(["--folder", str(dummy_folder), "--only", "wrong"])
    assert code == 1
    assert "'wrong' failed" in capfd.readouterr().err
    assert not (dummy_folder / "results.json").exists()


def test_harness_names_the_benchmarks_it_knows(dummy_folder):
    with pytest.raises(harness.BenchmarkError, match="there are: sum_of_squares, wrong"):
        harness.measure("other", folder=dummy_folder)


def test_one_benchmark_leaves_the_lines_of_the_others(tmp_path):
    def line(name: str, ours_s: float) -> harness.Measurement:
        return harness.Measurement(
            name=name, ours_s=ours_s, peer="p", peer_s=1.0, ratio=1 / ours_s, peak_mb=1.0,
            peer_peak_mb=None, rounds=1, note="",
        )  # fmt: skip

    path = tmp_path / "results.json"
    harness.write_results([line("a", 0.5), line("b", 0.5)], path, keep=False)
    harness.write_results([line("b", 0.25)], path, keep=True)
    assert [(entry["name"], entry["ratio"]) for entry in json.loads(path.read_text())] == [
        ("a", 2.0),
        ("b", 4.0),
    ]
    harness.write_results([line("b", 0.25)], path, keep=False)
    assert [entry["name"] for entry in json.loads(path.read_text())] == ["b"]
