#!/bin/bash -p
#
# Turns built images into VM templates on this Proxmox VE host, each as a transaction.

usage() {
  cat <<'USAGE'
Usage: deploy.sh [OPTIONS] DIR...            make a template of the image in each DIR, the current one of its kind
       deploy.sh --list                      the templates, and which one is current
       deploy.sh --check                     read the templates' disks again: are they what was deployed?
       deploy.sh --rollback IMAGE [VERSION]  make the previous template, or that version's, the current one again
       deploy.sh --retire                    remove templates beyond the newest --keep of each image
       deploy.sh --recover                   finish or undo what was interrupted; every other run does so first

DIR is what `seeder build --out` or a download left. Runs as root, needs only what Proxmox VE 8 or 9 ships.

  --storage STORAGE        where disks go (dir, lvmthin, zfspool); by default the only storage that takes images
  --vmid-range FIRST-LAST  the VM IDs of templates (9000-9099)
  --keep N                 how many templates of each image stay, the current one among them (3)
  --no-smoke, --smoke      do not / do boot a clone of the template before it becomes current (do)
  --allowed-signers FILE   who may sign images (/etc/seeder/allowed_signers)
  --allow-unsigned         take images without a signature
  --dry-run                verify the image and print the plan: every command, and run none that changes anything
  --json                   print the result as JSON; messages go to standard error
  --verbose                also show what Proxmox VE's commands say
  --help                   this text

/etc/seeder/deploy.conf has the same policies as KEY=value (STORAGE, VMID_RANGE, KEEP, SMOKE, ALLOWED_SIGNERS,
ALLOW_UNSIGNED), and two that no option has. An option cannot change what is set there.
  MINIMUM=IMAGE=VERSION,…  the oldest version of each image that may become the current one, for root as well
  ALLOW_OLDER=1            through sudo, too, an older version may take the place of a newer one (0)
Through sudo, policy options are refused, and an older version does not replace a newer one.
Exit status: 0 done, 1 failed and undone, or a disk is not what was deployed; 2 wrong use, 75 another deploy is at work.
The status is about the work, which continues to its end even if nobody reads the messages any more.
USAGE
}

set -euo pipefail

readonly CONF=/etc/seeder/deploy.conf
readonly STATE=/var/lib/seeder
readonly TEMPLATES=$STATE/templates
readonly STAGE=$STATE/stage
readonly JOURNAL=$STATE/journal
readonly HISTORY=$STATE/history
readonly IMAGE_PATTERN='[a-z][a-z0-9-]{0,39}'
readonly VERSION_PATTERN='[0-9][A-Za-z0-9.]{0,39}-[0-9]{1,6}'
readonly CLUSTER_LOCK=/etc/pve/priv/lock/seeder-deploy
readonly CLUSTER_LOCK_HELD=$STATE/cluster-lock
# The configurations of all guests, on Proxmox VE's own file system, which is not mounted while pve-cluster restarts.
readonly CLUSTER=/etc/pve

# pmxcfs releases a lock that was not touched for two minutes.
readonly CLUSTER_LOCK_SECONDS=120
# An emulated guest on a busy host needs minutes to boot; with KVM it is seconds.
readonly SMOKE_SECONDS=600
# How long recovery waits for a task of Proxmox VE that outlived a killed run.
readonly TASK_SECONDS=900
# Every upgrade restarts pve-cluster: that takes seconds, on a busy host more.
readonly CLUSTER_SECONDS=60
# A message that nobody reads within this time is dropped, and so are all after it.
readonly SAY_SECONDS=10
# How long reading a file of the caller may take: a minute, and a second for each 2 MiB, which any disk and network
# reaches.
readonly READ_SECONDS=60 READ_BYTES_PER_SECOND=2097152
# What the copy of an image leaves free on its file system, which on most hosts is that of the system.
readonly STAGE_RESERVE=268435456
# How long --list waits for another --list; it takes a second or two.
readonly LIST_SECONDS=30

VERB=deploy
DIRECTORIES=()
ROLLBACK=()
DRY_RUN='' JSON='' VERBOSE=''
STORAGE='' VMID_RANGE='' KEEP='' SMOKE='' ALLOWED_SIGNERS='' ALLOW_UNSIGNED='' ALLOW_OLDER=''
# The oldest accepted version, by image.
declare -A MINIMUM=()
NODE='' RANGE_FIRST='' RANGE_LAST='' STORAGE_TYPE='' STORAGE_FREE=''
# A transaction is open: while this is set, it is undone at the exit.
OPEN=''
# The folder with the verified copy of an image, and the values of its template.conf.
STAGED='' IMAGE='' VERSION='' VMID=''
# Whether an allowed signer has signed its files.
SIGNED=''
# Its network cards, as arguments of qm.
CARDS=()
# The owner of the files in DIR, and whether standard input is the mount namespace that DIR is in.
CALLER='' CALLER_UID=0 CALLER_GID=0 CALLER_GROUPS=0 CALLER_MOUNTS=''
CLUSTER_LOCKED=''
# The last output of a command of Proxmox VE.
PVE_SAID=''
RESULTS=()
# What `look` has found: each guest's configuration by its file below /etc/pve, and the numbers of the guests.
declare -A GUESTS=() GUEST_IDS=()
# The storages' types.
declare -A TYPES=()
# What `list_volumes` has found: "VOLUME BYTES VMID" lines, and the numbers of the volumes.
VOLUMES=''
declare -A VOLUME_IDS=()
# /etc/pve was not mounted for too long; nobody reads messages any more.
LOST='' MUTE=''
# The transaction that is finished was begun through sudo.
FOR_JOB=''
# The lock of this host, once this run holds it.
exec {LOCK}</dev/null

# --- messages

# write_line TEXT: a line on standard error. It may fail, because nobody reads any more or a disk is full; the work goes
# on. Another process writes it, because SIGPIPE would end this one.
write_line() {
  local status=0
  [[ -z $MUTE ]] || return 0
  timeout --foreground "$SAY_SECONDS" printf '%s\n' "$1" >&2 2>/dev/null {LOCK}>&- </dev/null || status=$?
  ((status != 124)) || MUTE=1
}

