#!/usr/bin/env bash
#
# Runs the checks and tests; the last line it prints is "N passed, N failed". What takes half an hour by itself is not in
# it: npm run test:cluster, test:next, test:soak.
#
# Usage:
#   scripts/test.sh           everything: setup, static checks, unit and system tests, real builds and real boots
#   scripts/test.sh --fast    the same without the builds and boots
#
# The first run compiles Kubernetes and etcd for the tests, which takes some ten minutes.
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
