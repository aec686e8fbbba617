#!/usr/bin/env bash
# From a fresh clone to images generated from label maps: install, draw the data, train, show where.
# Use: bash launch/quickstart.sh [--workdir=DIR] [--config.field=value ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. launch/environment.sh

workdir=runs/quickstart
fields=()
for argument in "$@"; do
  case $argument in
    --workdir=*) workdir=${argument#--workdir=} ;;
    --config.*=*) fields+=("$argument") ;;
    -h | --help) sed -n '2,3s/^# //p' launch/quickstart.sh; exit 0 ;;
    *) fail "unknown argument $argument; allowed are --workdir=DIR and --config.field=value" ;;
  esac
done

use_environment ""
say "Drawing street scenes and their label maps"
usis prepare --config=configs/quickstart.py ${fields[@]+"${fields[@]}"}
say "Training in $workdir"
usis train --config=configs/quickstart.py --workdir="$workdir" ${fields[@]+"${fields[@]}"}

say "Done. Look at"
newest=$(find "$workdir/samples" -name '*.png' 2>/dev/null | sort | tail -n 1)
echo "   samples   ${newest:-$workdir/samples}"
echo "             each row: a label map, images generated from it, a real image to compare"
echo "   losses    $workdir/losses.png"
echo "   more      . $VIRTUAL_ENV/bin/activate; usis sample --help"
