#!/usr/bin/env bash
# Runs usis on this machine: in one process on all its GPUs (without any, on its CPU), with
# --devices=N on N faked CPU devices, or with --processes=N in N processes over 127.0.0.1.
# Use: bash launch/local.sh [options] train --config=configs/cityscapes.py --workdir=runs/cityscapes
#
# Options stand before the command:
#   --devices=N    N faked CPU devices (in each process); for trying out what several devices do
#   --processes=N  N processes; the GPUs are divided among them, without GPUs they share the CPU
#   --cpu          the CPU, although there are GPUs
#   --port=P       port of process 0 on 127.0.0.1 (default: a free one)
#   --no_install   use the Python on PATH as it is, instead of making or completing .venv
#   --dry_run      print what would run, one command a line, and run nothing (or DRY_RUN=1)
#
# Relative paths are relative to the clone. Process 0 writes to the terminal, the others into
# files that are named when something went wrong. SIGTERM, SIGHUP, SIGUSR1 and Ctrl-C are handed to
# all processes: they save and stop, and the same command goes on later. Exit code: that of usis, of
# several processes the first that is not 0; 2 bad use; 130 after Ctrl-C.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. launch/environment.sh

devices=0 processes=1 port="" cpu=0 install=1 dry_run=${DRY_RUN:-0}
number() {  # NAME VALUE LARGEST: fails unless the value is a whole number from 1
  if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || (($2 > $3)); then fail "$1 is '$2'; it must be 1 to $3"; fi
}
while (($#)); do
  case $1 in
    --devices=*) devices=${1#*=}; number --devices "$devices" 256 ;;
    --processes=*) processes=${1#*=}; number --processes "$processes" 64 ;;
    --port=*) port=${1#*=}; number --port "$port" 65535 ;;
    --cpu) cpu=1 ;;
    --no_install) install=0 ;;
    --dry_run) dry_run=1 ;;
    -h | --help) sed -n '2,/^set /{/^# \{0,1\}/s///p;}' launch/local.sh; exit 0 ;;
    -*) fail "unknown option $1; options of usis stand after its command, see --help" ;;
    *) break ;;
  esac
  shift
done
(($#)) || fail "no command; for example: train --config=configs/quickstart.py --workdir=runs/x"

gpus=()
if ((!cpu && !devices)) && command -v nvidia-smi >/dev/null; then
  if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    IFS=, read -r -a gpus <<<"$CUDA_VISIBLE_DEVICES"
  else
    count=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ' || true)
    for ((i = 0; i < count; i++)); do gpus+=("$i"); done
  fi
fi
((${#gpus[@]} % processes == 0)) ||
  fail "--processes is $processes; it must divide the ${#gpus[@]} GPUs (or add --cpu)"

free_port() {
  python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

command_of() {  # NUMBER: puts the command of a process into the array `words`
  local share=$((${#gpus[@]} / processes)) mine
  words=(env)
  if ((${#gpus[@]} == 0)); then
    words+=(JAX_PLATFORMS=cpu)
  elif ((processes > 1)); then
    mine=$(IFS=,; printf '%s' "${gpus[*]:$1*share:share}")
    words+=("CUDA_VISIBLE_DEVICES=$mine")
  fi
  if ((devices)); then
    words+=("XLA_FLAGS=${XLA_FLAGS:+$XLA_FLAGS }--xla_force_host_platform_device_count=$devices")
  fi
  if ((processes > 1)); then
    words+=("COORDINATOR_ADDRESS=127.0.0.1:$port" "NUM_PROCESSES=$processes" "PROCESS_ID=$1")
  fi
  words+=(python -m usis_jax "${@:2}")
}

if [ "$dry_run" = 1 ]; then
  port=${port:-PORT}
  for ((i = 0; i < processes; i++)); do
    command_of "$i" "$@"
    printf '%q ' "${words[@]}" | sed 's/ $//'
    echo
  done
  exit 0
fi

if ((install)); then
  extras=""
  ((${#gpus[@]})) && extras="[cuda]"
  use_environment "$extras"
fi
if ((processes == 1)); then
  command_of 0 "$@"
  exec "${words[@]}"
fi

port=${port:-$(free_port)}
logs=$(mktemp -d "${TMPDIR:-/tmp}/usis_local.XXXXXX")
pids=() ended=() interrupted=0
hand_on() {  # SIGNAL: to all processes that still run
  local n
  for n in "${!pids[@]}"; do
    if [ -z "${ended[n]:-}" ]; then kill "-$1" "${pids[n]}" 2>/dev/null || true; fi
  done
}
trap 'hand_on TERM' TERM USR1
trap 'hand_on HUP' HUP  # the system has sent them one too; only of this kind is a second one harmless
trap 'interrupted=1; hand_on TERM' INT
for ((i = 0; i < processes; i++)); do
  command_of "$i" "$@"
  if ((i == 0)); then
    "${words[@]}" &
  else
    "${words[@]}" >"$logs/process_$i.log" 2>&1 &
  fi
  pids+=("$!")
done

# Processes whose partner died end by themselves; those that do not are stopped, at last killed.
code=0 since=0 stopping=0
while ((${#ended[@]} < processes)); do
  for ((i = 0; i < processes; i++)); do
    if [ -n "${ended[i]:-}" ] || kill -0 "${pids[i]}" 2>/dev/null; then continue; fi
    one=0
    wait "${pids[i]}" || one=$?
    ended[i]=$one
    if ((one && !code)); then code=$one since=$SECONDS; fi
    if ((one && one != 75)); then
      log="" && ((i)) && log="; the end of $logs/process_$i.log is: $(tail -n 3 "$logs/process_$i.log")"
      printf '%s\n' "$0: process $i ended with exit code $one$log" >&2
    fi
  done
  if ((code && stopping == 0 && SECONDS - since > 120)); then stopping=1; hand_on TERM; fi
  if ((code && stopping == 1 && SECONDS - since > 180)); then stopping=2; hand_on KILL; fi
  sleep 0.2 || true
done
if ((code == 0)); then rm -rf "$logs"; fi
if ((interrupted)); then exit 130; fi
exit "$code"
