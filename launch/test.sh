#!/usr/bin/env bash
# Installs the test extras, lints, checks imports and types and runs the tests; arguments go on to
# pytest.
# Use: bash launch/test.sh [tests/cli/main_test.py] [-k NAME] ...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. launch/environment.sh

use_environment "[test]"
say "Linting"
failed=0
ruff check . || failed=1
say "Checking who imports whom"
lint-imports --no-logo --no-cache || failed=1
say "Checking types"
mypy || failed=1
say "Testing"
python -m pytest -n 2 --dist loadfile "$@" || failed=1
exit $failed
