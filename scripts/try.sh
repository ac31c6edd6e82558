#!/usr/bin/env bash
# The main job, from nothing: sets this machine up, builds the HAProxy image from its lock, boots clones of it and
# proves that they balance. Needs Debian 12 or 13 (or Proxmox VE 8 or 9), root or sudo, about 6 GB of disk and 3 GB of
# memory. The image stays in the folder given as the first argument (default: out/haproxy in this checkout).
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

main() {
  local out=${1:-$checkout/out/haproxy}
  "$checkout/scripts/setup.sh"
  printf '\nBuilding the HAProxy image\n'
  "$checkout/scripts/seeder" build haproxy --out "$out"
  printf '\nProving it: clones of it boot on a private network, with real traffic\n'
  "$checkout/scripts/seeder" test "$out"
  printf '\nDone. Try: scripts/seeder inspect %q\n' "$out"
}

main "$@"
