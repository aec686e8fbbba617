# Sourced by the scripts beside it: finds Python, makes .venv if none is active, installs usis_jax.
# Use: . launch/environment.sh; use_environment EXTRAS        (EXTRAS: empty or such as [test])

say() { printf '%s\n' "== $*"; }
fail() { printf '%s\n' "$0: $*" >&2; exit 2; }

is_supported() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
  for name in python3 python3.13 python3.12 python3.11 python; do
    if command -v "$name" >/dev/null 2>&1 && is_supported "$name"; then
      printf '%s\n' "$name"
      return
    fi
  done
  fail "needs Python 3.11, 3.12 or 3.13, and found" \
    "$(python3 --version 2>/dev/null || echo none); install one (https://www.python.org)" \
    "and run this again"
}

use_environment() {
  local extras=$1 environment stamp
  if [ -n "${VIRTUAL_ENV:-}" ]; then
    environment=$VIRTUAL_ENV
    is_supported "$environment/bin/python" ||
      fail "the active environment $environment has not Python 3.11 to 3.13; deactivate it"
  else
    environment=$PWD/.venv
    if ! is_supported "$environment/bin/python"; then
      local python
      python=$(find_python) || exit 2
      say "Making a Python environment in .venv ($("$python" --version))"
      rm -rf "$environment"
      if ! "$python" -m venv "$environment"; then
        rm -rf "$environment"
        fail "python could not make .venv; on Debian and Ubuntu: sudo apt install python3-venv"
      fi
    fi
  fi
  export VIRTUAL_ENV=$environment PATH=$environment/bin:$PATH
  unset PYTHONHOME
  # A second run needs neither time nor network: the stamp is the setup.py that was installed.
  stamp="$environment/usis_jax_installed${extras//[^a-z]/_}"
  if ! cmp -s setup.py "$stamp" || ! command -v usis >/dev/null; then
    say "Installing usis_jax and what it needs (some minutes and 2.5 GB, the first time)"
    python -m pip install --quiet --disable-pip-version-check -e ".$extras" ||
      fail "the installation failed, for the reason above"
    cp setup.py "$stamp"
  fi
}
