#!/usr/bin/env bash
# Builds the documentation site, with broken links and references as errors, and says where it is.
# Use: bash launch/docs.sh [--out=DIR]        (DIR: site/ in the clone; open index.html there)
# Exit code: 0 built; 1 something in it is wrong, said above; 2 bad use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. launch/environment.sh

out=$PWD/site
for argument in "$@"; do
  case $argument in
    --out=?*) out=${argument#--out=} ;;
    -h | --help) sed -n '2,4s/^# //p' launch/docs.sh; exit 0 ;;
    *) fail "unknown argument $argument; allowed is --out=DIR" ;;
  esac
done

use_environment "[docs]"
say "Building the documentation"
export NO_MKDOCS_2_WARNING=1 PYTHONPATH=$PWD
# Not --quiet: with it mkdocs counts no warning, and --strict lets everything pass.
python -m mkdocs build --strict --site-dir "$out"
say "Done. Open $out/index.html"
