# shellcheck shell=bash
# What the scripts share. Sourced, never run: . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HOME=${HOME:-~} # some CI systems and containers leave it unset, which Go refuses to work with
# Outside the tree, so that `git clean` and fresh clones cost the minutes only once.
cache=${DYNAMIC_TOOLSET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dynamic-toolset}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
unset PYTHONHOME PYTHONPATH # a person's own modules must not shadow what the locks install

# Progress goes to stderr: stdout belongs to what the script was called for.
say() { printf '%s\n' "$*" >&2; }
die() {
  say "${0##*/}: $*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
digest() { cat "$@" | sha256sum | cut -c1-16; }

# Print a Python >= 3.11 that can make virtual environments. Each is run, not only looked up: a shim on PATH may name
# a version that is not installed.
find_python() {
  local python
  for python in python3.13 python3.12 python3.11 python3; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  die "no Python >= 3.11 with its venv module is on PATH (Debian: apt-get install python3 python3-venv)"
}

# own_apt DIRECTORY: sets `apt` to an apt-get with package lists of its own there: the system's may be empty or old, or
# not ours to write.
own_apt() {
  mkdir -p "$1"/{lists,cache}
  apt=(apt-get -qq -o "Dir::State::Lists=$1/lists" -o "Dir::Cache=$1/cache" -o APT::Sandbox::User=)
  "${apt[@]}" update
}

# exclusively LOCK COMMAND…: one process at a time. The lock's file stays: removing it would be a race.
exclusively() {
  local lock=$1
  shift
  mkdir -p "$(dirname "$lock")"
  (
    if ! flock --nonblock 9; then
      say "waiting for another set-up, which holds $lock …"
      flock 9
    fi
    "$@" 9>&- # what the command leaves running must not keep the lock
  ) 9>"$lock"
}

# A virtual environment says in its stamp what it was made from. The stamp is written last, so that an interrupted
# set-up is redone; the Python is run, because an upgrade of the system may have taken the interpreter away.
venv_is() { [ "$(cat "$1/stamp" 2>/dev/null)" = "$2" ] && "$1/bin/python" -c '' 2>/dev/null; } # DIRECTORY STAMP

new_venv() { # DIRECTORY PYTHON
  rm -rf "$1"
  "$2" -m venv "$1"
  echo '*' >"$1/.gitignore"
}

pip_install() { # DIRECTORY ARGUMENT…; a lock is complete, so there is nothing to resolve
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${@:2}"
}

# project_venv image|test: .venv with the project itself in it, editable. `image` is what runs in production, `test`
# is that and the tools.
project_venv() { exclusively "$cache/locks/venv-$(printf %s "$root" | digest)" make_project_venv "$1"; }
project_stamp() { echo "$1 $(digest "$root"/requirements/{build,"$1"}.txt "$root"/{setup.cfg,pyproject.toml})"; }
make_project_venv() {
  local venv=$root/.venv kind=$1 python
  # Who runs the product is as happy with the tests' environment, so run and test do not undo each other.
  if [[ $(cat "$venv/stamp" 2>/dev/null) == test\ * ]]; then kind="test"; fi
  if venv_is "$venv" "$(project_stamp "$kind")"; then return; fi
  say "making .venv from requirements/$kind.txt …"
  if venv_is "$venv" "$(project_stamp image)"; then
    rm "$venv/stamp" # only the tools are missing: scripts/run may be using what is there
  else
    python=$(find_python)
    new_venv "$venv" "$python"
  fi
  pip_install "$venv" --require-hashes -r "$root/requirements/build.txt" -r "$root/requirements/$kind.txt"
  pip_install "$venv" --no-build-isolation --editable "$root"
  project_stamp "$kind" >"$venv/stamp"
}
