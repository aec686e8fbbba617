#!/usr/bin/env bash
# Installs the test extras, lints, checks imports and types, and runs the tests.
# Use: bash launch/test.sh [--all] [tests/cli/main_test.py] [-k NAME] ...
# Tests marked slow run with --all only; other arguments go on to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. launch/environment.sh

chosen="not slow"
if [ "${1:-}" = "--all" ]; then
  chosen="slow or not slow"
  shift
fi
use_environment "[test]"
failed=0
say "Linting"
ruff check . || failed=1
ruff format --check --quiet . || { say "Not formatted: run ruff format ."; failed=1; }
say "Checking who imports whom"
lint-imports --no-logo --no-cache || failed=1
say "Checking types"
mypy || failed=1
say "Testing"
python -m pytest -n 2 --dist loadfile -m "$chosen" "$@" || failed=1
exit $failed
