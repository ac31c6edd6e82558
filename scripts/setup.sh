#!/usr/bin/env bash
#
# Prepares a Debian 12 or 13 machine, or a Proxmox VE 8 or 9 host, to build and test Seeder's images.
# Installs what is missing and nothing else; running it again when nothing is missing takes under a second.
#
# Usage:
#   scripts/setup.sh            install what is missing
#   scripts/setup.sh --check    print what is missing, install nothing; exit 1 if anything is missing
#   scripts/setup.sh --tests    include what only the tests need: a browser, servers, Go; also with --check
#
# What it may change, each time with a line that says so:
#   - Debian packages (see required_packages), and on Debian 12 a backports apt source for QEMU 10, for the keys of
#     Ubuntu's archive, which images on Ubuntu need, and for the Go of the tests.
#     On Proxmox VE never a QEMU or firmware package: pve-qemu-kvm and pve-edk2-firmware serve.
#   - node_modules of this checkout, by `npm ci`.
#   - /etc/subuid and /etc/subgid: a range for root and for you, which builds without root need.
#   - the mode of /dev/net/tun, where it is narrower than the distributions' default of 0666.
# It never changes a sysctl or an AppArmor profile; it prints which of them prevents the builds.
#
# Environment:
#   CI                      when set, prints nothing if nothing had to be done
#   SEEDER_APT_LOCK_WAIT    seconds to wait for another apt to finish (default 300)
#
# Runs as root, or as a user with sudo: only the steps that need root use it.

set -euo pipefail

CHECKOUT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
CHECK_ONLY=
FOR_TESTS=
CHANGED=
MISSING=()
PACKAGE_LISTS_READ=

# QEMU 7.2's emulation panics under a 6.12 kernel, 10 boots it.
readonly QEMU_MAJOR=10
# The first Go that fetches the Go that a module needs.
readonly GO_MINOR=21
# A whole id space for the users of a Debian image, as useradd assigns it.
readonly SUBID_COUNT=65536
readonly SUBID_FIRST=100000
readonly BACKPORTS_SOURCE=/etc/apt/sources.list.d/seeder-backports.sources
readonly ARCHIVE_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly UBUNTU_KEYRING=/usr/share/keyrings/ubuntu-archive-keyring.gpg
readonly TRIXIE_KEY=/usr/share/keyrings/debian-archive-trixie-stable.gpg

say() {
  CHANGED=1
  printf 'setup: %s\n' "$*"
}

