#!/usr/bin/env bash
#
# Runs every check and every test; the last line it prints is "N passed, N failed".
#
# Usage:
#   scripts/test.sh           everything: setup, static checks, unit and system tests, real builds and real boots
#   scripts/test.sh --fast    the same without the builds and boots (minutes become seconds)
#
# Environment: that of scripts/setup.sh, which it runs first.

set -euo pipefail

main() {
  # Before anything is installed for it.
  if [[ $# -gt 1 || ${1---fast} != --fast ]]; then
    echo 'usage: scripts/test.sh [--fast]' >&2
    exit 2
  fi
  cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
  scripts/setup.sh --tests
  # The checkout's own Node for the tools that are started by their shebang.
  export PATH="$PWD/node_modules/node/bin:$PATH"
  exec node scripts/run-tests.ts "$@" </dev/null
}

main "$@"
