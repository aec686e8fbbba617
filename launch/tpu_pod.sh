#!/usr/bin/env bash
# Runs usis on a Cloud TPU slice: creates it or uses one that is there, installs this clone on each
# of its workers, runs the same command on all of them, and starts again after a preemption.
# Use: bash launch/tpu_pod.sh --name=usis --zone=us-east5-a --type=v5litepod-16 [options] \
#        train --config=configs/ade20k.py --workdir=/mnt/usis/runs/ade20k
#      bash launch/tpu_pod.sh --name=usis --zone=us-east5-a --delete
#
# Options stand before the command; those of creation are not needed where the slice is there:
#   --name=NAME --zone=ZONE    the slice
#   --project=PROJECT          (default: the one that gcloud has)
#   --type=TYPE                accelerator type, such as v5litepod-16 or v6e-16
#   --version=VERSION          system of the workers (default: v2-alpha-tpuv5-lite)
#   --spot                     cheaper, and may be taken away at any time
#   --nfs=HOST:/SHARE          mounts it as /mnt/usis on each worker, for prepared data and --workdir
#   --restarts=N               starts again at most N times (default 100)
#   --delete                   deletes the slice: alone, or when the command has ended
#   --dry_run                  print what would run, and run nothing (or DRY_RUN=1)
#
# You need gcloud, logged in. All workers must see one --workdir and one folder of prepared data
# (--config.data.prepared_dir): with --nfs a Filestore share, which must allow the workers' network.
# The slice is charged for until it is deleted, also when this script is stopped.
# Exit codes of usis decide: 0 done; 2 bad use and 130 end here; with 75 (stopped and saved), any
# other code, or a slice that was taken away, the same command is started again and goes on from
# the last checkpoint. Ctrl-C here asks the workers to save and stop.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "== $*" >&2; }
fail() { printf '%s\n' "launch/tpu_pod.sh: $*" >&2; exit 2; }

name="" zone="" project="" type="" version=v2-alpha-tpuv5-lite spot=0 nfs="" restarts=100 delete=0
dry_run=${DRY_RUN:-0}
while (($#)); do
  case $1 in
    --name=*) name=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --project=*) project=${1#*=} ;;
    --type=*) type=${1#*=} ;;
    --version=*) version=${1#*=} ;;
    --spot) spot=1 ;;
    --nfs=*) nfs=${1#*=} ;;
    --restarts=*) restarts=${1#*=} ;;
    --delete) delete=1 ;;
    --dry_run) dry_run=1 ;;
    -h | --help) sed -n '2,/^set /{/^# \{0,1\}/s///p;}' launch/tpu_pod.sh; exit 0 ;;
    -*) fail "unknown option $1; options of usis stand after its command, see --help" ;;
    *) break ;;
  esac
  shift
done
[[ $name =~ ^[a-z][a-z0-9-]*$ ]] ||
  fail "--name is '$name'; it must be small letters, digits and -, for example --name=usis"
[ -n "$zone" ] || fail "--zone is missing; for example --zone=us-east5-a"
[[ $restarts =~ ^[0-9]{1,6}$ ]] || fail "--restarts is '$restarts'; it must be a whole number"
[[ -z $nfs || $nfs =~ ^[A-Za-z0-9._-]+:/[A-Za-z0-9._/-]*$ ]] ||
  fail "--nfs is '$nfs'; it must be HOST:/SHARE"
((delete || $#)) || fail "no command; for example: train --config=configs/ade20k.py --workdir=DIR"
[ "$dry_run" = 1 ] || command -v gcloud >/dev/null ||
  fail "gcloud is missing; install the Google Cloud CLI and run: gcloud auth login"

tpu=(gcloud compute tpus tpu-vm)
place=("--zone=$zone")
if [ -n "$project" ]; then place+=("--project=$project"); fi

run() {  # COMMAND ...: runs it, or prints it in a dry run
  if [ "$dry_run" = 1 ]; then
    printf '%q ' "$@" | sed 's/ $//'
    echo
  else
    "$@"
  fi
}
state() { "${tpu[@]}" describe "$name" "${place[@]}" --format='value(state)' 2>/dev/null || true; }
everywhere() {  # SCRIPT: on all workers
  run "${tpu[@]}" ssh "$name" "${place[@]}" --worker=all --command "$1"
}

delete_slice() { run "${tpu[@]}" delete "$name" "${place[@]}" --quiet; }

create_slice() {
  [ -n "$type" ] || fail "there is no slice $name in $zone; to create it say --type, for example v5litepod-16"
  local words=("${tpu[@]}" create "$name" "${place[@]}" "--accelerator-type=$type" "--version=$version")
  if ((spot)); then words+=(--spot); fi
  say "Creating $name ($type)"
  if [ "$dry_run" = 1 ]; then run "${words[@]}"; return; fi
  # Where there is no capacity now, there may be some later.
  until run "${words[@]}"; do
    [ "$(state)" = "" ] || delete_slice
    say "Could not create it; again in 5 minutes (Ctrl-C ends)"
    sleep 300
  done
}

ready_slice() {
  if [ "$dry_run" = 1 ]; then
    echo "# unless it is there and READY:"
    [ -z "$type" ] || create_slice
    return
  fi
  local found
  found=$(state)
  case $found in
    READY) return ;;
    "") ;;
    PREEMPTED | TERMINATED | STOPPED) say "$name is $found"; delete_slice ;;
    *) say "$name is $found; looking again in a minute"; sleep 60; ready_slice; return ;;
  esac
  create_slice
}