fatal() {
  printf 'setup: %s\n' "$1" >&2
  [[ $# -lt 2 ]] || printf '  → %s\n' "$2" >&2
  exit 1
}

# --- what kind of machine this is

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

is_proxmox() {
  command -v pveversion >/dev/null || [[ -n $(installed_version pve-manager) ]]
}

installed_version() {
  # Prints the version of an installed package; nothing when only its configuration is left.
  dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^installed //p' || true
}

debian_release() {
  # Prints the major release number; 99 for testing and unstable, which have no number.
  local ID='' VERSION_ID=''
  # shellcheck source=/dev/null
  . /etc/os-release
  [[ $ID == debian ]] || fatal "this machine runs '${ID:-an unknown system}', and setup knows Debian and Proxmox VE" \
    'run it on Debian 12 or later, or install the packages listed in scripts/setup.sh by hand'
  printf '%s\n' "${VERSION_ID:-99}"
}

require_platform() {
  command -v apt-get >/dev/null ||
    fatal 'there is no apt-get here' 'run it on Debian 12 or later, or on Proxmox VE 8 or later'
  local release
  release=$(debian_release)
  ((${release%%.*} >= 12)) || fatal "Debian $release is too old" 'Debian 12 or later is needed'
}

require_root_access() {
  # Called before the first step that needs root, so that a machine with nothing missing needs no sudo.
  ((EUID == 0)) && return
  command -v sudo >/dev/null ||
    fatal "$1 needs root, and there is no sudo" 'run scripts/setup.sh once as root, then use Seeder as yourself'
  sudo -n true 2>/dev/null && return
  [[ -t 0 ]] || fatal "$1 needs root, and sudo needs a password, but there is no terminal" \
    'run scripts/setup.sh once from a terminal or as root'
}

# --- Debian packages

required_packages() {
  # A line for each package with its purpose. QEMU and its firmware are not here, because they depend on the machine.
  cat <<'LIST'
uidmap builds as a normal user (newuidmap)
debian-archive-keyring checks the archive's signatures
ca-certificates fetches over https
nftables checks the firewall rules (nft -c)
iproute2 networks of the tests (ip)
iputils-ping sends echo requests to the clones' firewalls
openssl signs certificates
genisoimage makes the clones' cloud-init drives
openssh-client logs in to clones of an image
gnupg signs the archives of the tests
shellcheck checks the shell scripts
python3-yaml reads cloud-init's data in the tests of first boot
zstd compresses and reads images
xz-utils reads packages and tarballs
systemd process 1 of the machines on which the tests install the runner
dbus the bus of those machines
procps looks for processes there (pgrep)
sudo starts deploy.sh for a job, there and on a host with a runner
curl requests a runner from GitHub, there and on a host with one
git the source commit in the manifest
skopeo reads container images from their registries
LIST
  # Chromium is half a gigabyte, and a machine that builds and deploys images needs none of these.
  [[ -z $FOR_TESTS ]] || cat <<'LIST'
shfmt checks the format of shell scripts
chromium shows the pages of seeder report to the tests
keepalived is the pair of load balancers, and who attacks it
radvd advertises routes that no node may take
dnsmasq-base gives addresses by DHCPv6
LIST
  command -v node >/dev/null || echo 'nodejs runs npm'
  command -v npm >/dev/null || echo 'npm installs the JavaScript packages'
}

missing_packages() {
  # The lines of required_packages that are not installed, by a single dpkg-query.
  local required installed
  required=$(required_packages)
  # shellcheck disable=SC2046 # names of packages have no spaces
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
    $(cut -d ' ' -f 1 <<<"$required") 2>/dev/null | sed -n 's/^installed //p' || true)
  awk 'NR == FNR { have[$1] = 1; next } !($1 in have)' <(printf '%s\n' "$installed") - <<<"$required"
}

keyring_is_old() {
  # The images are trixie's whatever the machine runs, and the first keyrings of Debian 12 do not know its keys.
  [[ -n $(installed_version debian-archive-keyring) && ! -e $TRIXIE_KEY ]]
}

qemu_major() {
  # Reads "QEMU emulator version 10.0.2 (…)" on standard input.
  sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'
}

missing_qemu() {
  # The QEMU and firmware packages to install, with their purpose.
  if is_proxmox; then
    return
  fi
  local major=0
  if command -v qemu-system-x86_64 >/dev/null; then
    major=$(qemu-system-x86_64 --version | qemu_major)
  fi
  ((${major:-0} >= QEMU_MAJOR)) || echo "qemu-system-x86 boots the images, $QEMU_MAJOR or later"
  command -v qemu-img >/dev/null || echo 'qemu-utils packs the images (qemu-img)'
}

missing_go() {
  # The package to install for the tests, with its purpose, unless there is a Go that is new enough.
  [[ -n $FOR_TESTS ]] || return 0
  local version=''
  if command -v go >/dev/null; then version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true); fi
  [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= GO_MINOR)) && return
  echo "golang-go compiles Kubernetes and etcd for the tests, 1.$GO_MINOR or later"
}

missing_ubuntu_keyring() {
  # missing_ubuntu_keyring FILE: the package with Ubuntu's keys and its purpose, when FILE is missing.
  [[ ! -e $1 ]] || return 0
  # Debian 12 has it in backports only, and this script adds no such source to a Proxmox host:
  # without the keys it cannot lock images on Ubuntu; everything else works.
  if is_proxmox && ! offers_package ubuntu-archive-keyring; then
    return
  fi
  echo "ubuntu-archive-keyring checks the signatures of Ubuntu's archive"
}

missing_firmware() {
  is_proxmox || [[ -n $(installed_version ovmf) ]] || echo 'ovmf boots the images (UEFI)'
}

check_proxmox_qemu() {
  is_proxmox || return 0
  command -v qemu-system-x86_64 qemu-img >/dev/null ||
    fatal 'this is a Proxmox VE host without pve-qemu-kvm' 'apt-get install pve-qemu-kvm pve-edk2-firmware'
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 -o "DPkg::Lock::Timeout=${SEEDER_APT_LOCK_WAIT:-300}" "$@" </dev/null
}

