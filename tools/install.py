"""Make a virtual environment with exactly what requirements.lock names; ``make`` calls it.

An environment whose installation was cut off is made anew; one that is complete is only brought
up to date. Works without make too::

    python3 tools/install.py [FOLDER]      # FOLDER is .venv unless given
    py -3.12 tools/install.py              # Windows
"""

# The first thing this file does is to judge the interpreter, so old ones must be able to read it:
# nothing newer than Python 3.6 in here.

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
TOO_NEW = (3, 14)
PROJECT = Path(__file__).resolve().parent.parent
LOCK = PROJECT / "requirements.lock"
STAMP_NAME = ".installed"
STARTED_NAME = ".installing"


def python_problem(version, executable):
    """Say in one line what is wrong with this interpreter; empty when it will do."""
    if OLDEST <= tuple(version[:2]) < TOO_NEW:
        return ""
    found = ".".join(str(part) for part in version[:3])
    return (
        f"needs Python 3.11, 3.12 or 3.13; {executable} is Python {found}. "
        "Name another one: make PYTHON=python3.12"
    )


def venv_problem():
    """Say in one line why this interpreter cannot make an environment; empty when it can."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as problem:
        return (
            f"{sys.executable} has no module '{problem.name}', which makes virtual environments. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )
    return ""


def environment_python(folder):
    """Path of the environment's own interpreter."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_usable(folder):
    """Whether the environment runs, is of a supported version, and was not cut off half-way."""
    if (folder / STARTED_NAME).exists() or not environment_python(folder).exists():
        return False
    test = f"import sys, pip; sys.exit(not {OLDEST!r} <= sys.version_info[:2] < {TOO_NEW!r})"
    command = [str(environment_python(folder)), "-c", test]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def install(folder):
    """Make or repair the environment; the stamp is written only after the last step."""
    stamp, started = folder / STAMP_NAME, folder / STARTED_NAME
    if stamp.exists():
        stamp.unlink()
    usable = is_usable(folder)
    if not usable and folder.exists():
        remove_incomplete(folder)
    folder.mkdir(parents=True, exist_ok=True)
    started.touch()
    if not usable:
        run("the environment", sys.executable, "-m", "venv", str(folder))
    pip = [str(environment_python(folder)), "-m", "pip", "--disable-pip-version-check"]
    pip += ["install", "-qq", "--no-input", "--progress-bar", "off"]
    run("the packages of requirements.lock", *pip, "--require-hashes", "-r", str(LOCK))
    run("crm-lab itself", *pip, "--no-deps", "--no-build-isolation", "-e", str(PROJECT))
    started.unlink()
    stamp.touch()


def remove_incomplete(folder):
    """Remove what an interrupted installation left; refuse a folder that is something else."""
    marks = [folder / STARTED_NAME, folder / "pyvenv.cfg"]
    if any(folder.iterdir()) and not any(mark.exists() for mark in marks):
        say(f"{folder} is there and is no virtual environment; choose another folder")
        sys.exit(1)
    say(f"{folder.name} is incomplete; it is made anew")
    shutil.rmtree(str(folder))


def run(what, *command):
    """Run one step; the first that fails ends the installation."""
    code = subprocess.run(command, check=False).returncode
    if code:
        say(f"could not install {what} (exit code {code}); the next run starts again")
        sys.exit(1)


def package_count():
    """How many packages the lock names, those for other systems included."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return sum("==" in line and not line.startswith((" ", "#")) for line in lines)


def size_mb(folder):
    """Size of the environment on disk, in MB (a file with several names counts once)."""
    sizes = {}
    for parent, _, names in os.walk(str(folder)):
        for name in names:
            status = os.lstat(os.path.join(parent, name))  # noqa: PTH118
            sizes[(status.st_dev, status.st_ino)] = status.st_size
    return sum(sizes.values()) / 1e6


def say(text):
    """Write one line for the person who waits."""
    print("crm-lab: " + text, flush=True)


def main(arguments):
    """Judge the interpreter, then install."""
    problem = python_problem(sys.version_info, sys.executable) or venv_problem()
    if problem:
        print("crm-lab: " + problem, file=sys.stderr)
        return 1
    folder = Path(arguments[0] if arguments else ".venv")
    folder = folder if folder.is_absolute() else PROJECT / folder
    if is_usable(folder):
        say(f"bringing {folder.name} up to date ...")
    else:
        say(f"installing {package_count()} packages into {folder.name}, about two minutes ...")
    begun = time.time()
    try:
        install(folder)
    except KeyboardInterrupt:
        print("\ncrm-lab: interrupted; the next run starts again", file=sys.stderr)
        return 130
    say(f"installed in {time.time() - begun:.0f} s, {size_mb(folder):,.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