install_everywhere() {
  local bundle=usis_jax.tar.gz
  say "Installing on all workers"
  run git archive --format=tar.gz -o "${TMPDIR:-/tmp}/$bundle" HEAD
  run "${tpu[@]}" scp "${TMPDIR:-/tmp}/$bundle" "$name:$bundle" "${place[@]}" --worker=all
  everywhere "$(worker_setup "$bundle")"
}

worker_setup() {  # BUNDLE: the script that installs on a worker
  echo "set -e"
  if [ -n "$nfs" ]; then
    cat <<EOF
sudo apt-get install -y -q nfs-common
sudo mkdir -p /mnt/usis
mountpoint -q /mnt/usis || sudo mount -t nfs -o hard $nfs /mnt/usis
sudo chmod 1777 /mnt/usis
EOF
  fi
  cat <<EOF
mkdir -p usis_jax
tar -xzf $1 -C usis_jax
cd usis_jax
. launch/environment.sh
(find_python >/dev/null 2>&1) || sudo apt-get install -y -q python3.11 python3.11-venv
use_environment '[tpu]'
EOF
}

# Each worker says how usis ended: gcloud's own exit code does not tell. What a broken connection
# left running is stopped first.
stop_worker() {  # the script that stops usis on a worker
  cat <<'EOF'
running() { grep -qs usis_jax "/proc/$(cat usis.pid 2>/dev/null)/cmdline"; }
cd
if running; then
  kill -TERM "$(cat usis.pid)"
  for i in $(seq 300); do running || break; sleep 1; done
  if running; then kill -KILL "$(cat usis.pid)"; fi
fi
rm -f usis.pid
EOF
}

train_everywhere() {
  local words
  words=$(printf '%q ' "$@")
  everywhere "$(stop_worker)
cd usis_jax
${nfs:+USIS_CACHE=/mnt/usis/cache }USIS_DISTRIBUTED=1 .venv/bin/python -m usis_jax $words&
echo \$! > ../usis.pid
wait \$! && code=0 || code=\$?
echo usis_exit_code=\$code
exit \$code"
}

decide() {  # FILE: prints the exit code to end with, or "again"
  local codes
  codes=$(sed -n 's/.*usis_exit_code=\([0-9][0-9]*\).*/\1/p' "$1" | sort -un | tr '\n' ' ')
  case " $codes" in
    *" 2 "*) echo 2 ;;
    *" 130 "*) echo 130 ;;
    " 0 ") echo 0 ;;
    *) echo again ;;
  esac
}

if ((!$#)); then
  delete_slice
  exit 0
fi
if [ "$dry_run" = 1 ]; then
  ready_slice 2>/dev/null
  install_everywhere 2>/dev/null
  train_everywhere "$@"
  echo "# again, at most $restarts times, unless all workers end with exit code 0 or one with 2 or 130"
  ((!delete)) || delete_slice
  exit 0
fi

trap 'say "Asking the workers to save and stop"; everywhere "$(stop_worker)"; exit 130' INT TERM
output=$(mktemp "${TMPDIR:-/tmp}/usis_tpu.XXXXXX")
result=again
for ((attempt = 0; attempt <= restarts; attempt++)); do
  ready_slice
  install_everywhere || { say "Installing failed; again in a minute"; sleep 60; continue; }
  say "Training on all workers (start $((attempt + 1)))"
  # In the background, so that signals to this script are not kept waiting.
  train_everywhere "$@" > >(tee "$output") 2>&1 &
  wait "$!" || true
  # A worker that did not say how it ended was lost.
  ended=0
  if [ "$(state)" = READY ]; then ended=1; fi
  result=$(decide "$output")
  if [ "$result" = 0 ] && ((!ended)); then result=again; fi
  [ "$result" = again ] || break
  say "Stopped or lost; starting again"
  sleep 10
done
rm -f "$output"
if [ "$result" = again ]; then
  printf '%s\n' "launch/tpu_pod.sh: did not end in $((restarts + 1)) starts; see the messages above" >&2
  result=1
fi
if ((delete)); then delete_slice; else say "The slice $name is still there and charged for; --delete deletes it"; fi
exit "$result"