apt_update() {
  # A fresh machine has no package lists, or lists of packages that the mirror no longer has. A failing source does not
  # stop the setup (a Proxmox host without a subscription has one), as long as the packages install.
  [[ -z $PACKAGE_LISTS_READ ]] || return 0
  apt update || say 'apt-get update had errors, going on with what it has'
  PACKAGE_LISTS_READ=1
}

apt_install() {
  # apt_install [-t SUITE] PACKAGE…
  apt_update
  apt install --no-install-recommends --yes "$@" >/dev/null ||
    fatal "apt-get could not install $*" 'its reasons are above; fix them and run scripts/setup.sh again'
}

archive_mirror() {
  # The machine's own mirror of the Debian archive, from its apt sources.
  # shellcheck disable=SC2016 # the fields are apt's
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null |
    sed -n 's/^Debian|Debian|//p' | sort -u | head -n 1
}

backports_source() {
  # backports_source MIRROR CODENAME: the text of an apt source.
  printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\nSigned-By: %s\n' "$1" "$2" "$ARCHIVE_KEYRING"
}

offers_package() {
  # Whether any apt source of this machine has the package.
  [[ -n $(apt-cache madison "$1" 2>/dev/null) ]]
}

offers_version() {
  # offers_version PACKAGE LEAST: whether any apt source of this machine has the package in this version or a later one.
  local version
  while read -r version; do
    if dpkg --compare-versions "$version" ge "$2"; then return 0; fi
  done < <(apt-cache madison "$1" 2>/dev/null | awk -F '|' '{ print $2 }' | sed 's/^ *\([0-9]*:\)\{0,1\}//')
  return 1
}

add_backports() {
  # add_backports CODENAME WHAT-IT-LACKS
  local mirror
  mirror=$(archive_mirror)
  [[ -n $mirror ]] || fatal "apt's sources name no Debian archive" "add Debian's $1 to /etc/apt/sources.list.d"
  say "adding $BACKPORTS_SOURCE: $1 itself has no $2"
  backports_source "$mirror" "$1" | as_root tee "$BACKPORTS_SOURCE" >/dev/null
  PACKAGE_LISTS_READ=
}