# shown TEXT: printable on a screen and in the log of a workflow, whoever wrote it: short, on one line, in ASCII.
shown() {
  local LC_ALL=C text=$1
  ((${#text} <= 1200)) || text=${text:0:1200}...
  text=${text//[^ -~]/?}
  printf '%s' "${text//'##['/'##('}"
}

say() { write_line "$(shown "$*")"; }

verbose() { [[ -z $VERBOSE ]] || say "    $*"; }

# fail WHAT [FIX [STATUS]]: prints what was attempted and found, in a line, and the fix, and exits.
fail() {
  write_line "deploy: $(shown "$1")"
  [[ -z ${2-} ]] || write_line "  → $2"
  exit "${3-1}"
}

show_command() {
  local word text=
  for word; do
    if [[ $word =~ ^[a-zA-Z0-9_./:=,@+%-]+$ ]]; then text+=" $word"; else text+=" ${word@Q}"; fi
  done
  say "    ${text:1}"
}

# --- the environment: what a caller through sudo could manipulate

through_sudo() { [[ -n ${SUDO_UID-} && $SUDO_UID != 0 ]]; }

clean_environment() {
  local name
  # Root may choose its own PATH; nobody else may.
  if through_sudo; then PATH=/usr/sbin:/usr/bin:/sbin:/bin; else PATH+=:/usr/sbin:/usr/bin:/sbin:/bin; fi
  while read -r name; do
    case $name in
      PATH | SUDO_UID | SUDO_USER) ;;
      *) unset "$name" 2>/dev/null || true ;;
    esac
  done < <(compgen -e)
  export PATH HOME=/root LC_ALL=C
  IFS=$' \t\n'
  umask 022
  cd /
  # A file that a program opens would get the number of a closed descriptor, and the program's messages would go into
  # it.
  true 3<&0 || exec </dev/null
  true 3>&1 || exec >/dev/full
  true 3>&2 || exec 2>/dev/null
}

require_host() {
  ((EUID == 0)) || fail 'this makes VM templates, which takes root' 'run it as root, or through the sudoers line of runner.sh'
  local name
  for name in qm pvesm qemu-img ssh-keygen openssl flock dpkg perl; do
    command -v "$name" >/dev/null || fail "looked for $name; it is not here" 'run this on a Proxmox VE 8 or 9 host'
  done
  look
}

# --- policy

# Only root may be able to change a policy file, and the folders above it.
require_root_owned() {
  local path=$1 owner mode
  [[ ! -L $path ]] || fail "$path is a symbolic link" 'put the file itself there'
  while :; do
    read -r owner mode < <(stat -c '%u %a' -- "$path") || fail "could not read $path"
    [[ $owner == 0 ]] || fail "$path belongs to the user id $owner" "chown root:root $path"
    ((!(8#$mode & 8#022))) || fail "$path can be written by others than root (mode $mode)" "chmod go-w $path"
    [[ $path != / ]] || break
    path=$(dirname -- "$path")
  done
}

# set_policy KEY VALUE SOURCE: the first source that sets a policy wins, and a later source must not differ.
set_policy() {
  local -n policy=$1
  [[ -z $policy || $policy == "$2" ]] ||
    fail "$3 sets $1=$2; $CONF sets $policy" "change $CONF as root" 2
  policy=$2
}

read_policy() {
  local line number=0
  [[ -e $CONF || -L $CONF ]] || return 0
  require_root_owned "$CONF"
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    line=${line%%$'\r'}
    [[ -n $line && $line != '#'* ]] || continue
    [[ $line =~ ^(STORAGE|VMID_RANGE|KEEP|SMOKE|ALLOWED_SIGNERS|ALLOW_UNSIGNED|ALLOW_OLDER|MINIMUM)=(.*)$ ]] ||
      fail "$CONF, line $number: found ${line@Q}" \
        'write KEY=value with STORAGE, VMID_RANGE, KEEP, SMOKE, ALLOWED_SIGNERS, ALLOW_UNSIGNED, ALLOW_OLDER or MINIMUM' 2
    [[ -n ${BASH_REMATCH[2]} ]] || continue
    if [[ ${BASH_REMATCH[1]} == MINIMUM ]]; then
      set_minimum "${BASH_REMATCH[2]}" "$CONF, line $number"
    else
      set_policy "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "$CONF, line $number,"
    fi
  done <"$CONF"
}

# set_minimum TEXT SOURCE: IMAGE=VERSION for each image, with commas or blanks in between.
set_minimum() {
  local word
  for word in ${1//[,$'\t']/ }; do
    [[ $word =~ ^($IMAGE_PATTERN)=($VERSION_PATTERN)$ ]] ||
      fail "$2: found ${word@Q}" 'write MINIMUM=IMAGE=VERSION, for example MINIMUM=haproxy=3.0.11-2,etcd=3.6.16-1' 2
    [[ ${MINIMUM[${BASH_REMATCH[1]}]-${BASH_REMATCH[2]}} == "${BASH_REMATCH[2]}" ]] ||
      fail "$2 sets ${BASH_REMATCH[2]} of ${BASH_REMATCH[1]}; above it is ${MINIMUM[${BASH_REMATCH[1]}]}" 'leave one of them' 2
    MINIMUM[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
  done
}

check_policy() {
  VMID_RANGE=${VMID_RANGE:-9000-9099} KEEP=${KEEP:-3} SMOKE=${SMOKE:-1} ALLOW_UNSIGNED=${ALLOW_UNSIGNED:-0} ALLOW_OLDER=${ALLOW_OLDER:-0}
  ALLOWED_SIGNERS=${ALLOWED_SIGNERS:-/etc/seeder/allowed_signers}
  [[ $VMID_RANGE =~ ^([1-9][0-9]{2,8})-([1-9][0-9]{2,8})$ ]] ||
    fail "the range of VM IDs is ${VMID_RANGE@Q}" 'give two numbers from 100 to 999999999, such as 9000-9099' 2
  RANGE_FIRST=${BASH_REMATCH[1]} RANGE_LAST=${BASH_REMATCH[2]}
  ((RANGE_FIRST < RANGE_LAST)) || fail "the range of VM IDs is $VMID_RANGE" 'the second number has to be the larger one' 2
  [[ $KEEP =~ ^[1-9][0-9]{0,3}$ ]] || fail "the number of templates to keep is ${KEEP@Q}" 'give a number from 1' 2
  [[ $SMOKE =~ ^[01]$ ]] || fail "SMOKE is ${SMOKE@Q}" 'write 0 or 1' 2
  [[ $ALLOW_UNSIGNED =~ ^[01]$ ]] || fail "ALLOW_UNSIGNED is ${ALLOW_UNSIGNED@Q}" 'write 0 or 1' 2
  [[ $ALLOW_OLDER =~ ^[01]$ ]] || fail "ALLOW_OLDER is ${ALLOW_OLDER@Q}" 'write 0 or 1' 2
  [[ -z $STORAGE || $STORAGE =~ ^[a-zA-Z][a-zA-Z0-9._-]*$ ]] || fail "the storage is ${STORAGE@Q}" 'see pvesm status' 2
  [[ $ALLOWED_SIGNERS == /* ]] || fail "the allowed signers are in ${ALLOWED_SIGNERS@Q}" 'give an absolute path' 2
}

parse_arguments() {
  local option value
  while (($# > 0)); do
    option=$1 value=
    shift
    if [[ $option == --*=* ]]; then value=${option#*=} option=${option%%=*} && set -- "$value" "$@"; fi
    case $option in
      --storage | --vmid-range | --keep | --allowed-signers)
        (($# > 0)) || fail "$option needs a value" 'see deploy.sh --help' 2
        value=$1
        shift
        [[ -n $value ]] || fail "$option needs a value" 'see deploy.sh --help' 2
        [[ $option != --allowed-signers || $value == /* ]] || value=$CALLED_FROM/$value
        take_policy "$option" "$value"
        ;;
      --smoke) take_policy "$option" 1 ;;
      --no-smoke) take_policy "$option" 0 ;;
      --allow-unsigned) take_policy "$option" 1 ;;
      --dry-run) DRY_RUN=1 ;;
      --json) JSON=1 ;;
      --verbose) VERBOSE=1 ;;
      --list | --check | --retire | --recover | --rollback) choose_verb "${option#--}" ;;
      --help | -h)
        usage
        exit
        ;;
      --) DIRECTORIES+=("$@") && break ;;
      -*) fail "there is no option ${option@Q}" 'see deploy.sh --help' 2 ;;
      *) DIRECTORIES+=("$option") ;;
    esac
  done
  case $VERB in
    deploy) ((${#DIRECTORIES[@]} > 0)) || fail 'no folder with an image was given' 'see deploy.sh --help' 2 ;;
    rollback)
      ROLLBACK=("${DIRECTORIES[@]}")
      ((${#ROLLBACK[@]} == 1 || ${#ROLLBACK[@]} == 2)) || fail '--rollback needs an image, and perhaps a version' \
        'for example deploy.sh --rollback haproxy' 2
      ;;
    *) ((${#DIRECTORIES[@]} == 0)) || fail "--$VERB takes no ${DIRECTORIES[0]@Q}" 'see deploy.sh --help' 2 ;;
  esac
}

choose_verb() {
  [[ $VERB == deploy || $VERB == "$1" ]] || fail "--$VERB and --$1 do not go together" 'see deploy.sh --help' 2
  VERB=$1
}

take_policy() {
  local key
  ! through_sudo || fail "$1 is not taken through sudo" "policy comes from $CONF, which root writes" 2
  case $1 in
    --storage) key=STORAGE ;;
    --vmid-range) key=VMID_RANGE ;;
    --keep) key=KEEP ;;
    --allowed-signers) key=ALLOWED_SIGNERS ;;
    --smoke | --no-smoke) key=SMOKE ;;
    --allow-unsigned) key=ALLOW_UNSIGNED ;;
  esac
  set_policy "$key" "$2" "$1"
}

# --- Proxmox VE's commands

# pve WHAT COMMAND...: prints WHAT and runs a command that changes something. The command does not inherit the lock,
# because its workers may outlive this run. Its output is printed when it fails.
pve() {
  local what=$1 out line status=0
  shift
  [[ -z $what ]] || say "  $what"
  [[ -z $VERBOSE$DRY_RUN ]] || show_command "$@"
  [[ -z $DRY_RUN ]] || return 0
  out=$("$@" 2>&1 {LOCK}>&- </dev/null) || status=$?
  [[ -z $out ]] || while IFS= read -r line; do verbose "$line"; done <<<"$out"
  # The reason is in the last lines, followed by the usage.
  PVE_SAID=$(grep -v -e '\[OPTIONS\]$' -e '^$' <<<"$out" | tail -n 2 | paste -sd ' ') || true
  look
  return "$status"
}

# must WHAT COMMAND...: the same, and fails when the command does.
must() {
  pve "$@" && return
  shift
  fail "$1 $2 ${3-} failed: ${PVE_SAID:-it said nothing}" 'see the task log of the VM in Proxmox VE; --verbose shows all it said'
}

# --- the state of the host: guests and volumes. A missing file means nothing unless /etc/pve was mounted

# look: reads the configurations of all guests of the cluster. While pve-cluster restarts they are not visible; this
# waits for it.
look() {
  local waited=0
  until read_guests; do
    cd /
    ((waited > 0)) || say "  $CLUSTER is not there, as when pve-cluster restarts; waiting for it"
    if ((waited >= CLUSTER_SECONDS)); then
      LOST=1
      fail "waited $CLUSTER_SECONDS s for $CLUSTER/local; without it nobody knows what VMs there are" \
        'see whether this is a Proxmox VE host and its pve-cluster runs; what was begun stays noted: then run deploy.sh --recover'
    fi
    sleep 1
    waited=$((waited + 1))
  done
  cd /
}

# The folder is held open while it is read. A file system that is mounted again meanwhile is not the one behind the open
# folder, so the checks at the beginning and at the end are of one mount. False when it was not mounted.
read_guests() {
  local file text
  GUESTS=() GUEST_IDS=()
  cd "$CLUSTER" 2>/dev/null && [[ -L local ]] || return 1
  NODE=$(readlink local) || return 1
  NODE=${NODE##*/}
  for file in nodes/*/{qemu-server,lxc}/[0-9]*.conf; do
    text=''
    if ! { IFS= read -r -d '' text || true; } 2>/dev/null <"$file"; then
      # It was removed, or it cannot be read.
      [[ ! -e $file ]] || return 1
      continue
    fi
    GUESTS[$file]=$text
    file=${file##*/}
    GUEST_IDS[${file%.conf}]=1
  done
  [[ -L local && -n $NODE ]]
}

# The following functions use what `look` has found.

conf_exists() { [[ -n ${GUESTS["nodes/$NODE/qemu-server/$1.conf"]+x} ]]; }

conf_text() { printf '%s\n' "${GUESTS["nodes/$NODE/qemu-server/$1.conf"]-}"; }

# conf_value VMID KEY: a value of a VM's current configuration, without its snapshots; empty if it is not set.
conf_value() {
  local line
  while IFS= read -r line; do
    [[ $line != '['* ]] || break
    if [[ $line == "$2: "* ]]; then
      printf '%s\n' "${line#"$2: "}"
      break
    fi
  done <<<"${GUESTS["nodes/$NODE/qemu-server/$1.conf"]-}"
}

has_tag() {
  local tag
  for tag in $(conf_value "$1" tags | tr ';, ' '   '); do [[ $tag != "$2" ]] || return 0; done
  return 1
}

# On any node of the cluster, container or VM: they share the numbers.
vm_exists() { [[ -n ${GUEST_IDS[$1]+x} ]]; }

# is_named VOLUME: whether the configuration of any guest names it.
is_named() {
  local file
  for file in "${!GUESTS[@]}"; do
    [[ ${GUESTS[$file]} =~ :\ *(file=|volume=)?"$1"(,|$'\n'|$) ]] && return
  done
  return 1
}

# volume_of VMID KEY: the volume of a disk, as local:9000/vm-9000-disk-1.raw.
volume_of() {
  local value
  value=$(conf_value "$1" "$2")
  printf '%s\n' "${value%%,*}"
}

# volumes_of VMID: all volumes that its configuration names and that are its own.
volumes_of() {
  sed -nE "s/^(ide|sata|scsi|virtio|efidisk|tpmstate|unused)[0-9]+: (file=)?([A-Za-z][A-Za-z0-9._-]*:([^,]*[/:])?(vm|base)-$1-[^/,]+)(,.*)?$/\3/p
    s/^vmstate: ([A-Za-z][A-Za-z0-9._-]*:([^,]*\/)?vm-$1-[^/,]+)$/\1/p" <<<"${GUESTS["nodes/$NODE/qemu-server/$1.conf"]-}" | sort -u
}

# read_pvesm ARGUMENTS...: reads the output of pvesm into PVESM. A failure is not an empty output.
read_pvesm() {
  local tries
  for tries in 1 2 3; do
    PVESM=$(pvesm "$@" 2>&1 {LOCK}>&- </dev/null) && return
    sleep "$tries"
    look
  done
  fail "pvesm $* failed: $(tail -n 1 <<<"$PVESM")" 'see pvesm status'
}

# list_volumes: the disks of all guests on all storages of this host. The disks on an inactive storage are unknown.
list_volumes() {
  local content name type state rest
  local -A storages=()
  VOLUMES='' VOLUME_IDS=()
  for content in images rootdir; do
    read_pvesm status --content "$content"
    while read -r name type state rest; do
      if [[ $state == active ]]; then storages[$name]=1; fi
      [[ $state != inactive ]] || fail "looked on all storages for disks of guests; $name ($type) is inactive" \
        "see pvesm status, and make it active; or, if it is not to be used: pvesm set $name --disable 1"
    done <<<"$PVESM"
  done
  for name in "${!storages[@]}"; do
    read_pvesm list "$name"
    VOLUMES+=$(awk '$3 == "images" || $3 == "rootdir" { print $1, $4, $5 }' <<<"$PVESM")$'\n'
  done
  while read -r name rest; do
    if [[ $rest == *' '* ]]; then VOLUME_IDS[${rest#* }]=1; fi
  done <<<"$VOLUMES"
}

# list_volumes_on STORAGE VMID: only those of one guest on one storage.
list_volumes_on() {
  read_pvesm list "$1" --vmid "$2"
  VOLUMES=$(awk -v id="$2" '($3 == "images" || $3 == "rootdir") && $5 == id { print $1, $4, $5 }' <<<"$PVESM")
}

# has_volume VOLUME: whether the VOLUMES contain it.
has_volume() { [[ $'\n'$VOLUMES == *$'\n'"$1 "* ]]; }

# live_task VMID: whether a task of Proxmox VE for a VM is running. A task is UPID:node:pid:start:…, and its process is
# the one that began at that tick (field 22 of its stat).
live_task() {
  local upid pid began id stat
  [[ -r /var/log/pve/tasks/active ]] || return 1
  while read -r upid _; do
    IFS=: read -r _ _ pid began _ _ id _ <<<"$upid"
    [[ ${id-} == "$1" && $pid =~ ^[0-9A-F]+$ && $began =~ ^[0-9A-F]+$ ]] || continue
    stat=$(cat "/proc/$((16#$pid))/stat" 2>/dev/null) || continue
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- "$1" $stat
    # A zombie has ended.
    [[ ${21-} == $((16#$began)) && ${2-} != Z ]] && return 0
  done </var/log/pve/tasks/active
  return 1
}

await_tasks() {
  local waited=0
  while live_task "$1"; do
    ((waited > 0)) || say "  a task of Proxmox VE still works on VM $1; waiting for it"
    ((waited < TASK_SECONDS)) || fail "waited ${TASK_SECONDS} s for a task on VM $1; it still runs" \
      'look at it in Proxmox VE, then run deploy.sh --recover'
    sleep 1
    waited=$((waited + 1))
  done
}

# --- state: the journal of the running transaction, and a ledger entry for each template

# Each line is on disk before the action that it announces.
journal() {
  { printf '%(%FT%TZ)T %s\n' -1 "$*" >>"$JOURNAL" && sync "$JOURNAL"; } ||
    fail "could not write $JOURNAL" 'make room on its file system, then run deploy.sh --recover'
}

# write_file FILE: writes standard input atomically.
write_file() {
  local new=$1.new
  { cat >"$new" && sync "$new" && mv -f -- "$new" "$1" && sync "$(dirname -- "$1")"; } ||
    fail "could not write $1" 'make room on its file system, then run deploy.sh --recover'
}

ledger_value() {
  [[ -e $TEMPLATES/$1 ]] || return 0
  sed -n "s/^$2=//p" "$TEMPLATES/$1"
}

# ours VMID: a template that this script made on this node: our entry, our tag, and the identity it was given.
ours() {
  local uuid
  [[ -e $TEMPLATES/$1 ]] && conf_exists "$1" || return 1
  uuid=$(ledger_value "$1" UUID)
  [[ -n $uuid && ,$(conf_value "$1" smbios1), == *",uuid=$uuid,"* ]] && has_tag "$1" seeder
}

good() { ours "$1" && [[ $(conf_value "$1" template) == 1 ]]; }

# current_of IMAGE: the VM ID of its current template, if there is one.
current_of() { templates_of "$1" | awk 'NR == 1'; }

# templates_of IMAGE: the VM IDs of its intact templates, the last promoted one first.
templates_of() {
  local file vmid
  for file in "$TEMPLATES"/[0-9]*; do
    vmid=${file##*/}
    [[ $vmid =~ ^[0-9]+$ && $(ledger_value "$vmid" IMAGE) == "$1" ]] || continue
    good "$vmid" || continue
    printf '%s %s\n' "$(ledger_value "$vmid" PROMOTED)" "$vmid"
  done | sort -rn | awk '{ print $2 }'
}

images_known() {
  local file
  for file in "$TEMPLATES"/[0-9]*; do
    [[ ! $file =~ /[0-9]+$ ]] || sed -n 's/^IMAGE=//p' "$file"
  done | sort -u
}

describe() { printf '%s %s (template %s)' "$(ledger_value "$1" IMAGE)" "$(ledger_value "$1" VERSION)" "$1"; }

prepare_state() {
  [[ ! -L $STATE ]] || fail "$STATE is a symbolic link" 'put a folder there'
  mkdir -p "$STATE"
  require_root_owned "$STATE"
  chmod 0700 "$STATE"
  mkdir -p "$TEMPLATES" "$STAGE" "$HISTORY"
}

# --- locks: one deployer on this host, and one in a cluster

take_host_lock() {
  exec {LOCK}>>"$STATE/lock"
  flock --nonblock "$LOCK" || fail 'another deploy is at work on this host' 'try again when it has ended' 75
}

# --list and --check run beside a deploy. Only one of each runs at a time.
take_lock_to_look() {
  local seconds=0
  [[ $VERB != list ]] || seconds=$LIST_SECONDS
  exec {LOCK}>>"$STATE/lock.$VERB"
  flock --wait "$seconds" "$LOCK" || fail "another --$VERB is at work on this host" 'try again when it has ended' 75
}

# A directory below /etc/pve/priv/lock is a lock of the whole cluster for as long as it is touched.
take_cluster_lock() {
  local waited=0
  # A cluster of an old version has no such folder; neither has a file system that is not mounted.
  if [[ ! -d ${CLUSTER_LOCK%/*} ]]; then
    look
    [[ -d ${CLUSTER_LOCK%/*} ]] || return 0
  fi
  until mkdir "$CLUSTER_LOCK" 2>/dev/null; do
    # We hold this host's lock, so a cluster lock of this host is left from a killed run.
    if [[ -e $CLUSTER_LOCK_HELD && -d $CLUSTER_LOCK ]] && touch -c "$CLUSTER_LOCK" 2>/dev/null; then break; fi
    look
    [[ -d $CLUSTER_LOCK ]] || { ((waited < 3)) || fail "could not make $CLUSTER_LOCK" 'is the cluster quorate? see pvecm status'; }
    ((waited > 0)) || say "another node of the cluster deploys, or a run was killed; its lock ends within $CLUSTER_LOCK_SECONDS s"
    ((waited < CLUSTER_LOCK_SECONDS + 30)) || fail 'another node of the cluster deploys' 'try again when it has ended' 75
    release_stale_lock
    sleep 1
    waited=$((waited + 1))
  done
  : >"$CLUSTER_LOCK_HELD"
  CLUSTER_LOCKED=1
  keep_cluster_lock &
}

# Setting the time of a lock to zero makes pmxcfs free it if it was not touched for two minutes.
release_stale_lock() { touch -c -d @0 "$CLUSTER_LOCK" 2>/dev/null || true; }

keep_cluster_lock() {
  exec {LOCK}>&- >/dev/null 2>&1 </dev/null
  trap - EXIT INT TERM HUP
  while kill -0 $$ && sleep 20; do touch -c "$CLUSTER_LOCK" || true; done
}

release_locks() {
  local job
  for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
  exec {LOCK}>&-
  # The lock of another run is not ours to release. The next run takes over a lock that could not be removed.
  if [[ -n $CLUSTER_LOCKED ]]; then
    if rmdir "$CLUSTER_LOCK" 2>/dev/null || [[ -L $CLUSTER/local && ! -d $CLUSTER_LOCK ]]; then rm -f "$CLUSTER_LOCK_HELD"; fi
  fi
}

# --- the image to deploy

# stage DIR: copies the files of DIR to where only root writes, verifies them there, and reads them. From here on DIR is
# not read again, and nothing in a file is printed before it is verified.
stage() {
  local dir=$1 name
  say "Verifying $dir"
  STAGED=$(mktemp -d "$STAGE/XXXXXXXX")
  for name in SHA256SUMS SHA256SUMS.sig template.conf; do
    copy_staged "$dir" "$name" 1048576
  done
  [[ -e $STAGED/SHA256SUMS && -e $STAGED/template.conf ]] ||
    fail "looked in $dir for an image; it has no SHA256SUMS and template.conf" 'give the folder that a build or a download left'
  verify_signature "$dir"
  verify_digest "$dir" template.conf
  read_template_conf "$dir"
  copy_staged "$dir" "$MANIFEST" 16777216
  verify_digest "$dir" "$MANIFEST"
  copy_staged "$dir" "$QCOW2" "$((RAW_SIZE + RAW_SIZE / 8 + 16777216))"
  verify_digest "$dir" "$QCOW2"
  verify_manifest "$dir"
  verify_disk "$dir"
}

# find_caller: finds the user who names the folders. Root opens no path of another user: links, mounts and
# /proc/PID/root can make it any file of this host.
find_caller() {
  local entry
  CALLER=root
  through_sudo || return 0
  [[ $SUDO_UID =~ ^[1-9][0-9]{0,9}$ ]] || fail "sudo says that the user id ${SUDO_UID@Q} called it" 'call it through sudo itself' 2
  # A user who is in no list of users has no groups.
  CALLER="the user id $SUDO_UID" CALLER_UID=$SUDO_UID CALLER_GID=65534 CALLER_GROUPS=65534
  if entry=$(getent passwd "$SUDO_UID"); then
    IFS=: read -r CALLER _ _ CALLER_GID _ <<<"$entry"
    CALLER_GROUPS=$(id -G -- "$CALLER")
  fi
  # deploy-outside of runner.sh passes the mount namespace of the job. The reader uses it only for those files.
  [[ $(readlink "/proc/$$/fd/0") != 'mnt:['* ]] || CALLER_MOUNTS=1
}

# Opens a path as a user, and prints a line and the content of the file. The line is "size BYTES", or the reason for none:
# none (there is no such file), closed (this user cannot), kind (no plain file), large (more bytes than it may have).
# It is a single process: its program was loaded on this host, whatever mount namespace it enters afterwards. It opens the
# path only when it is known to be a plain file, because opening a device or a pipe may have effects. The process has the
# user's rights and no others, and the user cannot inspect or trace it.
# shellcheck disable=SC2016
readonly READER='
use strict; use Fcntl qw(:DEFAULT :mode); use POSIX ();
use constant { O_PATH => 010000000, CLONE_NEWNS => 0x20000, PRCTL => { x86_64 => 157, aarch64 => 167 },
  SETNS => { x86_64 => 308, aarch64 => 268 }, PR_SET_DUMPABLE => 4, PR_SET_NO_NEW_PRIVS => 38 };
my ($uid, $gid, $groups, $mounts, $path, $limit) = @ARGV;
my $machine = (POSIX::uname())[4];
$| = 1;
sub answer { print "$_[0]\n"; exit }
if ($mounts) { syscall(SETNS->{$machine} // -1, 0, CLONE_NEWNS) == 0 or answer("mounts") }
if ($uid) {
  $) = "$gid $groups"; POSIX::setgid($gid); POSIX::setuid($uid);
  my %own = map { $_ => 1 } $gid, split / /, $groups;
  $< == $uid && $> == $uid && $( == $gid && !defined POSIX::setuid(0) or answer("identity");
  $own{$_} or answer("identity") for split / /, $);
}
for ([PR_SET_NO_NEW_PRIVS, 1], [PR_SET_DUMPABLE, 0]) {
  syscall(PRCTL->{$machine} // -1, $_->[0], $_->[1], 0, 0, 0) == 0 or answer("identity");
}
sysopen(my $found, $path, O_PATH | O_NOFOLLOW) or answer($!{ENOENT} || $!{ENOTDIR} ? "none" : "closed");
my @found = stat $found;
S_ISREG($found[2]) or answer("kind");
$found[7] <= $limit or answer("large");
sysopen(my $file, "/proc/self/fd/" . fileno($found), O_RDONLY | O_NONBLOCK | O_NOCTTY) or answer("closed");
my @file = stat $file;
$file[0] == $found[0] && $file[1] == $found[1] or answer("kind");
print "size $found[7]\n";
for (my $left = $found[7]; $left > 0;) {
  my $count = sysread($file, my $bytes, $left < 1048576 ? $left : 1048576) or last;
  (syswrite(STDOUT, $bytes) // 0) == $count or last;
  $left -= $count;
}'

# read_as_caller PATH LIMIT SECONDS: runs READER. The file may be on a file system that never answers.
read_as_caller() {
  timeout --signal=KILL "$3" perl -e "$READER" -- "$CALLER_UID" "$CALLER_GID" "$CALLER_GROUPS" "$CALLER_MOUNTS" "$1" "$2" \
    2>/dev/null {LOCK}>&-
}

# copy_staged DIR NAME LIMIT: the folder belongs to the caller, who may change it meanwhile; the digest reveals a wrong
# copy. Root only writes what comes through the pipe, and no more than was announced.
copy_staged() {
  local dir=$1 name=$2 limit=$3 said='' size='' seconds
  seconds=$((READ_SECONDS + limit / READ_BYTES_PER_SECOND))
  {
    read -rt "$((seconds + 5))" said size || true
    case $said in
      size) ;;
      none) return 0 ;;
      closed) fail "could not read $dir/$name as $CALLER, who named it" "let $CALLER read it, or start deploy.sh as root" ;;
      kind) fail "$dir/$name is not a plain file" 'it has to be a plain file: no link, pipe or device' ;;
      large) fail "$dir/$name has more than the $limit bytes that it may have" 'build or download the image again' ;;
      mounts | identity) fail "could not become $CALLER to read $dir/$name" 'is perl in order? see the kernel log' ;;
      *) fail "tried to read $dir/$name as $CALLER; there was no answer within $seconds s" 'does its file system work?' ;;
    esac
    if ! [[ $size =~ ^[0-9]{1,15}$ ]] || ((10#$size > limit)); then fail "the size of $dir/$name cannot be right" 'try again'; fi
    require_stage_room "$dir/$name" "$size"
    dd "of=$STAGED/$name" bs=1M iflag=fullblock,count_bytes "count=$size" status=none 2>/dev/null ||
      fail "could not write the copy of $dir/$name to $STAGED" 'make room on its file system'
  } < <(read_as_caller "$dir/$name" "$limit" "$seconds")
  [[ $(stat -c %s -- "$STAGED/$name") == "$((10#$size))" ]] ||
    fail "$dir/$name became shorter while it was read, or could not be read to its end within $seconds s" 'try again'
}

# require_stage_room FILE SIZE: called before anything is copied.
require_stage_room() {
  local free
  free=$(df --output=avail --block-size=1 -- "$STAGE" | tail -n 1) || fail "could not see how much room $STAGE has" 'see df'
  ((free - 10#$2 >= STAGE_RESERVE)) ||
    fail "the copy of $1 takes $((10#$2 / 1048576 + 1)) MiB in $STAGE, and $((STAGE_RESERVE / 1048576)) MiB stay free beside it; $((free / 1048576)) MiB are free" \
      "make room on the file system of $STAGE"
}

# principals_of SIGNATURE: every name that ALLOWED_SIGNERS has for the key of the signature, a line each. ssh-keygen
# uses only the first line with the key, which may be for another namespace: it gets each line by itself. `!NAME`
# excludes a name.
principals_of() {
  local line
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^[[:space:]]*[^#[:space:]] ]] || continue
    ssh-keygen -Y find-principals -s "$1" -f <(printf '%s\n' "$line") 2>/dev/null || true
  done <"$ALLOWED_SIGNERS" | tr , '\n' | awk '/^[^!]/ && !known[$0]++'
}

verify_signature() {
  local dir=$1 name signer='' signers=()
  SIGNED=''
  if [[ ! -e $STAGED/SHA256SUMS.sig ]]; then
    [[ $ALLOW_UNSIGNED == 1 ]] || fail "the image in $dir is not signed (it has no SHA256SUMS.sig)" \
      'sign it: ssh-keygen -Y sign -f KEY -n seeder SHA256SUMS; or allow it with --allow-unsigned'
    say '  signature: none, and none is required'
    return
  fi
  if [[ ! -e $ALLOWED_SIGNERS ]]; then
    [[ $ALLOW_UNSIGNED == 1 ]] || fail "the signature of $dir needs to be checked; there is no $ALLOWED_SIGNERS" \
      "put a line 'NAME namespaces=\"seeder\" ssh-ed25519 KEY' in it for everybody who may sign images"
    say "  signature: not checked, as there is no $ALLOWED_SIGNERS, and none is required"
    return
  fi
  ! through_sudo || require_root_owned "$ALLOWED_SIGNERS"
  mapfile -t signers < <(principals_of "$STAGED/SHA256SUMS.sig")
  ((${#signers[@]})) || fail "$dir is signed by nobody in $ALLOWED_SIGNERS" 'do not use it, or add the signer if you know the key'
  for name in "${signers[@]}"; do
    if ssh-keygen -Y verify -f "$ALLOWED_SIGNERS" -I "$name" -n seeder -s "$STAGED/SHA256SUMS.sig" \
      <"$STAGED/SHA256SUMS" >/dev/null 2>&1; then
      signer=$name
      break
    fi
  done
  [[ -n $signer ]] || fail "the signature of $dir/SHA256SUMS by $(
    IFS=,
    echo "${signers[*]}"
  ) is wrong" \
    'the file was changed after it was signed, or the signature or the key is for something else: download it again'
  SIGNED=1
  say "  signature: $signer"
}

sha256_of() { openssl dgst -sha256 -r "$1" | cut -c 1-64; }

verify_digest() {
  local dir=$1 name=$2 listed found
  listed=$(awk -v name="$name" '($2 == name || $2 == "*" name) && NF == 2 { print $1 }' "$STAGED/SHA256SUMS")
  [[ $listed =~ ^[0-9a-f]{64}$ ]] || fail "$dir/SHA256SUMS does not name $name once" 'build or download the image again'
  [[ -e $STAGED/$name ]] || fail "$dir/SHA256SUMS names $name; it is not there" 'build or download the image again'
  found=$(sha256_of "$STAGED/$name")
  # Neither digest is printed: the caller may not be allowed to read the file.
  [[ $found == "$listed" ]] || fail "$dir/$name is not what SHA256SUMS says" \
    'it was changed or cut short: build or download it again (sha256sum --check SHA256SUMS shows both digests)'
}

# quote_signed VALUE: a value without a signature is not printed.
quote_signed() {
  if [[ -n $SIGNED ]]; then printf '%s' "${1@Q}"; else printf 'something else (not shown, as nobody has signed it)'; fi
}

# Values that reach a command have no blanks, and nothing that is syntax in a shell, in qm or in a property list.
read_template_conf() {
  local dir=$1 line key value number=0
  # Of one card: the bridge, and what qm is given with it.
  local card='[a-zA-Z][a-zA-Z0-9_.-]*(/tag=[1-9][0-9]{0,3})?(/mtu=[1-9][0-9]{2,4})?'
  local -A pattern=(
    [IMAGE]=$IMAGE_PATTERN [VERSION]=$VERSION_PATTERN [ROLES]='[a-z][a-z,-]*'
    [BASE]='[a-z][a-z0-9-]*' [QCOW2]='[a-z0-9][A-Za-z0-9.-]*\.qcow2' [QCOW2_SHA256]='[0-9a-f]{64}'
    [RAW_SHA256]='[0-9a-f]{64}' [RAW_SIZE]='[1-9][0-9]{0,12}' [USR_ROOTHASH]='[0-9a-f]{64}' [UKI_SHA256]='[0-9a-f]{64}'
    [LOCK_SHA256]='[0-9a-f]{64}' [COMMIT]='([0-9a-f]{40,64})?' [EPOCH]='[0-9]{1,12}' [CORES]='[1-9][0-9]{0,2}'
    [MEMORY]='[1-9][0-9]{2,7}' [DISK_GIB]='[1-9][0-9]{0,4}' [BRIDGES]="$card(,$card)*"
    [OSTYPE]='[a-z0-9]+' [BIOS]='ovmf' [MACHINE]='[a-z0-9.+-]+' [SCSIHW]='[a-z0-9-]+' [CPU]='[A-Za-z0-9-]+'
  )
  local -A seen=()
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    [[ -n $line && $line != '#'* ]] || continue
    key=${line%%=*} value=${line#*=}
    # A newer Seeder may write keys that this version does not know.
    [[ $line == *=* && $key =~ ^[A-Z][A-Z0-9_]*$ ]] || fail "$dir/template.conf, line $number: found $(quote_signed "$line")" \
      'build the image again'
    [[ -n ${pattern[$key]-} ]] || continue
    [[ -z ${seen[$key]-} ]] || fail "$dir/template.conf has $key twice" 'build the image again'
    [[ $value =~ ^${pattern[$key]}$ ]] || fail "$dir/template.conf, line $number: $key is $(quote_signed "$value")" \
      'build the image again'
    seen[$key]=1
    printf -v "$key" %s "$value"
  done <"$STAGED/template.conf"
  for key in "${!pattern[@]}"; do
    [[ -n ${seen[$key]-} ]] || fail "$dir/template.conf has no $key" 'build the image with this version of Seeder'
  done
  MANIFEST=$IMAGE-$VERSION.manifest.json
  [[ $QCOW2 == "$IMAGE-$VERSION.qcow2" ]] || fail "$dir/template.conf is of $IMAGE $VERSION and names $QCOW2" 'build the image again'
}

verify_manifest() {
  local name
  for name in IMAGE VERSION RAW_SHA256 QCOW2_SHA256 USR_ROOTHASH UKI_SHA256 LOCK_SHA256; do
    grep -qF "\"${!name}\"" "$STAGED/$MANIFEST" ||
      fail "$1: template.conf has $name=${!name}; the manifest has not" 'the files are of different builds: build or download the image again'
  done
}

# Reads the header before any program opens the image: a qcow2 may refer to other files of this host.
verify_disk() {
  local dir=$1 file=$STAGED/$QCOW2 magic version backing size crypt features said
  read -r magic version backing size crypt features < <(od -An -v -tx1 -N 80 "$file" | tr -d ' \n' | awk '{
    print substr($0, 1, 8), substr($0, 9, 8), substr($0, 17, 16), substr($0, 49, 16), substr($0, 65, 8), substr($0, 145, 16) }') || true
  [[ $magic == 514649fb && $version == 00000003 ]] || fail "$dir/$QCOW2 is no qcow2 image of version 3" 'build or download it again'
  ((16#$backing == 0)) || fail "$dir/$QCOW2 wants another image as its backing file" 'only complete images are taken: build it again'
  ((!(16#$features & 4))) || fail "$dir/$QCOW2 keeps its data in another file" 'only complete images are taken: build it again'
  ((16#$crypt == 0)) || fail "$dir/$QCOW2 is encrypted" 'only plain images are taken: build it again'
  ((16#$size == RAW_SIZE)) || fail "$dir/$QCOW2 is a disk of $((16#$size)) bytes; template.conf says $RAW_SIZE" 'build or download it again'
  said=$(qemu-img check -q -f qcow2 "$file" 2>&1) ||
    fail "qemu-img check found $dir/$QCOW2 damaged: $(tail -n 1 <<<"$said")" 'build or download it again'
  say "  $IMAGE $VERSION: all digests are right, disk of $((RAW_SIZE / 1048576)) MiB"
}

unstage() {
  [[ -z $STAGED ]] || rm -rf -- "$STAGED"
  STAGED=''
}

# --- the storage and the number

choose_storage() {
  local name type status rest free candidates=()
  read_pvesm status --content images
  while read -r name type status rest; do
    [[ $name != Name ]] || continue
    # shellcheck disable=SC2086
    set -- $rest
    free=${3-}
    if [[ -n $STORAGE && $name == "$STORAGE" ]] || { [[ -z $STORAGE && $status == active ]] && storage_serves "$type"; }; then
      candidates+=("$name $type $status ${free:-0}")
    fi
  done <<<"$PVESM"
  if ((${#candidates[@]} == 0)); then
    read_pvesm status
    [[ -z $STORAGE ]] || ! awk -v name="$STORAGE" '$1 == name { found = 1 } END { exit !found }' <<<"$PVESM" ||
      fail "the storage $STORAGE cannot hold VM disks" "allow it: pvesm set $STORAGE --content images,…; or name another with --storage"
    fail "${STORAGE:+there is no storage $STORAGE}${STORAGE:-no storage can hold VM disks}" 'see pvesm status, and name one with --storage'
  fi
  ((${#candidates[@]} == 1)) ||
    fail "several storages can hold VM disks: $(printf '%s\n' "${candidates[@]}" | awk '{ printf "%s%s", sep, $1; sep = ", " }')" \
      "name one with --storage, or write STORAGE=… to $CONF" 2
  read -r STORAGE STORAGE_TYPE status STORAGE_FREE <<<"${candidates[0]}"
  [[ $status == active ]] || fail "the storage $STORAGE is $status" 'see pvesm status'
  storage_serves "$STORAGE_TYPE" || fail "the storage $STORAGE is of the type $STORAGE_TYPE" 'name one of the type dir, lvmthin or zfspool'
}

storage_serves() { [[ $1 == dir || $1 == lvmthin || $1 == zfspool ]]; }

require_room() {
  # KiB. A thin disk may grow to its whole size later; now it takes what the image contains.
  ((STORAGE_FREE * 1024 > RAW_SIZE)) || fail "the storage $STORAGE has $((STORAGE_FREE / 1024)) MiB free; the disk of $IMAGE $VERSION takes $((RAW_SIZE / 1048576)) MiB" \
    'make room, retire old templates (deploy.sh --retire), or name another storage'
}

# free_vmid [TAKEN]: the lowest free number of the range above TAKEN, by what `look` and `list_volumes` have found. A
# number that has volumes without a VM, on whatever storage, is not free.
free_vmid() {
  local vmid
  for ((vmid = ${1:-$((RANGE_FIRST - 1))} + 1; vmid <= RANGE_LAST; vmid++)); do
    if vm_exists "$vmid" || [[ -e $TEMPLATES/$vmid || -n ${VOLUME_IDS[$vmid]-} ]]; then continue; fi
    printf '%s\n' "$vmid"
    return
  done
  return 1
}

# --- which version may become the current one

# comparable VERSION: in a form that dpkg orders; a word in it marks a pre-release: 3.1rc1 is older than 3.1.
comparable() { sed -E 's/\.*([A-Za-z]+)\.*/~\1/g' <<<"$1"; }

# older VERSION THAN: compares the component's version first, and then the revision as a number.
older() {
  local status=0
  dpkg --compare-versions "$(comparable "$1")" lt "$(comparable "$2")" >/dev/null 2>&1 || status=$?
  ((status < 2)) || fail "could not compare the versions $1 and $2" 'see dpkg --compare-versions'
  return "$status"
}

# for_job: whether another user than root started the transaction.
for_job() { [[ -n $FOR_JOB ]] || through_sudo; }

# permit IMAGE VERSION [CURRENT]: refuses a version that must not replace the current template.
permit() {
  local minimum=${MINIMUM[$1]-} current
  if [[ -n $minimum ]] && older "$2" "$minimum"; then
    fail "$1 $2 is not taken: it is older than $minimum, the oldest version that $CONF allows" \
      "use a newer one; or change MINIMUM in $CONF as root"
  fi
  [[ -n ${3-} ]] || return 0
  current=$(ledger_value "$3" VERSION)
  if for_job && [[ $ALLOW_OLDER != 1 ]] && older "$2" "$current"; then
    fail "$1 $2 is older than $current, which is current here (template $3); through sudo it does not take its place" \
      "as root on this host: run deploy.sh yourself, or write ALLOW_OLDER=1 to $CONF"
  fi
}

# --- deploying one image

deploy() {
  local current before same
  look
  choose_storage
  current=$(current_of "$IMAGE")
  permit "$IMAGE" "$VERSION" "$current"
  before=${current:+, in the place of $(describe "$current")}
  same=$(deployed_already) || exit 1
  if [[ -n $same && $same == "$current" ]] && has_tag "$same" current; then
    say "$IMAGE $VERSION is deployed already: template $same"
    RESULTS+=("$(result "$same" false "$current")")
    return
  fi
  if [[ -n $same ]]; then
    say "$IMAGE $VERSION is here as template $same; it becomes the current one"
    promote "$same" deploy
  else
    require_room
    create
  fi
  [[ -n $DRY_RUN ]] || RESULTS+=("$(result "$VMID" true "$current")")
  say "$IMAGE $VERSION is ${DRY_RUN:+going to be }template $VMID$before"
}

# The template of exactly this image. The same version with another content is refused: a version has one content.
deployed_already() {
  local vmid
  for vmid in $(templates_of "$IMAGE"); do
    [[ $(ledger_value "$vmid" VERSION) == "$VERSION" ]] || continue
    [[ $(ledger_value "$vmid" RAW_SHA256) == "$RAW_SHA256" ]] ||
      fail "$IMAGE $VERSION is deployed already as template $vmid, with another content ($(ledger_value "$vmid" RAW_SHA256))" \
        'raise the revision of the image, lock and build it, so that two images never have one version'
    printf '%s\n' "$vmid"
    return
  done
}

create() {
  TOKEN=$(cat /proc/sys/kernel/random/uuid)
  say "Making a template of $IMAGE $VERSION on $STORAGE ($STORAGE_TYPE)"
  begin "deploy token=$TOKEN image=$IMAGE version=$VERSION storage=$STORAGE size=$RAW_SIZE grown=$((DISK_GIB * 1073741824))"
  claim
  import_disk
  verify_import
  grow_disk
  make_template
  if [[ $SMOKE == 1 ]]; then smoke; fi
  enter_ledger
  promote "$VMID"
  retire "$IMAGE"
  finish
}

begin() {
  [[ -z $DRY_RUN ]] || return 0
  OPEN=1
  : >"$JOURNAL"
  if through_sudo; then journal "begin $* for=job"; else journal "begin $*"; fi
}

step() { [[ -n $DRY_RUN ]] || journal "$@"; }

finish() {
  [[ -z $DRY_RUN ]] || return 0
  unstage
  journal end
  close_journal
  OPEN=''
}

# Keeps the journals of the last fifty transactions.
close_journal() {
  mv -f "$JOURNAL" "$HISTORY/$(date -u +%Y%m%dT%H%M%SZ).$$.${RANDOM}"
  find "$HISTORY" -maxdepth 1 -type f -printf '%f\n' | sort -r | tail -n +51 | while IFS= read -r old; do rm -f "$HISTORY/$old"; done
}

# An empty VM with our identity comes first: Proxmox VE gives a number to one caller only, and from then on everything
# that a crash leaves belongs to a VM that is marked as ours.
claim() {
  local tries description
  description=$(describe_template)
  list_cards
  VMID=''
  for tries in 1 2 3 4 5; do
    look
    list_volumes
    VMID=$(free_vmid "$VMID") || fail "no VM ID from $VMID_RANGE is free" 'retire templates (deploy.sh --retire), or give a larger --vmid-range'
    step "do claim vmid=$VMID"
    if pve "claim VM $VMID" qm create "$VMID" --name "$IMAGE-$VERSION" --description "$description" \
      --tags "seeder;$IMAGE" --smbios1 "uuid=$TOKEN" --ostype "$OSTYPE" --bios "$BIOS" --machine "$MACHINE" \
      --cpu "$CPU" --cores "$CORES" --memory "$MEMORY" --scsihw "$SCSIHW" --agent enabled=1 --rng0 source=/dev/urandom \
      --serial0 socket --vga serial0 --tablet 0 --onboot 0 --ciupgrade 0 "${CARDS[@]}"; then
      step "done claim vmid=$VMID"
      return
    fi
    [[ $PVE_SAID == *already\ exists* ]] || fail "qm create $VMID failed: $PVE_SAID" 'see the message'
    say "  VM $VMID has just been taken by somebody else"
    step "lost claim vmid=$VMID"
  done
  fail "VM IDs were taken by others $tries times" 'give deploy.sh a --vmid-range of its own'
}

# list_cards [OPTION]: sets CARDS to the arguments of qm for the network cards, each with the option.
list_cards() {
  local card
  CARDS=()
  for card in ${BRIDGES//,/ }; do
    CARDS+=("--net$((${#CARDS[@]} / 2))" "virtio,bridge=${card//\//,},firewall=1${1:+,$1}")
  done
}

describe_template() {
  cat <<DESCRIPTION
$IMAGE $VERSION, a template made by Seeder. It is replaced, not changed.

- base: $BASE
- disk sha256: $RAW_SHA256
- /usr root hash: $USR_ROOTHASH
- qcow2 sha256: $QCOW2_SHA256
- lock sha256: $LOCK_SHA256
- commit: ${COMMIT:-none}
- deployed: $(date -u +%FT%TZ)
DESCRIPTION
}

import_disk() {
  local format=''
  # A raw file, so that what is read back is the disk itself; clones of it are qcow2. Elsewhere there is no choice.
  [[ $STORAGE_TYPE != dir ]] || format=',format=raw'
  # The volumes that exist before the import are not ours.
  list_volumes_on "$STORAGE" "$VMID"
  step "do import before=$(awk '{ printf "%s%s", sep, $1; sep = "," }' <<<"$VOLUMES")"
  must "import the disk to $STORAGE" qm set "$VMID" --efidisk0 "$STORAGE:0,efitype=4m,pre-enrolled-keys=0$format" \
    --scsi0 "$STORAGE:0,import-from=$STAGED/$QCOW2,discard=on,iothread=1,ssd=1$format" \
    --ide2 "$STORAGE:cloudinit" --boot order=scsi0
  step 'done import'
}

disk_path() {
  local volume path
  volume=$(volume_of "$1" scsi0)
  [[ -n $volume ]] || fail "VM $1 has no scsi0 after the import" 'see qm config'
  read_pvesm path "$volume"
  path=${PVESM##*$'\n'}
  [[ $path == /* ]] || fail "pvesm path $volume names no file or device" 'see pvesm status'
  printf '%s\n' "$path"
}

# A logical volume is inactive after it was written, and udev makes the name of a device a moment after the device.
await_disk() {
  local waited=0
  if [[ ! -e $1 && $STORAGE_TYPE == lvmthin ]]; then
    lvchange -ay -K "${1#/dev/}" >/dev/null 2>&1 {LOCK}>&- || fail "could not activate the logical volume ${1#/dev/}" 'see lvs'
    ACTIVATED=${1#/dev/}
  fi
  until [[ -e $1 ]]; do
    ((waited < 40)) || fail "the imported disk should be $1, which is not there" 'see pvesm status'
    sleep 0.25
    waited=$((waited + 1))
  done
}

verify_import() {
  local path found
  say '  read the disk back and compare its sha256 with the manifest'
  [[ -z $DRY_RUN ]] || return 0
  path=$(disk_path "$VMID")
  ACTIVATED=''
  await_disk "$path"
  sync "$path" || fail "could not write $path to its disk" 'see the kernel log'
  found=$(disk_sha256 "$path" "$RAW_SIZE")
  [[ -z $ACTIVATED ]] || lvchange -an "$ACTIVATED" >/dev/null 2>&1 {LOCK}>&- || true
  [[ $found == "$RAW_SHA256" ]] || fail "the imported disk of VM $VMID is not the image (sha256 $found, not $RAW_SHA256)" \
    "$STORAGE does not keep what is written to it: check the disk, the memory and the kernel log of this host"
  step 'done verify'
}

# disk_sha256 PATH SIZE: bypasses the page cache where the storage allows it, to read what was written.
disk_sha256() {
  local flags=fullblock,count_bytes
  ! dd if="$1" bs=4M count=1 iflag=direct of=/dev/null status=none 2>/dev/null || flags+=,direct
  dd if="$1" bs=4M iflag="$flags" count="$2" status=none | openssl dgst -sha256 -r | cut -c 1-64
}

grow_disk() {
  ((DISK_GIB * 1073741824 > RAW_SIZE)) || return 0
  step 'do grow'
  must "grow the disk to $DISK_GIB GiB" qm disk resize "$VMID" scsi0 "${DISK_GIB}G"
  [[ -z $DRY_RUN ]] || return 0
  # qm disk resize exits with 0 even when it fails.
  [[ ,$(conf_value "$VMID" scsi0), == *",size=${DISK_GIB}G,"* ]] || fail "qm disk resize $VMID failed: ${PVE_SAID:-it said nothing}" 'see the message'
  step 'done grow'
}

make_template() {
  local key volume
  step 'do template'
  must "make VM $VMID a template" qm template "$VMID"
  [[ -z $DRY_RUN ]] || return 0
  # qm template exits with 0 even when it fails, and may have done half of its work.
  [[ $(conf_value "$VMID" template) == 1 ]] || fail "qm template $VMID failed: ${PVE_SAID:-it said nothing}" 'see the message'
  for key in efidisk0 scsi0; do
    volume=$(volume_of "$VMID" "$key")
    [[ $volume == *base-"$VMID"-disk-* ]] || fail "qm template $VMID left $key as $volume: ${PVE_SAID:-it said nothing}" 'see the message'
  done
  step 'done template'
}

# --- smoke: boots a linked clone, as every node is one, until it reports that it is ready

smoke() {
  local clone
  look
  list_volumes
  clone=$(free_vmid "$VMID") || fail "no VM ID from $VMID_RANGE is free for a clone to try" 'give a larger --vmid-range, or --no-smoke'
  step "do smoke vmid=$clone"
  must "clone it as VM $clone, to try it" qm clone "$VMID" "$clone" --name "seeder-smoke-$clone" --description "seeder smoke $TOKEN"
  # It must not reach any network: it has its cards, but without a link.
  list_cards link_down=1
  must 'unplug its network' qm set "$clone" --tags 'seeder;smoke' "${CARDS[@]}"
  must "start VM $clone" qm start "$clone"
  await_ready "$clone"
  destroy_vm "$clone" "remove VM $clone" || fail "could not remove the clone $clone: $PVE_SAID" 'run deploy.sh --recover'
  step "done smoke"
}

guest() { qm guest exec "$1" --timeout 20 -- "${@:2}" 2>&1 {LOCK}>&- </dev/null; }

await_ready() {
  local clone=$1 out='' began=$SECONDS tries
  say "  wait for its first boot"
  [[ -z $DRY_RUN ]] || return 0
  until out=$(guest "$clone" /usr/lib/seeder/status) && [[ $out == *'\"state\":\"ready\"'* ]]; do
    [[ $out != *'\"state\":\"failed\"'* ]] || fail "the clone $clone booted and says: $(guest_reason "$out")" 'the image does not work here'
    ((SECONDS - began < SMOKE_SECONDS)) ||
      fail "the clone $clone was not ready after $SMOKE_SECONDS s: $(tail -n 1 <<<"$out")" 'start a clone by hand and look at its serial console (qm terminal)'
    look
    # A query that fails means nothing.
    if ! conf_exists "$clone" || [[ $(qm status "$clone" 2>&1 {LOCK}>&-) == *'status: stopped'* ]]; then
      fail "the clone $clone stopped by itself" 'look at its start task in Proxmox VE'
    fi
    sleep 2
  done
  [[ $out == *"\\\"version\\\":\\\"$VERSION\\\""* ]] || fail "the clone $clone is not $IMAGE $VERSION: $(guest_reason "$out")" 'the image is not what its manifest says'
  for tries in 1 2 3; do
    out=$(guest "$clone" /bin/cat /proc/cmdline) && break
    sleep "$tries"
    look
  done
  [[ $out == *"usrhash=$USR_ROOTHASH"* ]] || fail "the clone $clone did not boot with the root hash $USR_ROOTHASH" 'the image is not what its manifest says'
  say "  ready after $((SECONDS - began)) s"
}

guest_reason() { sed -n 's/.*"out-data" *: *"\(.*\)".*/\1/p' <<<"$1" | sed 's/\\n$//; s/\\"/"/g'; }

# --- the current template

enter_ledger() {
  step 'do ledger'
  say '  enter it in the ledger'
  [[ -z $DRY_RUN ]] || return 0
  write_file "$TEMPLATES/$VMID" <<LEDGER
VMID=$VMID
IMAGE=$IMAGE
VERSION=$VERSION
STORAGE=$STORAGE
VOLUME=$(volume_of "$VMID" scsi0)
RAW_SHA256=$RAW_SHA256
RAW_SIZE=$RAW_SIZE
USR_ROOTHASH=$USR_ROOTHASH
UKI_SHA256=$UKI_SHA256
UUID=$TOKEN
DEPLOYED=$(date -u +%FT%TZ)
PROMOTED=0
LEDGER
  step 'done ledger'
}

# promote VMID [KIND]: writes the current template into the ledger first, then changes the tags: first on the new
# template, then on the old one, so that there always is a current one. With KIND it is a transaction of its own.
promote() {
  local image last
  VMID=$1
  image=$(ledger_value "$VMID" IMAGE) image=${image:-$IMAGE}
  [[ -z ${2-} ]] || begin "$2 vmid=$VMID image=$image"
  step "do promote vmid=$VMID"
  if [[ -z $DRY_RUN ]]; then
    last=$(sed -n 's/^PROMOTED=//p' "$TEMPLATES"/[0-9]* | sort -rn | awk 'NR == 1')
    # A killed run may have got to this point.
    if [[ $last == 0 || $(ledger_value "$VMID" PROMOTED) != "$last" ]]; then
      sed "s/^PROMOTED=.*/PROMOTED=$((last + 1))/" "$TEMPLATES/$VMID" | write_file "$TEMPLATES/$VMID"
    fi
  fi
  follow_ledger "$image" "$VMID"
  step "done promote vmid=$VMID"
  [[ -z ${2-} ]] || finish
}

# follow_ledger IMAGE VMID: gives VMID the tag `current`, and removes it from the other templates of the image.
follow_ledger() {
  local vmid
  has_tag "$2" current || must "make template $2 the current one" qm set "$2" --tags "$(tags_with "$2" current)"
  for vmid in $(templates_of "$1"); do
    if [[ $vmid == "$2" ]] || ! has_tag "$vmid" current; then continue; fi
    must "template $vmid is not the current one any more" qm set "$vmid" --tags "$(tags_without "$vmid" current)"
  done
}

tags_with() {
  local tags
  tags=$(conf_value "$1" tags)
  printf '%s\n' "${tags:-seeder;$IMAGE};$2"
}

# Tags of others stay.
tags_without() {
  local tag tags=
  for tag in $(conf_value "$1" tags | tr ';, ' '   '); do
    if [[ $tag != "$2" ]]; then tags+="$tag;"; fi
  done
  printf '%s\n' "${tags%;}"
}

rollback() {
  local image=${ROLLBACK[0]} version=${ROLLBACK[1]-} current target='' vmid
  [[ $image =~ ^[a-z][a-z0-9-]*$ ]] || fail "${image@Q} is no image" 'see deploy.sh --list' 2
  look
  current=$(current_of "$image")
  [[ -n $current ]] || fail "there is no template of $image" 'see deploy.sh --list'
  for vmid in $(templates_of "$image"); do
    if [[ -n $version ]]; then
      [[ $(ledger_value "$vmid" VERSION) == "$version" ]] || continue
    else
      [[ $vmid != "$current" ]] || continue
    fi
    target=$vmid
    break
  done
  [[ -n $target ]] || fail "there is no ${version:-earlier} template of $image to go back to" 'see deploy.sh --list'
  if [[ $target == "$current" ]] && has_tag "$target" current; then
    say "$(describe "$target") is the current one already"
    RESULTS+=("$(result "$target" false "$current")")
    return
  fi
  permit "$image" "$(ledger_value "$target" VERSION)" "$current"
  say "From $(describe "$current") back to $(describe "$target")"
  IMAGE=$image
  promote "$target" rollback
  RESULTS+=("$(result "$target" true "$current")")
}

# --- retiring

retire_all() {
  local image
  for image in $(images_known); do
    retire "$image" alone
  done
}

# retire IMAGE [alone]: removes templates beyond the newest KEEP, except those in use and those that are not ours.
retire() {
  local vmid kept=0 reason
  look
  # In a plan the new template is not among them yet.
  [[ -z $DRY_RUN || $VERB != deploy ]] || kept=1
  for vmid in $(templates_of "$1"); do
    kept=$((kept + 1))
    ((kept > KEEP)) || continue
    look
    find_clones "$vmid"
    # A template that was changed meanwhile is not ours any more.
    good "$vmid" || continue
    reason=$(reason_to_keep "$1" "$vmid")
    if [[ -n $reason ]]; then
      say "  $(describe "$vmid") is kept: $reason"
    else
      retire_one "$vmid" "${2-}"
    fi
  done
  look
  foreign_of "$1"
}

# reason_to_keep IMAGE VMID: empty when the template can be removed.
reason_to_keep() {
  local lock
  lock=$(conf_value "$2" lock)
  if [[ -n $CLONES ]]; then
    printf '%s' "VM ${CLONES//$'\n'/, } is a linked clone of it"
  elif [[ $(conf_value "$2" protection) == 1 ]]; then
    printf 'it is protected'
  elif [[ -n $lock ]]; then
    printf 'it is locked (%s)' "$lock"
  elif for_job && (($(newer_than "$1" "$2") < KEEP)); then
    printf 'through sudo it makes room only for newer ones'
  fi
}

# newer_than IMAGE VMID: the number of newer templates of the image.
newer_than() {
  local vmid version count=0
  version=$(ledger_value "$2" VERSION)
  for vmid in $(templates_of "$1"); do
    if older "$version" "$(ledger_value "$vmid" VERSION)"; then count=$((count + 1)); fi
  done
  printf '%s\n' "$count"
}

retire_one() {
  [[ -z ${2-} ]] || begin "retire vmid=$1"
  step "do retire vmid=$1"
  remove_template "$1" "retire $(describe "$1")"
  [[ -z ${2-} ]] || finish
}

# remove_template VMID WHAT: removes it and its entry. A template that is locked, protected or cloned at this moment
# stays.
remove_template() {
  if destroy_vm "$1" "$2"; then
    [[ -n $DRY_RUN ]] || rm -f "$TEMPLATES/$1"
    step "done retire vmid=$1"
  elif is_whole "$1"; then
    say "  $(describe "$1") is kept: $PVE_SAID"
    step "kept retire vmid=$1"
  else
    fail "could not remove template $1: $PVE_SAID" 'when that is over, run deploy.sh --recover'
  fi
}

# is_whole VMID: whether a template that was to be removed still has all of its volumes.
is_whole() {
  local volume
  good "$1" || return 1
  for volume in $(volumes_noted "$1"); do
    list_volumes_on "${volume%%:*}" "$1"
    has_volume "$volume" || return 1
  done
}

# Reports VMs that look like templates of an image and are left alone.
foreign_of() {
  local file vmid
  for vmid in "${!GUEST_IDS[@]}"; do
    [[ $(conf_value "$vmid" template) == 1 ]] || continue
    if ! has_tag "$vmid" seeder || ! has_tag "$vmid" "$1" || ours "$vmid"; then continue; fi
    say "  VM $vmid has our tags and is not in the ledger: it is left alone"
  done
  for file in "$TEMPLATES"/[0-9]*; do
    vmid=${file##*/}
    if [[ ! $vmid =~ ^[0-9]+$ || $(ledger_value "$vmid" IMAGE) != "$1" ]] || ours "$vmid"; then continue; fi
    if vm_exists "$vmid"; then
      say "  VM $vmid is in the ledger as $1 $(ledger_value "$vmid" VERSION) and was changed by somebody: it is left alone"
    else
      say "  template $vmid ($(ledger_value "$vmid" VERSION)) was removed by somebody: it leaves the ledger"
      [[ -n $DRY_RUN ]] || rm -f "$file"
    fi
  done
}

# find_clones VMID: the VMs and containers of all nodes that have a disk on a base volume of it, in CLONES. LVM-thin
# does not name the base in the clone's volume, but knows the origin.
find_clones() {
  local volume name group file said found='' nl=$'\n'
  for volume in $(volume_of "$1" scsi0) $(volume_of "$1" efidisk0); do
    name=${volume##*[:/]}
    for file in "${!GUESTS[@]}"; do
      [[ $nl${GUESTS[$file]} =~ ${nl}[a-z]+[0-9]+:\ [^,${nl}]*[:/]"$name"/ ]] || continue
      file=${file##*/}
      found+=${file%.conf}$nl
    done
    learn_types
    if [[ ${TYPES[${volume%%:*}]-} == lvmthin ]]; then
      read_pvesm path "$volume"
      group=${PVESM##*"$nl"} group=${group#/dev/} group=${group%/*}
      said=$(lvs --noheadings -o lv_name,origin "$group" 2>&1 {LOCK}>&-) ||
        fail "looked for the linked clones of VM $1; lvs $group failed: $(tail -n 1 <<<"$said")" 'see lvs'
      found+=$(awk -v base="$name" '$2 == base { print $1 }' <<<"$said" | sed -n 's/^vm-\([0-9]*\)-.*/\1/p')$nl
    fi
  done
  CLONES=$(sort -nu <<<"$found" | sed '/^$/d')
}

# learn_types: the type of each storage, in TYPES.
learn_types() {
  local name type
  ((${#TYPES[@]} == 0)) || return 0
  read_pvesm status
  while read -r name type _; do TYPES[$name]=$type; done <<<"$PVESM"
}

# --- removing a VM of ours, whatever state it is in

# destroy_vm VMID WHAT [UNNAMED]: removes a VM and all of its volumes. The caller has made sure that it is ours. The
# journal first gets the volumes to remove: those that the configuration names, and the UNNAMED ones. Other volumes with
# its number are not touched; qm's --destroy-unreferenced-disks would remove them, on all storages.
destroy_vm() {
  local vmid=$1 what=$2 unnamed=${3-} tries lock begun=''
  local -a volumes
  if [[ -n $DRY_RUN ]]; then
    pve "$what" qm destroy "$vmid" --purge 1
    return
  fi
  await_tasks "$vmid"
  look
  ! left_by_us "$vmid" destroyed || begun=1
  read -ra volumes < <(paste -sd ' ' <<<"$(volumes_of "$vmid")"$'\n'"$unnamed") || true
  journal "do destroy vmid=$vmid volumes=$(IFS=, && printf '%s' "${volumes[*]}")"
  for tries in 1 2 3 4 5 6 7 8 9 10; do
    if conf_exists "$vmid"; then
      lock=$(conf_value "$vmid" lock)
      if [[ $lock == destroyed && -z $begun ]] || { [[ -n $lock ]] && ! left_by_us "$vmid" "$lock"; }; then
        PVE_SAID="it is locked ($lock)"
        return 1
      fi
      [[ $(qm status "$vmid" 2>/dev/null {LOCK}>&-) != *running* ]] || pve '' qm stop "$vmid" --timeout 30 || true
      begun=1
      # If it were unlocked first, a run that is killed in between would leave a VM without any mark.
      # shellcheck disable=SC2086
      pve "$what" qm destroy "$vmid" --purge 1 ${lock:+--skiplock 1} || true
    fi
    if ! conf_exists "$vmid"; then
      # qm destroy only warns about a volume that it could not remove.
      ! free_noted "$vmid" || return 0
    fi
    # A copying process that outlived its parent may still have the volume open.
    what="try again to remove VM $vmid ($tries)"
    sleep 2
    look
  done
  return 1
}

# left_by_us VMID LOCK: whether an interrupted command of ours leaves such a lock.
left_by_us() {
  case $2 in
    create) journal_has "do claim vmid=$1\$" ;;
    clone) journal_has "do smoke vmid=$1\$" ;;
    destroyed) journal_has "do destroy vmid=$1 " ;;
    *) return 1 ;;
  esac
}

# volumes_noted VMID: the volumes to remove with it, by the journal.
volumes_noted() { sed -n "s/^[^ ]* do destroy vmid=$1 volumes=//p" "$JOURNAL" | tr ',' '\n' | sed '/^$/d' | sort -u; }

# free_noted VMID: frees the volumes of the journal that no guest names. False when any is left.
free_noted() {
  local volume left=''
  # Another VM has that number by now.
  ! vm_exists "$1" || return 0
  for volume in $(volumes_noted "$1"); do
    list_volumes_on "${volume%%:*}" "$1"
    if ! has_volume "$volume" || is_named "$volume"; then continue; fi
    pve '' pvesm free "$volume" || true
    list_volumes_on "${volume%%:*}" "$1"
    ! has_volume "$volume" || left=1
  done
  [[ -z $left ]]
}

# unnamed_volumes VMID [BEFORE]: volumes that an interrupted import or clone has made but not written into a
# configuration: of the sizes that it makes, on its storage, not there BEFORE, and named by no guest.
unnamed_volumes() {
  local volume bytes size storage unit=1 before=",${2-},"
  local -A sizes=()
  storage=$(journal_value storage)
  learn_types
  # Storages round sizes up to this.
  case ${TYPES[$storage]-} in
    lvmthin) unit=4194304 ;;
    zfspool) unit=1048576 ;;
  esac
  # 528 KiB is an EFI disk, 4 MiB a cloud-init drive.
  for size in 540672 $(journal_value size) $(journal_value grown); do
    sizes["disk-$size"]=1 sizes["disk-$(((size + unit - 1) / unit * unit))"]=1
  done
  sizes["cloudinit-4194304"]=1
  list_volumes_on "$storage" "$1"
  while read -r volume bytes _; do
    [[ -n $volume && $before != *",$volume,"* ]] || continue
    if is_named "$volume" || [[ ! $volume =~ [:/](vm|base)-"$1"-(disk-[0-9]+|cloudinit)(\.raw|\.qcow2)?$ ]]; then continue; fi
    if [[ -n ${sizes["${BASH_REMATCH[2]%%-*}-$bytes"]-} ]]; then
      printf '%s\n' "$volume"
    else
      say "  the volume $volume is nothing that was being made: it is left alone"
    fi
  done <<<"$VOLUMES"
}

# --- recovery after a crash and at the exit

# undo_deploy: undoes what the journal began and what never became a template.
undo_deploy() {
  local token vmid smoke unnamed
  token=$(journal_value token)
  smoke=$(journal_last 'do smoke' vmid)
  if [[ -n $smoke ]] && ! journal_has 'done smoke'; then
    await_tasks "$smoke"
    look
    if ! vm_exists "$smoke" || smoke_is_ours "$smoke" "$token"; then
      unnamed=$(unnamed_volumes "$smoke") || return 1
      undo_vm "$smoke" "undo: remove the clone $smoke" "$unnamed" || return 1
    else
      say "  VM $smoke is not the clone that was being tried: it is left alone"
    fi
  fi
  vmid=$(journal_last 'do claim' vmid)
  if [[ -n $vmid && $(journal_last 'lost claim' vmid) != "$vmid" ]]; then
    await_tasks "$vmid"
    look
    if ! vm_exists "$vmid" || claim_is_ours "$vmid" "$token"; then
      unnamed=''
      ! journal_has 'do import' || unnamed=$(unnamed_volumes "$vmid" "$(journal_last 'do import' before)") || return 1
      undo_vm "$vmid" "undo: remove VM $vmid" "$unnamed" || return 1
    else
      say "  VM $vmid is not the one that was being made: it is left alone"
    fi
    # A run that was killed between the two leaves an entry without a VM.
    conf_exists "$vmid" || rm -f "$TEMPLATES/$vmid"
  fi
  rm -f "$TEMPLATES"/*.new
}

undo_vm() {
  # It was never made, or it is gone already with all of its volumes.
  if ! vm_exists "$1" && [[ -z $3 && -z $(volumes_noted "$1") ]]; then return 0; fi
  destroy_vm "$1" "$2" "$3" && return
  say "  VM $1 is not removed: ${PVE_SAID:-its volumes are in use}"
  return 1
}

# A complete configuration has the identity. While qm create writes it, it has only a lock; with our journal, no disk
# and no task, such a VM can only be ours.
claim_is_ours() {
  conf_exists "$1" || return 1
  [[ ,$(conf_value "$1" smbios1), != *",uuid=$2,"* ]] || return 0
  case $(conf_text "$1" | sed '/^$/d') in
    'lock: destroyed') left_by_us "$1" destroyed ;;
    'lock: create')
      list_volumes
      [[ -z ${VOLUME_IDS[$1]-} ]]
      ;;
    *) return 1 ;;
  esac
}

smoke_is_ours() {
  local lock
  conf_exists "$1" || return 1
  [[ $(conf_text "$1") != *"seeder smoke $2"* ]] || return 0
  lock=$(conf_value "$1" lock)
  [[ $lock =~ ^(clone|destroyed)$ && -z $(conf_value "$1" smbios1) ]] && left_by_us "$1" "$lock"
}

journal_value() { sed -n "1s/.* $1=\([^ ]*\).*/\1/p" "$JOURNAL"; }

# journal_last WHAT KEY: the value of KEY in the last line that begins so.
journal_last() { sed -n "s/^[^ ]* $1.* $2=\([^ ]*\).*/\1/p; s/^[^ ]* $1 $2=\([^ ]*\).*/\1/p" "$JOURNAL" | tail -n 1; }

journal_has() { grep -q "^[^ ]* $1" "$JOURNAL"; }

# recover: finishes what a crash or a power cut left if a good template was made, and undoes it otherwise.
recover() {
  local kind
  [[ -e $JOURNAL ]] || { clean_up && return; }
  # An incomplete line announces nothing that was done.
  [[ -z $(tail -c 1 "$JOURNAL") ]] || sed -i '$d' "$JOURNAL"
  kind=$(sed -n '1s/^[^ ]* begin \([a-z]*\) .*/\1/p' "$JOURNAL")
  [[ -z $(journal_value for) ]] || FOR_JOB=1
  if [[ -z $kind ]] || journal_has end; then
    close_journal
    clean_up
    return
  fi
  say "An interrupted $kind is found ($(head -n 1 "$JOURNAL" | cut -d ' ' -f 1))"
  if [[ $kind == deploy && -z $(journal_value vmid) ]] && ! journal_has 'done ledger'; then
    undo_deploy || fail 'could not undo it' 'see the messages; when that is over, run deploy.sh --recover'
    say '  it is undone: the template that was current still is'
  else
    VMID=$(journal_last 'done claim' vmid) VMID=${VMID:-$(journal_value vmid)}
    if [[ $kind == retire ]] || journal_has 'do retire'; then
      finish_retiring
    fi
    look
    if [[ $kind != retire ]] && good "$VMID"; then
      IMAGE=$(ledger_value "$VMID" IMAGE)
      journal_has 'done promote' || promote "$VMID"
      [[ -z $(journal_value token) ]] || retire "$IMAGE"
      say "  it is finished: $(describe "$VMID") is the current one"
    else
      say '  it is finished'
    fi
  fi
  journal end
  close_journal
  FOR_JOB=''
  clean_up
}

finish_retiring() {
  local vmid
  while read -r vmid; do
    if journal_has "done retire vmid=$vmid\$" || journal_has "kept retire vmid=$vmid\$"; then continue; fi
    await_tasks "$vmid"
    look
    if ours "$vmid" || ! vm_exists "$vmid" ||
      { [[ $(conf_text "$vmid" | sed '/^$/d') == 'lock: destroyed' ]] && left_by_us "$vmid" destroyed; }; then
      remove_template "$vmid" "finish: remove template $vmid"
    else
      say "  VM $vmid is not the template that was being retired: it is left alone"
    fi
  done < <(sed -n 's/^[^ ]* do retire vmid=//p' "$JOURNAL" | sort -u)
}

clean_up() {
  empty_stage
  rm -f "$TEMPLATES"/*.new
}

# Whoever holds the lock is alone: what is there was left by a run that was killed. Earlier versions had the copies of
# plans in /var/tmp, where others can make folders with such names, too: those are theirs.
empty_stage() {
  find "$STAGE" -mindepth 1 -maxdepth 1 -exec rm -rf -- {} +
  find /var/tmp -maxdepth 1 -type d -user root -name 'seeder-plan.????????' -exec rm -rf --one-file-system -- {} +
}

# plan_recovery: says what recover would do, and leaves the journal and what it is about as they are.
plan_recovery() {
  local lines kind vmids
  [[ -e $JOURNAL ]] || return 0
  lines=$(cat "$JOURNAL" && printf x) || return 0
  # An incomplete line announces nothing that was done.
  lines=${lines%"${lines##*$'\n'}"}
  kind=$(sed -n '1s/^[^ ]* begin \([a-z]*\) .*/\1/p' <<<"$lines")
  if [[ -z $kind ]] || grep -q '^[^ ]* end' <<<"$lines"; then return 0; fi
  say "An interrupted $kind is found (${lines%% *})"
  if [[ $kind == deploy && ! ${lines%%$'\n'*} =~ ' vmid=' ]] && ! grep -q '^[^ ]* done ledger' <<<"$lines"; then
    vmids=$(sed -n 's/^[^ ]* do \(claim\|smoke\) vmid=\([0-9]*\)$/\2/p' <<<"$lines" | sort -nu | paste -sd ' ')
    say "  the next deploy, or deploy.sh --recover, undoes it${vmids:+: what is left of VM ${vmids// /, } is removed}"
  else
    say '  the next deploy, or deploy.sh --recover, finishes it'
  fi
}

# The way out, for whatever reason: an open transaction is taken back, or finished when its template is good.
leave() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  set +e
  if [[ -n $OPEN ]]; then
    OPEN=''
    if journal_has 'done ledger' || ! journal_has 'begin deploy token'; then
      say 'deploy: it will be finished by the next run, or by deploy.sh --recover'
    elif [[ -z $LOST ]] && (undo_deploy); then
      journal end
      close_journal
      say 'deploy: it is undone, nothing has changed'
    else
      say 'deploy: it could not be undone; deploy.sh --recover will try again'
    fi
  fi
  unstage
  release_locks
  exit "$status"
}

# --- listing

# result VMID CHANGED PREVIOUS: one JSON object. No value in it needs an escape.
result() {
  printf '{"image":"%s","version":"%s","vmid":%s,"node":"%s","storage":"%s","sha256":"%s","changed":%s,"previous":%s}' \
    "$(ledger_value "$1" IMAGE)" "$(ledger_value "$1" VERSION)" "$1" "$NODE" "$(ledger_value "$1" STORAGE)" \
    "$(ledger_value "$1" RAW_SHA256)" "$2" "${3:-null}"
}

list() {
  local image vmid clones rows=() first
  look
  for image in $(images_known); do
    first=true
    for vmid in $(templates_of "$image"); do
      find_clones "$vmid"
      clones=$(tr '\n' ' ' <<<"$CLONES")
      rows+=("$image $(ledger_value "$vmid" VERSION) $vmid $(ledger_value "$vmid" STORAGE) $first $(ledger_value "$vmid" DEPLOYED) $(ledger_value "$vmid" RAW_SHA256) ${clones% }")
      first=false
    done
  done
  if [[ -n $JSON ]]; then
    printf '%s\n' "${rows[@]}" | awk -v node="$NODE" 'BEGIN { printf "{\"templates\":[" }
      NF { printf "%s{\"image\":\"%s\",\"version\":\"%s\",\"vmid\":%s,\"node\":\"%s\",\"storage\":\"%s\",\"current\":%s,\"deployed\":\"%s\",\"sha256\":\"%s\",\"clones\":[", sep, $1, $2, $3, node, $4, $5, $6, $7
        for (i = 8; i <= NF; i++) printf "%s%s", (i > 8 ? "," : ""), $i
        printf "]}"; sep = "," }
      END { print "]}" }' || return 1
    return
  fi
  ((${#rows[@]} > 0)) || { say 'There are no templates yet' && return; }
  printf '%s\n' "${rows[@]}" | awk 'BEGIN { printf "%-18s %-12s %-6s %-14s %-9s %-21s %s\n", "IMAGE", "VERSION", "VMID", "STORAGE", "", "DEPLOYED", "LINKED CLONES" }
    { clones = ""; for (i = 8; i <= NF; i++) clones = clones (i > 8 ? " " : "") $i
      printf "%-18s %-12s %-6s %-14s %-9s %-21s %s\n", $1, $2, $3, $4, ($5 == "true" ? "current" : ""), $6, clones }' | sed 's/ *$//' || return 1
}

# check: reads the disk of every template of the ledger as it is on the storage now. Nothing is changed, so a deploy
# need not wait for it: what goes away meanwhile is not missed.
check() {
  local file vmid state found status=0 rows=()
  learn_types
  for file in "$TEMPLATES"/[0-9]*; do
    vmid=${file##*/}
    [[ $vmid =~ ^[0-9]+$ ]] || continue
    look
    found='' state=missing
    if vm_exists "$vmid"; then
      state=foreign
      if ours "$vmid"; then
        state=unreadable
        found=$(template_sha256 "$vmid") || found=''
        [[ -z $found ]] || state=changed
        [[ $found != "$(ledger_value "$vmid" RAW_SHA256)" ]] || state=intact
      fi
    fi
    [[ -e $file ]] || continue
    [[ $state == intact ]] || status=1
    rows+=("$(ledger_value "$vmid" IMAGE) $(ledger_value "$vmid" VERSION) $vmid $state $(ledger_value "$vmid" RAW_SHA256) $found")
  done
  if [[ -n $JSON ]]; then
    printf '%s\n' "${rows[@]}" | awk -v node="$NODE" 'BEGIN { printf "{\"templates\":[" }
      NF { printf "%s{\"image\":\"%s\",\"version\":\"%s\",\"vmid\":%s,\"node\":\"%s\",\"state\":\"%s\",\"sha256\":\"%s\",\"found\":%s}", sep, $1, $2, $3, node, $4, $5, (NF > 5 ? "\"" $6 "\"" : "null"); sep = "," }
      END { print "]}" }' || return 1
    return "$status"
  fi
  ((${#rows[@]} > 0)) || { say 'There are no templates yet' && return; }
  printf '%s\n' "${rows[@]}" | awk '{ printf "%-18s %-12s %-6s %s\n", $1, $2, $3, ($4 == "changed" ? "changed: sha256 " $6 ", not " $5 : $4) }' || return 1
  return "$status"
}

# template_sha256 VMID: of as much of its disk as the image brought. It runs in a shell of its own, which may fail.
template_sha256() {
  local path ACTIVATED='' size STORAGE_TYPE
  size=$(ledger_value "$1" RAW_SIZE) STORAGE_TYPE=$(ledger_value "$1" STORAGE)
  STORAGE_TYPE=${TYPES[$STORAGE_TYPE]-}
  path=$(disk_path "$1") || exit 1
  await_disk "$path"
  disk_sha256 "$path" "$size"
  [[ -z $ACTIVATED ]] || lvchange -an "$ACTIVATED" >/dev/null 2>&1 {LOCK}>&- || true
}

print_results() {
  local IFS=,
  [[ -n $JSON ]] || return 0
  # It is done, whoever reads it: in a process of its own, as SIGPIPE would end this one.
  (printf '{"templates":[%s]}\n' "${RESULTS[*]}" 2>/dev/null) || say 'deploy: the result could not be printed; all was done'
}

# --- all of it

main() {
  local dir
  CALLED_FROM=${SEEDER_CALLED_FROM:-$PWD}
  clean_environment
  read_policy
  parse_arguments "$@"
  check_policy
  require_host
  find_caller
  prepare_state
  if [[ $VERB == list || $VERB == check ]]; then
    take_lock_to_look
    "$VERB"
    return
  fi
  exec {LOCK}</dev/null
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  take_host_lock
  if [[ -z $DRY_RUN ]]; then
    take_cluster_lock
    recover
  else
    empty_stage
    plan_recovery
  fi
  case $VERB in
    deploy)
      for dir in "${DIRECTORIES[@]}"; do
        [[ $dir == /* ]] || dir=$CALLED_FROM/$dir
        stage "${dir%/}"
        deploy
        unstage
      done
      ;;
    rollback) rollback ;;
    retire) retire_all ;;
  esac
  print_results
}

main "$@"
