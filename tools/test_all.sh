#!/usr/bin/env bash
# Run the test suite on every supported Python that this machine has, each in its own environment:
# .venv for the version it has, .venv-3.12 and so on for the others. A version that is missing is
# named and skipped; none at all fails.
# `make test-all ARGS="-k ledger"` calls it; make hands ARGS down by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

# A command of the search path, or an interpreter that pyenv keeps but has not switched on.
find_python() {
  local version=$1 pyenv_root candidate
  pyenv_root=$(pyenv root 2>/dev/null || true)
  for candidate in "python$version" "${pyenv_root:-/nowhere}"/versions/"$version".*/bin/python; do
    if is_version "$candidate" "$version"; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

is_version() {
  "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" >/dev/null 2>&1
}

ran=0
failed=()
for version in 3.11 3.12 3.13; do
  if ! python=$(find_python "$version"); then
    echo "== Python $version: not on this machine, skipped"
    continue
  fi
  echo "== Python $version"
  ran=$((ran + 1))
  environment=.venv-$version
  if is_version .venv/bin/python "$version"; then
    environment=.venv
  fi
  "${MAKE:-make}" --no-print-directory test PYTHON="$python" VENV="$environment" ||
    failed+=("$version")
done

if ((ran == 0)); then
  echo "no Python 3.11, 3.12 or 3.13 was found" >&2
  exit 1
fi
if ((${#failed[@]})); then
  echo "failed on Python ${failed[*]}" >&2
  exit 1
fi
echo "passed on $ran Python versions"