install_packages() {
  local wanted qemu go keyring
  wanted=$(missing_packages && missing_firmware)
  ! keyring_is_old || wanted+=$'\n'"debian-archive-keyring has no trixie keys yet"
  qemu=$(missing_qemu)
  go=$(missing_go)
  keyring=$(missing_ubuntu_keyring "$UBUNTU_KEYRING")
  [[ -n $wanted$qemu$go$keyring ]] || return 0
  if [[ -n $CHECK_ONLY ]]; then
    mapfile -t -O "${#MISSING[@]}" MISSING < <(sed '/^$/d; s/ /: /; s/^/package /' <<<"$wanted"$'\n'"$qemu"$'\n'"$go"$'\n'"$keyring")
    return
  fi

  require_root_access 'installing packages'
  local line names=()
  while read -r line; do
    [[ -n $line ]] || continue
    say "installing ${line/ /: }"
    names+=("${line%% *}")
  done <<<"$wanted"
  ((${#names[@]} == 0)) || apt_install "${names[@]}"
  [[ -z $qemu ]] || install_qemu "$qemu"
  [[ -z $go ]] || install_go "$go"
  [[ -z $keyring ]] || install_ubuntu_keyring "$keyring"
  [[ -e $TRIXIE_KEY ]] || fatal "debian-archive-keyring has no $TRIXIE_KEY" 'upgrade it: apt-get install debian-archive-keyring'
}

install_ubuntu_keyring() {
  say "installing ${1/ /: }"
  apt_update
  if [[ $(debian_release) == 12* ]] && ! offers_package ubuntu-archive-keyring; then
    add_backports bookworm ubuntu-archive-keyring
  fi
  apt_install ubuntu-archive-keyring
}

install_newer() {
  # install_newer PACKAGE LEAST WHAT LINES: the packages of LINES. On Debian 12, backports have a PACKAGE that is new
  # enough.
  local line names=() target=()
  while read -r line; do
    say "installing ${line/ /: }"
    names+=("${line%% *}")
  done <<<"$4"
  if [[ $(debian_release) == 12* ]] && ! is_proxmox; then
    apt_update
    offers_version "$1" "$2" || add_backports bookworm "$3"
    target=(-t bookworm-backports)
  fi
  apt_install "${target[@]}" "${names[@]}"
}

install_go() {
  # A Proxmox host gets no backports source.
  if is_proxmox && ! offers_version golang-go "1.$GO_MINOR"; then
    fatal "apt offers no Go 1.$GO_MINOR" "install Go 1.$GO_MINOR or later by hand, and put it on PATH"
  fi
  install_newer golang-go "1.$GO_MINOR" "Go 1.$GO_MINOR" "$1"
  [[ -z $(missing_go) ]] || fatal "the installed Go is older than 1.$GO_MINOR" 'add a source that has a newer one'
}

install_qemu() {
  install_newer qemu-system-x86 "$QEMU_MAJOR" "QEMU $QEMU_MAJOR" "$1"
  local major
  major=$(qemu-system-x86_64 --version | qemu_major)
  ((${major:-0} >= QEMU_MAJOR)) || fatal "QEMU ${major:-?} is what apt offers, $QEMU_MAJOR is needed" \
    'add a source that has it, as bookworm-backports does'
}

# --- users and kernel

has_subids() {
  # has_subids FILE NAME UID: whether one entry of /etc/subuid or /etc/subgid gives that user enough ids.
  [[ -r $1 ]] && awk -F : -v name="$2" -v uid="$3" -v least="$SUBID_COUNT" \
    '($1 == name || $1 == uid) && $3 >= least { found = 1 } END { exit !found }' "$1"
}

free_subid() {
  # free_subid FILE…: the first id above every range of the files.
  cat "$@" 2>/dev/null | awk -F : -v first="$SUBID_FIRST" \
    'BEGIN { free = first } NF == 3 && $2 + $3 > free { free = $2 + $3 } END { print free }'
}

ensure_subids() {
  local name=$1 uid first last
  uid=$(id -u "$name")
  if has_subids /etc/subuid "$name" "$uid" && has_subids /etc/subgid "$name" "$uid"; then
    return
  fi
  if [[ -n $CHECK_ONLY ]]; then
    MISSING+=("subordinate ids: $name has no range of $SUBID_COUNT in /etc/subuid and /etc/subgid")
    return
  fi
  require_root_access 'adding subordinate ids'
  # usermod fails when the files do not exist yet.
  [[ -e /etc/subuid && -e /etc/subgid ]] || as_root touch /etc/subuid /etc/subgid
  first=$(free_subid /etc/subuid /etc/subgid)
  last=$((first + SUBID_COUNT - 1))
  say "giving $name the subordinate ids $first-$last, which builds without root need"
  if ! has_subids /etc/subuid "$name" "$uid"; then
    as_root usermod --add-subuids "$first-$last" "$name" || fatal_subids "$name" "$first"
  fi
  if ! has_subids /etc/subgid "$name" "$uid"; then
    as_root usermod --add-subgids "$first-$last" "$name" || fatal_subids "$name" "$first"
  fi
}

fatal_subids() {
  # usermod does not know users outside of /etc/passwd, such as those of a directory.
  fatal "usermod gave $1 no subordinate ids" "add '$1:$2:$SUBID_COUNT' to /etc/subuid and /etc/subgid by hand"
}

ensure_tun() {
  # Minimal machines make it 0600; udev's default is 0666, and the device checks privileges itself.
  [[ -c /dev/net/tun ]] || return 0
  local mode
  mode=$(stat -c %a /dev/net/tun)
  [[ $mode != 666 ]] || return 0
  if [[ -n $CHECK_ONLY ]]; then
    MISSING+=("/dev/net/tun: its mode is 0$mode, 0666 is the default")
    return
  fi
  require_root_access 'changing the mode of /dev/net/tun'
  say "making /dev/net/tun usable: mode 0$mode to the default 0666"
  as_root chmod 0666 /dev/net/tun || fatal "/dev/net/tun keeps the mode 0$mode" 'make it 0666 on the host of this machine'
}

userns_obstacle() {
  # userns_obstacle DIR: the switch under DIR (/proc/sys) that prevents user namespaces, and the command that changes
  # it, separated by a tab. Empty when no known switch is the reason.
  setting_is() { [[ -r $1 && $(<"$1") == "$2" ]]; }
  if setting_is "$1/user/max_user_namespaces" 0; then
    printf 'user.max_user_namespaces is 0\tsysctl -w user.max_user_namespaces=15000\n'
  elif setting_is "$1/kernel/unprivileged_userns_clone" 0; then
    printf 'kernel.unprivileged_userns_clone is 0\tsysctl -w kernel.unprivileged_userns_clone=1\n'
  elif setting_is "$1/kernel/apparmor_restrict_unprivileged_userns" 1; then
    printf 'AppArmor restricts unprivileged user namespaces\t%s\n' \
      'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'
  fi
}

check_userns() {
  # Tries it, because a container can refuse what every switch allows.
  ! unshare --user --map-auto --map-root-user true 2>/dev/null || return 0
  local obstacle
  obstacle=$(userns_obstacle /proc/sys)
  [[ -z $obstacle ]] || fatal "user namespaces do not work here: ${obstacle%%$'\t'*}" \
    "as root: ${obstacle#*$'\t'} (and in /etc/sysctl.d to keep it)"
  fatal 'user namespaces do not work here: unshare is refused, and no known sysctl says why' \
    'in a container, allow nested user namespaces; otherwise use a virtual machine'
}

# --- JavaScript packages

lock_digest() {
  sha256sum "$CHECKOUT/package-lock.json" | cut -d ' ' -f 1
}

node_modules_current() {
  # npm writes .package-lock.json at every install, so a newer one than the stamp is another install.
  local modules=$CHECKOUT/node_modules
  [[ -e $modules/.package-lock.json && -e $modules/.seeder-setup ]] &&
    [[ ! $modules/.package-lock.json -nt $modules/.seeder-setup ]] &&
    [[ $(<"$modules/.seeder-setup") == "$(lock_digest)" ]]
}

node_is_24() {
  [[ $("$CHECKOUT/node_modules/node/bin/node" --version 2>/dev/null) == v24.* ]]
}

install_node_modules() {
  if node_modules_current && node_is_24; then
    return
  fi
  if [[ -n $CHECK_ONLY ]]; then
    MISSING+=('node_modules: not what package-lock.json says')
    return
  fi
  say 'installing the JavaScript packages of package-lock.json (npm ci)'
  (cd "$CHECKOUT" && npm ci --no-audit --no-fund --loglevel=error </dev/null) ||
    fatal 'npm ci failed' 'the lines above are its reasons; fix them and run scripts/setup.sh again'
  # npm may be configured not to run the scripts of packages (ignore-scripts, allow-scripts); Node 24 needs one.
  if ! node_is_24; then
    say 'putting Node 24 into node_modules (npm did not run the install script of the package "node")'
    (cd "$CHECKOUT/node_modules/node" && node installArchSpecificPackage </dev/null) || true
  fi
  node_is_24 || fatal 'node_modules/node/bin/node is not Node 24' 'remove node_modules and run scripts/setup.sh again'
  lock_digest >"$CHECKOUT/node_modules/.seeder-setup"
}

# --- the order of things

parse_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --check) CHECK_ONLY=1 ;;
      --tests) FOR_TESTS=1 ;;
      -h | --help)
        sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
      *) fatal "unknown argument '$argument'" 'scripts/setup.sh [--check] [--tests]' ;;
    esac
  done
}

report_missing() {
  ((${#MISSING[@]} == 0)) && return
  printf 'missing: %s\n' "${MISSING[@]}"
  echo "setup: not ready, scripts/setup.sh${FOR_TESTS:+ --tests} installs what is missing"
  exit 1
}

main() {
  parse_arguments "$@"
  require_platform
  check_proxmox_qemu
  install_packages
  ensure_subids root
  # Under sudo the calling user builds, too.
  local user=${SUDO_USER:-$(id -un)}
  [[ $user == root ]] || ensure_subids "$user"
  ensure_tun
  install_node_modules
  report_missing
  check_userns
  [[ -n ${CI:-} && -z $CHANGED ]] || echo 'setup: ready'
}

# Other shells can source its functions, as the tests do.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
