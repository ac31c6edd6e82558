#!/bin/bash -p
#
# A GitHub Actions runner on this Proxmox VE host that the jobs cannot take the host over with.

usage() {
  cat <<'USAGE'
Usage: runner.sh install OPTIONS   install the runner, or change and upgrade what is installed
       runner.sh status            what is installed, what it does, what is wrong; exit status 1 if anything is
       runner.sh remove [--purge]  take everything away again; --purge: deploy.sh's settings and its records, too

Runs as root. Every job gets a runner of its own, registered for that job alone, as the user seeder-runner in a
sandbox. It may become root for one program: the copy of deploy.sh that this installs.

  --repo OWNER/NAME, --org NAME   whose jobs it takes
  --token-file FILE               a token that may make runners there: for a repository "Administration: write", for
                                  an organization "Self-hosted runners: write"; - is standard input
  --version VERSION               of the runner, 2.336.0 or later, from github.com/actions/runner/releases
  --sha256 DIGEST                 of its actions-runner-linux-x64-VERSION.tar.gz: the same page has it
  --archive FILE                  take that file instead of downloading it; its name has the version
  --name NAME                     how it is called there, with some letters added for each job (the host's name)
  --labels LABEL,...              (self-hosted,linux,x64,seeder,NAME)
  --group ID                      the organization's runner group (1, the default group)
  --http-proxy URL, --https-proxy URL, --no-proxy HOST,...
                                  for the runner and its jobs; '' takes one away again (http_proxy and so on, where
                                  they are set at the first install)

What is not given stays as it was. Exit status: 0 done, 1 failed, 2 wrong use. docs/security.md says what a job can do.
USAGE
}

set -euo pipefail

readonly RUNNER=seeder-runner
readonly CONF=/etc/seeder/runner.conf
readonly TOKEN=/etc/seeder/runner.token
readonly DEPLOY_CONF=/etc/seeder/deploy.conf
readonly SIGNERS=/etc/seeder/allowed_signers
readonly DEPLOY_STATE=/var/lib/seeder
readonly LIBRARY=/usr/local/lib/seeder
readonly SUDOERS=/etc/sudoers.d/seeder-runner
readonly UNITS=/etc/systemd/system
readonly SERVICE=seeder-runner.service
readonly JOB_SERVICE=seeder-runner-job.service
readonly DEPLOY_SLICE=seeder-deploy.slice
# Hides the storages from the job's service; written before each start of it.
readonly STORAGE_CONF=/etc/pve/storage.cfg
readonly COVER=/run/systemd/system/$JOB_SERVICE.d/storages.conf
# Programs and jobs are in one folder, because a job gets hard links to the program's files.
readonly STATE=/var/lib/seeder-runner
readonly PROGRAMS=$STATE/program
readonly INCOMING=$STATE/incoming
readonly JOB=$STATE/job
readonly REGISTERED=$STATE/registered
readonly RUNTIME=/run/seeder-runner
readonly API=https://api.github.com
readonly DOWNLOADS=https://github.com/actions/runner/releases/download
# The first version that supports `uses: $/…`, which the action needs.
readonly LEAST_VERSION=2.336.0
# A whole id space for the users of an image, as useradd assigns it.
readonly SUBID_COUNT=65536
readonly SUBID_FIRST=100000
# A runner that ends sooner than this without a job has a problem.
readonly SHORT_SECONDS=10
readonly LONGEST_PAUSE=600
# How often storage.cfg is compared while the runner waits for a job; each fourth time its storages are looked for, too.
readonly COVER_SECONDS=5
# Characters that systemd's environment files and curl read as they are.
readonly NAME_PATTERN='^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$'
readonly PROXY_PATTERN='^(https?://[][A-Za-z0-9_.~:@%/!*+,;=-]+)?$'
readonly NO_PROXY_PATTERN='^[A-Za-z0-9_.:/*,-]*$'

VERB=''
PURGE=''
ARCHIVE='' TOKEN_FILE=''
# The settings of runner.conf; scope is repos/OWNER/NAME or orgs/NAME.
declare -A SETTING=()
readonly SETTINGS=(SCOPE NAME LABELS GROUP VERSION SHA256 HTTP_PROXY HTTPS_PROXY NO_PROXY)
CHANGES=0
SOURCES=''
# The proxies of root's environment, which count only where nothing else sets one.
declare -A FROM_ENVIRONMENT=()
# The file with GitHub's last answer; its headers and curl's error are beside it.
ANSWER=$RUNTIME/answer

# --- messages

say() { printf 'runner: %s\n' "$*"; }

changed() {
  CHANGES=$((CHANGES + 1))
  say "$*"
}

# fail WHAT [FIX [STATUS]]: prints what was attempted and found, in a line, and the fix, and exits.
fail() {
  printf 'runner: %s\n' "$1" >&2
  [[ -z ${2-} ]] || printf '  → %s\n' "$2" >&2
  exit "${3-1}"
}

# Later on, root's own environment has no effect.
clean_environment() {
  local name
  # As curl does: it reads http_proxy in lower case only.
  FROM_ENVIRONMENT=(
    [HTTP_PROXY]=${http_proxy-}
    [HTTPS_PROXY]=${https_proxy-${HTTPS_PROXY-}}
    [NO_PROXY]=${no_proxy-${NO_PROXY-}}
  )
  while read -r name; do unset "$name" 2>/dev/null || true; done < <(compgen -e)
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
  IFS=$' \t\n'
  umask 022
}

# --- arguments and settings

parse_arguments() {
  local option
  case ${1-} in
    install | status | remove | one-job | tidy) VERB=$1 && shift ;;
    -h | --help) usage && exit 0 ;;
    '') fail 'nothing to do was given' 'see runner.sh --help' 2 ;;
    *) fail "there is no ${1@Q}" 'see runner.sh --help' 2 ;;
  esac
  while (($# > 0)); do
    option=$1
    shift
    case $VERB:$option in
      remove:--purge) PURGE=1 && continue ;;
      *:-h | *:--help) usage && exit 0 ;;
      install:--*) ;;
      *) fail "$VERB takes no ${option@Q}" 'see runner.sh --help' 2 ;;
    esac
    (($# > 0)) || fail "$option needs a value" 'see runner.sh --help' 2
    case $option in
      --repo) give SCOPE "repos/$1" '^repos/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]+$' 'OWNER/NAME' ;;
      --org) give SCOPE "orgs/$1" '^orgs/[A-Za-z0-9][A-Za-z0-9-]*$' "an organization's name" ;;
      --name) give NAME "$1" "$NAME_PATTERN" 'up to 50 letters, digits, dots, _ and -' ;;
      --labels) give LABELS "$1" '^[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+){0,99}$' 'names with commas between them' ;;
      --group) give GROUP "$1" '^[1-9][0-9]{0,9}$' "the number in the group's address" ;;
      --version) give VERSION "${1#v}" '^[0-9]+\.[0-9]+\.[0-9]+$' 'three numbers, such as 2.336.0' ;;
      --sha256) give SHA256 "${1,,}" '^[0-9a-f]{64}$' '64 hexadecimal digits' ;;
      --http-proxy) give HTTP_PROXY "$1" "$PROXY_PATTERN" 'http://HOST:PORT' ;;
      --https-proxy) give HTTPS_PROXY "$1" "$PROXY_PATTERN" 'http://HOST:PORT' ;;
      --no-proxy) give NO_PROXY "$1" "$NO_PROXY_PATTERN" 'hosts and networks with commas between them' ;;
      --archive) ARCHIVE=$1 ;;
      --token-file) TOKEN_FILE=$1 ;;
      *) fail "install takes no ${option@Q}" 'see runner.sh --help' 2 ;;
    esac
    shift
  done
  [[ ! ${ARCHIVE##*/} =~ ^actions-runner-linux-x64-([0-9]+\.[0-9]+\.[0-9]+)\.tar\.gz$ ]] ||
    : "${SETTING[VERSION]=${BASH_REMATCH[1]}}"
}

# give KEY VALUE PATTERN FORM
give() {
  [[ $2 =~ $3 ]] || fail "${2@Q} was given as ${1,,}" "it is ${4}" 2
  SETTING[$1]=$2
}

# load_settings: reads from runner.conf the settings that no option gave.
load_settings() {
  local line key
  local -A stored=()
  [[ -e $CONF ]] || return 0
  while IFS= read -r line || [[ -n $line ]]; do
    [[ -n $line && $line != '#'* ]] || continue
    key=${line%%=*}
    [[ $line == *=* && " ${SETTINGS[*]} " == *" $key "* ]] || fail "$CONF has the line ${line@Q}" "take it out of $CONF"
    stored[$key]=${line#*=}
  done <"$CONF"
  # The stored digest is that of the stored version.
  [[ ${SETTING[VERSION]-${stored[VERSION]-}} == "${stored[VERSION]-}" ]] || unset 'stored[SHA256]'
  for key in "${!stored[@]}"; do [[ -n ${SETTING[$key]+given} ]] || SETTING[$key]=${stored[$key]}; done
}

# complete_settings: defaults for settings that neither options nor runner.conf gave.
complete_settings() {
  local name key
  name=$(uname -n)
  [[ -n ${SETTING[NAME]-} ]] ||
    give NAME "${name%%.*}" "$NAME_PATTERN" "the host's name, and that is none for a runner: give --name"
  : "${SETTING[LABELS]=self-hosted,linux,x64,seeder,${SETTING[NAME]}}"
  : "${SETTING[GROUP]=1}"
  for key in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -z ${SETTING[$key]+given} ]] || continue
    [[ $key == NO_PROXY ]] && name=$NO_PROXY_PATTERN || name=$PROXY_PATTERN
    give "$key" "${FROM_ENVIRONMENT[$key]}" "$name" "in the environment, in another form than --${key,,} takes"
  done
}

settings_text() {
  local key
  printf '# Written by runner.sh install, which changes it, too. It also says that the user %s is its own.\n' "$RUNNER"
  for key in "${SETTINGS[@]}"; do printf '%s=%s\n' "$key" "${SETTING[$key]-}"; done
}

program_folder() { printf '%s/%s-%s' "$PROGRAMS" "${SETTING[VERSION]}" "${SETTING[SHA256]:0:12}"; }

# --- checks before anything is changed

require_root() { ((EUID == 0)) || fail "$VERB needs root" "sudo scripts/runner.sh $VERB"; }

require_host() {
  local line missing=() packages=()
  # Programs and their packages. Proxmox VE has all but sudo, and perhaps curl.
  while read -r line; do
    command -v "${line%% *}" >/dev/null || { missing+=("${line%% *}") && packages+=("${line##* }"); }
  done <<<'sudo sudo
visudo sudo
curl curl
newuidmap uidmap
newgidmap uidmap
useradd passwd
perl perl
tar tar
gzip gzip
flock util-linux
pgrep procps
nsenter util-linux
systemctl systemd
systemd-run systemd'
  ((${#missing[@]} == 0)) || fail "this host has no ${missing[*]}" \
    "apt-get install $(printf '%s\n' "${packages[@]}" | sort -u | paste -sd ' ')"
  perl -MJSON::PP -e 1 2>/dev/null || fail 'perl has no JSON::PP here' 'apt-get install perl'
  [[ -d /run/systemd/system ]] || fail 'systemd does not run here' 'install the runner on the host itself'
  ! setting_is user/max_user_namespaces 0 || fail 'user.max_user_namespaces is 0; jobs build in user namespaces' \
    'sysctl -w user.max_user_namespaces=15000, and write it to /etc/sysctl.d'
  ! setting_is kernel/unprivileged_userns_clone 0 ||
    fail 'kernel.unprivileged_userns_clone is 0; jobs build in user namespaces' \
      'sysctl -w kernel.unprivileged_userns_clone=1, and write it to /etc/sysctl.d'
  ! setting_is kernel/apparmor_restrict_unprivileged_userns 1 ||
    fail 'AppArmor restricts user namespaces, in which jobs build' \
      'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, and write it to /etc/sysctl.d'
}

setting_is() { [[ -r /proc/sys/$1 && $(<"/proc/sys/$1") == "$2" ]]; }

require_settings() {
  local version=${SETTING[VERSION]-}
  [[ -n ${SETTING[SCOPE]-} ]] || fail 'whose jobs the runner takes was not said' 'give --repo OWNER/NAME or --org NAME' 2
  [[ -n $version ]] || fail 'the version of the runner was not said' \
    'give --version and --sha256, from https://github.com/actions/runner/releases' 2
  [[ $(printf '%s\n' "$LEAST_VERSION" "$version" | sort -V | head -n 1) == "$LEAST_VERSION" ]] ||
    fail "the runner $version is too old" "take $LEAST_VERSION or later: the action is called by its own repository" 2
  [[ -n ${SETTING[SHA256]-} ]] || fail "the digest of the runner $version was not said" \
    "give --sha256: https://github.com/actions/runner/releases/tag/v$version has it" 2
}

require_sources() {
  # The installed copy of runner.sh can do everything but install a newer deploy.sh.
  [[ -f $SOURCES/deploy.sh ]] || fail "$SOURCES has no deploy.sh" "run the runner.sh of Seeder's checkout"
}

# A user who can change a folder above the program that sudo starts, or above its settings, can change what it does.
require_root_owned_parents() {
  local path owner mode
  for path in "$LIBRARY" "${CONF%/*}" "$STATE"; do
    while [[ $path != / ]]; do
      if [[ -e $path || -L $path ]]; then
        [[ ! -L $path ]] || fail "$path is a symbolic link" 'put a folder there'
        read -r owner mode < <(stat -c '%u %a' "$path")
        [[ $owner == 0 ]] || fail "$path belongs to the user id $owner" "chown root:root $path"
        ((!(8#$mode & 8#022))) || fail "$path can be written by others than root (mode $mode)" "chmod go-w $path"
      fi
      path=$(dirname "$path")
    done
  done
}

# Without our record nothing on this host is ours, whatever its name.
require_nothing_foreign() {
  local path
  [[ ! -e $CONF ]] || return 0
  ! getent passwd "$RUNNER" >/dev/null || fail "there is a user $RUNNER, and runner.sh did not make it" \
    "rename it, or remove it with userdel"
  for path in "$SUDOERS" "$UNITS/$SERVICE" "$UNITS/$JOB_SERVICE" "$UNITS/$DEPLOY_SLICE"; do
    [[ ! -e $path ]] || fail "there is a file $path, and runner.sh did not write it" 'move it away'
  done
}

require_sudoers() {
  local said
  said=$(visudo -c 2>&1) || fail "sudo's configuration is not in order: $(grep -v ': parsed OK$' <<<"$said" | head -n 1)" 'visudo -c says more'
}

# token_given: prints the token for the installation.
token_given() {
  local token file=$TOKEN_FILE
  case $file in
    '') file=$TOKEN ;;
    -) file=/dev/stdin ;;
  esac
  [[ -r $file ]] || fail "there is no token: $file cannot be read" 'give --token-file FILE' 2
  token=$(head -c 1000 "$file" | tr -d '\r\n')
  [[ $token =~ ^[A-Za-z0-9_.-]{20,255}$ ]] || fail "$file holds no token of GitHub's" 'put the token alone into the file'
  printf '%s' "$token"
}

# --- GitHub

# github METHOD PATH [BODY]: calls GitHub with the token on standard input, which is then on no command line. Prints the
# status, 000 without an answer; the answer is in ANSWER, its headers in ANSWER.head, curl's error in ANSWER.error.
github() {
  local status options=()
  [[ -z ${3-} ]] || options=(--json "$3")
  status=$(curl_alone --config - --request "$1" "${options[@]}" --header 'Accept: application/vnd.github+json' \
    --header 'X-GitHub-Api-Version: 2022-11-28' --user-agent seeder-runner --max-time 60 \
    --dump-header "$ANSWER.head" --output "$ANSWER" --write-out '%{http_code}' "$API/$2" 2>"$ANSWER.error" \
    < <(printf 'header = "Authorization: Bearer %s"\n' "$(cat)")) || true
  # Without an answer, curl leaves the old output in place.
  [[ $status != 000 ]] || : >"$ANSWER"
  printf '%s' "${status:-000}"
}

# curl over TLS only, without root's own settings, and through the configured proxies.
curl_alone() {
  http_proxy=${SETTING[HTTP_PROXY]-} https_proxy=${SETTING[HTTPS_PROXY]-} no_proxy=${SETTING[NO_PROXY]-} \
    curl --disable --silent --show-error --proto '=https' --connect-timeout 20 "$@"
}

# answer_value KEY...: a value of the JSON answer; empty if it is not set.
answer_value() {
  perl -MJSON::PP -e 'my $value = eval { local $/; open my $file, "<", shift or die; decode_json(<$file>) };
    for (@ARGV) { $value = ref $value eq "HASH" ? $value->{$_} : undef }
    print $value if defined $value && !ref $value' "$ANSWER" "$@"
}

answer_header() { sed -n "s/^$1:[[:space:]]*\([^[:cntrl:]]*\).*/\1/Ip" "$ANSWER.head" 2>/dev/null | tail -n 1; }

rate_limited() {
  [[ $1 == 429 || $1 == 403 ]] &&
    { [[ -n $(answer_header retry-after) || $(answer_header x-ratelimit-remaining) == 0 ]] || [[ $1 == 429 ]]; }
}

# explain STATUS: why GitHub refused the request, and the fix, separated by a tab.
explain() {
  local said needed
  said=$(answer_value message | tr -d '[:cntrl:]' | cut -c 1-200)
  if rate_limited "$1"; then
    printf 'GitHub answers no more requests for now (%s)\tnothing: the runner tries again' "$1" && return
  fi
  needed='"Administration: write" on the repository'
  [[ ${SETTING[SCOPE]} != orgs/* ]] || needed='"Self-hosted runners: write" on the organization'
  case $1 in
    000) printf 'GitHub did not answer: %s\tlook at the network, DNS and proxies of this host' \
      "$(tail -n 1 "$ANSWER.error" | tr -d '[:cntrl:]')" ;;
    401) printf 'GitHub does not know the token (401 %s): it has expired or was revoked\t%s' "$said" \
      'make a new one: runner.sh install --token-file FILE' ;;
    403) printf 'GitHub does not allow the token to make runners (403 %s)\tgive it the permission %s%s' "$said" "$needed" \
      "$(answer_header x-accepted-github-permissions | sed 's/..*/ (&)/')" ;;
    404) printf 'GitHub knows no %s and group %s that the token may see (404 %s)\t%s' "${SETTING[SCOPE]#*/}" \
      "${SETTING[GROUP]}" "$said" "look at --repo, --org and --group, and whether the token is for them" ;;
    201) printf "GitHub's answer has no configuration for a runner in it\tlook for a proxy that changes what passes it" ;;
    301 | 302 | 307 | 308) printf '%s has moved (%s)\tgive its new name with --repo or --org' "${SETTING[SCOPE]#*/}" "$1" ;;
    422) printf 'GitHub does not take the name, labels or group (422 %s)\tchange them with runner.sh install' "$said" ;;
    *) printf 'GitHub answered %s %s\tnothing: the runner tries again' "$1" "$said" ;;
  esac
}

# check_token TOKEN: reports a wrong token or a wrong name now, not at the first job. Reading needs fewer permissions
# than making runners, so that a missing right to write shows only then.
check_token() {
  local status found
  ANSWER=$INCOMING/answer
  status=$(printf '%s' "$1" | github GET "${SETTING[SCOPE]}/actions/runners?per_page=1")
  if [[ $status != 200 ]]; then
    found=$(explain "$status")
    fail "${found%%$'\t'*}" "${found#*$'\t'}"
  fi
  [[ ${SETTING[SCOPE]} == repos/* ]] || return 0
  status=$(printf '%s' "$1" | github GET "${SETTING[SCOPE]}")
  [[ $status != 200 || $(answer_value visibility) != public ]] ||
    say "${SETTING[SCOPE]#*/} is public: anybody's pull request can request this runner (docs/security.md says what to set)"
}

# --- files

# put PATH MODE: writes standard input atomically; prints a line only when that changes anything.
put() {
  local new=$1.new
  # Neither sudo nor systemd reads a file whose name has a dot.
  rm -f "$new"
  install -m "$2" -o root -g root /dev/stdin "$new"
  if [[ -f $1 && ! -L $1 && $(stat -c '%u:%g:%a' "$1") == "0:0:${2#0}" ]] && cmp -s "$new" "$1"; then
    rm "$new"
    return
  fi
  sync "$new"
  mv -fT "$new" "$1"
  changed "wrote $1"
}

put_folder() {
  # put_folder PATH: makes a folder that only root can write.
  [[ -d $1 ]] || { mkdir -p "$1" && changed "made $1"; }
}

drop() {
  local path
  for path; do
    rm -f "$path.new"
    [[ ! -e $path && ! -L $path ]] || { rm -rf --one-file-system "$path" && changed "removed $path"; }
  done
}

deploy_conf_text() {
  cat <<'TEXT'
# What deploy.sh may do on this host. Only root can change it, and an option of deploy.sh cannot change what stands
# here. runner.sh install wrote it and will not touch it again.

# The storage that templates go to, of type dir, lvmthin or zfspool. Without it: the only one that takes disk images.
#STORAGE=local-lvm

# The VM IDs of templates. VMs in this range that deploy.sh did not make are left alone.
VMID_RANGE=9000-9099

# How many templates of each image stay, the current one among them. One that has linked clones stays in any case.
KEEP=3

# The oldest version of each image that may become the current template, for root as well: IMAGE=VERSION, with commas.
#MINIMUM=haproxy=3.0.11-2,etcd=3.6.16-1

# With 1 a job may let an older version take the place of a newer one, down to MINIMUM, as a demotion does. Else only root may.
#ALLOW_OLDER=1

# 1: a clone of each new template is booted, and has to report that it works, before the template becomes the current one.
SMOKE=1

# 0: an image is taken only when the signature of its SHA256SUMS is by one of the signers below. With 1 anybody who may
# start a job on this runner can make templates of any content.
ALLOW_UNSIGNED=0

# Who may sign: one line each, as in ssh-keygen's ALLOWED SIGNERS:
#   release@example.com namespaces="seeder" ssh-ed25519 AAAA…
ALLOWED_SIGNERS=/etc/seeder/allowed_signers
TEXT
}

sudoers_text() {
  cat <<TEXT
# Written by Seeder's runner.sh. The one program that a job may run as root; it checks its arguments itself.
# The Defaults hold whatever the other files say: of the job's environment nothing comes along.
Defaults!$LIBRARY/deploy.sh env_reset, !setenv, !env_keep, !env_file, secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
Defaults!$LIBRARY/deploy.sh umask=0022, umask_override, closefrom=3, !closefrom_override, !runcwd, !runchroot
$RUNNER ALL=(root:root) NOPASSWD:NOSETENV: $LIBRARY/deploy.sh
TEXT
}

# In the sandbox this stands in the place of deploy.sh, and starts the real one outside.
outside_text() {
  cat <<'TEXT'
#!/bin/bash -p
# In the sandbox of a job this file is seen in the place of deploy.sh. It starts the real one as a service of its own:
# in the host's view of the file system, and with no limit, open file or environment variable of the job's.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# The job's files are where the job sees them. The service's standard input is the job's mount namespace: in that
# deploy.sh reads them, with the rights of the job's user.
if [[ $(readlink /proc/self/ns/mnt) != "$(readlink /proc/1/ns/mnt)" ]]; then
  exec nsenter --mount=/proc/1/ns/mnt -- /usr/local/lib/seeder/deploy-outside "$PWD" "$@" </proc/self/ns/mnt
fi
folder=$1
shift

# A deploy has the time that its longest waits add up to. After that it gets a signal and takes back what it has begun, and
# what it cannot take back the next run does. What changes nothing has less.
kind=change what='deploy or plan' seconds=14400 patience=0
for word; do
  case $word in
    --list | --list=*) kind=list what=--list seconds=300 patience=60 && break ;;
    --check | --check=*) kind=check what=--check seconds=7200 && break ;;
    --dry-run | --dry-run=*) seconds=1800 ;;
    --) break ;;
  esac
done

# One of a kind at a time: what waits does so in the control group of its job. This one holds its place until
# systemd-run ends. When it is killed the service goes on, and is seen by its name.
exec {place}>>"/run/seeder-runner/deploy-$kind"
busy() {
  [[ -n $(systemctl list-units --plain --no-legend --state=activating,active,reloading,deactivating "seeder-deploy-$kind-*.service") ]]
}
until flock --nonblock "$place" && ! busy; do
  if ((SECONDS >= patience)); then
    printf 'deploy: another %s of a job is at work on this host\n  → try again when it has ended\n' "$what" >&2
    exit 75
  fi
  sleep 0.5
done

words=(/usr/local/lib/seeder/deploy.sh "$@")
exec systemd-run --quiet --collect --wait --pipe --service-type=exec --slice=seeder-deploy.slice \
  --unit="seeder-deploy-$kind-$$-$SRANDOM" --description='Seeder: deploy.sh for a job' \
  --property=RuntimeMaxSec="$seconds" --property=TimeoutStopSec=1800 --property=OOMPolicy=continue \
  --setenv=SUDO_UID="$SUDO_UID" --setenv=SUDO_USER="$SUDO_USER" --setenv=SEEDER_CALLED_FROM="$folder" \
  -- "${words[@]//'$'/'$$'}" # systemd would put variables in the place of $WORD
TEXT
}

# One deploy, one check and one list at once: what they need, and no more than the guests of the host can spare.
slice_text() {
  cat <<TEXT
# Written by Seeder's runner.sh. What deploy.sh may take of this host while it runs for a job.
[Unit]
Description=deploy.sh for jobs (Seeder)
Documentation=file:$LIBRARY/runner.sh

[Slice]
# The host's own work comes first. Two processors, since a disk is read, hashed and written at once.
CPUWeight=20
IOWeight=20
CPUQuota=200%
# qm and qemu-img take some hundred MiB; the rest is for the pages of a disk that is written, which have to be let go then.
MemoryHigh=1G
MemoryMax=2G
MemorySwapMax=0
# qemu-img copies with some dozens of threads.
TasksMax=512
TEXT
}

service_text() {
  cat <<TEXT
# Written by Seeder's runner.sh. The part with the token: registers a runner, starts it, cleans up after it.
[Unit]
Description=GitHub Actions runner: one job after the other (Seeder)
Documentation=file:$LIBRARY/runner.sh
Wants=network-online.target
# The names of storages come from Proxmox VE's configuration.
After=network-online.target pve-cluster.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=$LIBRARY/runner.sh one-job
ExecStopPost=$LIBRARY/runner.sh tidy
Restart=always
RestartSec=1
RuntimeDirectory=seeder-runner
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=restart
TimeoutStopSec=180
UMask=0077
# It has to change owners, kill processes of another user, and talk to systemd and GitHub.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=$STATE /run/systemd/system
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
MemoryMax=512M

[Install]
WantedBy=multi-user.target
TEXT
}

# job_filters: what can be filtered without turning NoNewPrivileges on, which systemd 252 does by itself for each of these.
job_filters() {
  local version
  version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  if ((version < 257)); then
    echo "# Filters of system calls would turn it on in this systemd ($version): install again when it is 257 or later."
    return
  fi
  cat <<'TEXT'
LockPersonality=yes
ProtectClock=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap bpf perf_event_open userfaultfd
TEXT
}

job_service_text() {
  cat <<TEXT
# Written by Seeder's runner.sh. One runner for one job, as a user without rights; $SERVICE starts it.
[Unit]
Description=GitHub Actions runner: one job (Seeder)
Documentation=file:$LIBRARY/runner.sh
BindsTo=$SERVICE
After=$SERVICE
CollectMode=inactive-or-failed

[Service]
Type=exec
User=$RUNNER
Group=$RUNNER
$(! getent group kvm >/dev/null || echo SupplementaryGroups=kvm)
WorkingDirectory=$JOB/runner
# Root's file: systemd reads it, and hands over what is in it: the configuration for this one job, and proxies.
EnvironmentFile=$RUNTIME/job.env
Environment=RUNNER_MANUALLY_TRAP_SIG=1 LANG=C.UTF-8
ExecStart=$JOB/runner/run.sh
# The runner gets a signal and may end its job properly; every process that is left then is killed.
KillMode=mixed
TimeoutStopSec=60
UMask=0077

# Jobs build as root of user namespaces, by newuidmap, and start deploy.sh by sudo. Both are setuid programs, and work
# only where NoNewPrivileges is off. Left out, as builds would fail: ProtectKernelTunables and ProtectKernelLogs cover
# parts of /proc, and a user namespace may mount a /proc of its own only where it sees all of one; RestrictSUIDSGID,
# RestrictNamespaces and ProtectHostname forbid what builds do in their namespaces; MemoryDenyWriteExecute stops .NET and
# Node.
NoNewPrivileges=no
$(job_filters)
# What newuidmap, sudo and the way out of the sandbox need. Namespaces of the job's own have theirs in any case.
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER CAP_KILL CAP_AUDIT_WRITE CAP_SYS_RESOURCE CAP_NET_RAW
ProtectSystem=strict
ReadWritePaths=$JOB
ReadOnlyPaths=/run
ProtectHome=yes
ProtectProc=invisible
ProtectControlGroups=yes
PrivateTmp=yes
PrivateIPC=yes
RemoveIPC=yes
KeyringMode=private
TemporaryFileSystem=/dev/shm:mode=1777
DevicePolicy=closed
DeviceAllow=/dev/kvm rw
DeviceAllow=/dev/net/tun rw
# What a job has no business with, though everybody may read it or talk to it. The paths of storages are in a file of
# their own, which is written before each start: $COVER
InaccessiblePaths=-/boot -/etc/pve -/mnt -/media -/srv -/run/dbus -/run/pve -/run/qemu-server -/run/lxc -/run/sshd
InaccessiblePaths=-/var/backups -/var/lib/pve-cluster -/var/lib/pve-manager -/var/lib/vz -/var/log -/var/mail -/var/spool
InaccessiblePaths=-$PROGRAMS -$DEPLOY_STATE
BindReadOnlyPaths=$LIBRARY/deploy-outside:$LIBRARY/deploy.sh

# The host's own work comes first.
MemoryMax=50%
TasksMax=8192
CPUWeight=20
IOWeight=20
OOMScoreAdjust=500
OOMPolicy=continue
LimitCORE=0
TEXT
}

# --- the storages of the host, which are hidden from jobs

# What a job, or its way out of the sandbox, needs: no folder above one of these can be hidden.
readonly NEEDED=("$JOB" "$LIBRARY" /bin /sbin /lib /lib64 /usr/bin /usr/sbin /usr/lib /usr/share /usr/local /etc /dev/null
  /dev/shm /proc /sys /run /tmp /var/tmp /var/lib)
# What the job's unit always hides.
readonly HIDDEN=(/boot /etc/pve /home /media /mnt /root /run/pve /srv /var/backups /var/lib/vz /var/log /var/spool)
# The folders that Proxmox VE makes in a storage, unless content-dirs changes them.
readonly CONTENTS=(dump images import private snippets template)
# The time limit for looking at a file system whose server does not answer.
readonly LOOK_SECONDS=10
# The results of find_cover: lines of the unit, storages that are hidden in part, and paths that cannot be hidden.
COVERED=() PARTLY=() EXPOSED=()

# storage_places: "KIND NAME PATH CONTENT-DIRS" of the storages in storage.cfg, with tabs between them. A network
# storage is below /mnt/pve by default. A pool is mounted below / and where its datasets are; its disks are devices.
storage_places() {
  awk '
    function put(kind, path) { printf "%s\t%s\t%s\t%s\n", kind, name, path, contents }
    function flush() {
      if (path ~ /^\//) put("storage", path)
      if (mountpoint ~ /^\//) put("storage", mountpoint)
      if (type == "zfspool" && pool != "" && mountpoint == "") put("storage", "/" pool)
      if (type ~ /^(nfs|cifs|glusterfs|cephfs)$/ && path == "") put("storage", "/mnt/pve/" name)
      contents = ""
      if (type == "zfspool" && pool != "") { put("device", "/dev/zvol/" pool); pools[pool] = name }
      if (type ~ /^lvm/ && group != "") put("device", "/dev/" group)
      type = name = path = mountpoint = pool = group = ""
    }
    FILENAME == "/proc/self/mounts" {
      if (FNR == 1) flush()
      if ($3 != "zfs") next
      for (pool in pools) if (index($1 "/", pool "/") == 1) printf "mount\t%s\t%s\n", pools[pool], $2
      next
    }
    { sub(/[ \t\r]+$/, "") }
    /^[^ \t#:]+:[ \t]*[^ \t]/ { flush(); type = name = $0; sub(/:.*/, "", type); sub(/^[^:]*:[ \t]*/, "", name); next }
    /^[ \t]+[^ \t]+[ \t]+[^ \t]/ {
      key = $1; value = $0; sub(/^[ \t]+[^ \t]+[ \t]+/, "", value)
      if (key == "path") path = value
      if (key == "mountpoint") mountpoint = value
      if (key == "pool") pool = value
      if (key == "vgname") group = value
      if (key == "content-dirs") contents = value
    }
' "$STORAGE_CONF" /proc/self/mounts
}

# is_below PATH FOLDER...: whether a path is one of the folders, or inside of one.
is_below() {
  local path=$1 folder
  shift
  for folder; do [[ $path/ != "${folder%/}"/* ]] || return 0; done
  return 1
}

holds_what_is_needed() {
  local needed
  for needed in "${NEEDED[@]}"; do ! is_below "$needed" "$1" || return 0; done
  return 1
}

# resolved PATH: the path without links; unchanged where its server does not answer.
resolved() { timeout --signal=KILL "$LOOK_SECONDS" realpath -m -- "$1" 2>/dev/null || realpath -ms -- "$1"; }

# cover PATH: a line of the job's unit, as systemd reads it back.
cover() {
  local path=$1
  # A path that does not exist yet is looked for again.
  [[ $path == /dev/* ]] || timeout --signal=KILL "$LOOK_SECONDS" test -e "$path" || COVERED+=("# is not there: ${path@Q}")
  path=${path//\\/\\\\} path=${path//'"'/'\"'} path=${path//%/%%}
  COVERED+=("InaccessiblePaths=\"-$path\"")
}

# find_cover: finds what has to be hidden from a job now.
find_cover() {
  local places kind name path contents part folder folders
  COVERED=() PARTLY=() EXPOSED=()
  # Without its configuration the storages of Proxmox VE are unknown. With it and without this file there is only its
  # own.
  [[ -L /etc/pve/local ]] || { EXPOSED+=("Proxmox VE's configuration is not in /etc/pve") && return; }
  [[ -e $STORAGE_CONF ]] || return 0
  places=$(storage_places) || { EXPOSED+=("$STORAGE_CONF cannot be read") && return; }
  while IFS=$'\t' read -r kind name path contents; do
    [[ $kind != mount ]] || printf -v path %b "$path"
    [[ -n $kind ]] || continue
    path=$(resolved "$path")
    ! is_below "$path" "${HIDDEN[@]}" || continue
    if ! holds_what_is_needed "$path"; then
      cover "$path"
      continue
    fi
    [[ $kind == storage ]] || continue
    # A job could not run without this path, so only the folders of Proxmox VE in it are hidden.
    PARTLY+=("$name in $path")
    folders=("${CONTENTS[@]}")
    while IFS= read -rd , part; do [[ $part != *=* ]] || folders+=("${part#*=}"); done <<<"$contents,"
    for folder in "${folders[@]}"; do
      folder=$(resolved "$path/$folder")
      if is_below "$folder" "${HIDDEN[@]}"; then continue; fi
      if holds_what_is_needed "$folder"; then EXPOSED+=("the storage $name has $folder, where a job's own files or programs are"); else cover "$folder"; fi
    done
  done <<<"$places"
  return 0
}

cover_text() {
  printf '# Written by Seeder'"'"'s runner.sh before each job: what %s names.\n[Service]\n' "$STORAGE_CONF"
  ((${#COVERED[@]} == 0)) || printf '%s\n' "${COVERED[@]}" | sort -u
}

# cover_storages: hides the current storages from the next job. If that is not possible, the runner takes no job.
cover_storages() {
  local attempt=0
  while find_cover && ((${#EXPOSED[@]} > 0)); do
    attempt=$((attempt + 1))
    pause "$attempt" "no job is taken, as it could see too much: ${EXPOSED[0]} → change that, or the storage's path"
  done
  ((${#PARTLY[@]} == 0)) || say "hidden in part, since jobs need what is beside it: the storage ${PARTLY[0]}"
  if cover_text | cmp -s - "$COVER" && cmp -s "$COVER" "$RUNTIME/cover"; then return; fi
  install -d -m 0755 "${COVER%/*}"
  cover_text | install -m 0644 /dev/stdin "$COVER.new"
  mv -fT "$COVER.new" "$COVER"
  systemctl daemon-reload
  [[ " $(systemctl show --property DropInPaths --value "$JOB_SERVICE") " == *" $COVER "* ]] ||
    fail "systemd does not read $COVER, which hides the storages from jobs" "systemctl cat $JOB_SERVICE"
  # A run that was killed before this may have left a file that systemd has not read.
  install -m 0600 "$COVER" "$RUNTIME/cover"
}

# watch_storages: notices a storage that is added while the runner waits for a job, which may take days.
watch_storages() {
  local text known=unknown round=0
  while sleep "$COVER_SECONDS"; do
    text=$(cat "$STORAGE_CONF" 2>/dev/null) || text=''
    round=$((round + 1))
    if [[ $text == "$known" ]] && ((round % 4)); then continue; fi
    known=$text
    find_cover
    if ((${#EXPOSED[@]} == 0)) && cover_text | cmp -s - "$COVER"; then continue; fi
    if job_runs; then continue; fi
    say 'the storages have changed: the waiting runner gives way to one that does not see them'
    systemctl stop "$JOB_SERVICE"
    return
  done
}

# --- the user

has_subids() {
  # has_subids FILE: whether one entry of /etc/subuid or /etc/subgid gives the runner's user enough ids.
  [[ -r $1 ]] && awk -F : -v name="$RUNNER" -v least="$SUBID_COUNT" \
    '$1 == name && $3 >= least { found = 1 } END { exit !found }' "$1"
}

free_subid() {
  # The first id above all ranges of the files, like scripts/setup.sh.
  cat /etc/subuid /etc/subgid 2>/dev/null | awk -F : -v first="$SUBID_FIRST" \
    'BEGIN { free = first } NF == 3 && $2 + $3 > free { free = $2 + $3 } END { print free }'
}

ensure_user() {
  local first last
  # A killed run may have left half a user. pwconv completes it so that it can be removed.
  if getent passwd "$RUNNER" >/dev/null && ! getent shadow "$RUNNER" >/dev/null; then pwconv && remove_user; fi
  getent group "$RUNNER" >/dev/null || { groupadd --system "$RUNNER" && changed "made the group $RUNNER"; }
  if ! getent passwd "$RUNNER" >/dev/null; then
    useradd --system --gid "$RUNNER" --home-dir "$JOB/home" --no-create-home --shell /usr/sbin/nologin \
      --comment 'GitHub Actions runner (Seeder)' "$RUNNER"
    changed "made the user $RUNNER"
  fi
  if has_subids /etc/subuid && has_subids /etc/subgid; then return; fi
  # usermod fails when the files do not exist yet.
  touch /etc/subuid /etc/subgid
  # The same ids in both, even if a run was killed after the first.
  first=$(awk -F : -v name="$RUNNER" '$1 == name { print $2; exit }' /etc/subuid /etc/subgid)
  first=${first:-$(free_subid)}
  last=$((first + SUBID_COUNT - 1))
  has_subids /etc/subuid || usermod --add-subuids "$first-$last" "$RUNNER"
  has_subids /etc/subgid || usermod --add-subgids "$first-$last" "$RUNNER"
  changed "gave $RUNNER the subordinate ids $first-$last, which builds without root need"
}

remove_user() {
  local file
  # userdel removes the subordinate ids, too.
  ! getent passwd "$RUNNER" >/dev/null || { userdel "$RUNNER" 2>/dev/null && changed "removed the user $RUNNER"; }
  ! getent group "$RUNNER" >/dev/null || { groupdel "$RUNNER" && changed "removed the group $RUNNER"; }
  # After a userdel that was killed.
  for file in /etc/subuid /etc/subgid; do ! grep -qs "^$RUNNER:" "$file" || sed -i "/^$RUNNER:/d" "$file"; done
}

# --- the program

# fetch_program: unpacks the archive into INCOMING, after checking its digest.
fetch_program() {
  local digest url="$DOWNLOADS/v${SETTING[VERSION]}/actions-runner-linux-x64-${SETTING[VERSION]}.tar.gz"
  if [[ -n $ARCHIVE ]]; then
    cp --reflink=auto "$ARCHIVE" "$INCOMING/archive" ||
      fail "$ARCHIVE cannot be copied to $STATE" 'look whether the disk is full'
  else
    say "downloading $url"
    curl_alone --fail --location --retry 3 --output "$INCOMING/archive" "$url" ||
      fail "the runner cannot be downloaded from $url" 'fetch it by other means and give --archive FILE'
  fi
  digest=$(sha256sum "$INCOMING/archive")
  [[ ${digest%% *} == "${SETTING[SHA256]}" ]] ||
    fail "the runner's archive has the sha256 ${digest%% *}, and --sha256 says ${SETTING[SHA256]}" \
      "compare with https://github.com/actions/runner/releases/tag/v${SETTING[VERSION]}, and fetch it again"
  mkdir -m 0755 "$INCOMING/program"
  tar --extract --gzip --no-same-owner --no-same-permissions --directory "$INCOMING/program" --file "$INCOMING/archive" ||
    fail 'the archive cannot be unpacked' 'look whether the disk is full'
  [[ -x $INCOMING/program/run.sh && -x $INCOMING/program/bin/Runner.Listener ]] ||
    fail 'the archive has no run.sh and bin/Runner.Listener' 'give the actions-runner-linux-x64 tar.gz and its digest'
}

place_program() {
  local folder
  folder=$(program_folder)
  [[ ! -d $folder ]] || return 0
  put_folder "$PROGRAMS"
  sync --file-system "$INCOMING/program"
  mv -T "$INCOMING/program" "$folder"
  changed "unpacked the runner ${SETTING[VERSION]} to $folder"
}

remove_other_programs() {
  local folder keep
  keep=$(program_folder)
  # A running job has its own links.
  for folder in "$PROGRAMS"/*; do [[ $folder == "$keep" ]] || drop "$folder"; done
}

discard_incoming() {
  rm -rf --one-file-system "$INCOMING"
  [[ ! -d $STATE ]] || rmdir --ignore-fail-on-non-empty "$STATE" 2>/dev/null || true
}

# --- install and remove

# One run at a time. The lock is on a folder that always exists, and leaves no file.
take_lock() {
  exec {LOCK}</var/lib
  flock --nonblock "$LOCK" || fail 'another runner.sh is at work' 'wait for it'
}

install_runner() {
  local token
  require_host
  [[ -z $ARCHIVE || (-f $ARCHIVE && -r $ARCHIVE) ]] || fail "there is no file $ARCHIVE" 'give the downloaded tar.gz' 2
  require_settings
  require_sources
  require_nothing_foreign
  require_root_owned_parents
  require_sudoers
  token=$(token_given)

  # The download comes last before anything is changed.
  trap discard_incoming EXIT
  [[ -d $STATE ]] || mkdir -m 0755 "$STATE"
  rm -rf --one-file-system "$INCOMING"
  mkdir -m 0700 "$INCOMING"
  if ! settings_text | cmp -s - "$CONF" || [[ $token != "$(cat "$TOKEN" 2>/dev/null)" ]]; then check_token "$token"; fi
  [[ -d $(program_folder) ]] || fetch_program

  # The record of what is ours comes before the user; files that give rights come last.
  place_program
  put_folder "${CONF%/*}"
  put "$CONF" 0600 < <(settings_text)
  put "$TOKEN" 0600 <<<"$token"
  [[ -e $DEPLOY_CONF ]] || put "$DEPLOY_CONF" 0644 < <(deploy_conf_text)
  ensure_user
  put_folder "$LIBRARY"
  put "$LIBRARY/deploy.sh" 0755 <"$SOURCES/deploy.sh"
  put "$LIBRARY/runner.sh" 0755 <"$SOURCES/runner.sh"
  put "$LIBRARY/deploy-outside" 0755 < <(outside_text)
  put "$UNITS/$SERVICE" 0644 < <(service_text)
  put "$UNITS/$JOB_SERVICE" 0644 < <(job_service_text)
  put "$UNITS/$DEPLOY_SLICE" 0644 < <(slice_text)
  put_sudoers
  remove_other_programs
  start_service

  if ((CHANGES == 0)); then say 'everything is in place, nothing was changed'; else print_next_steps; fi
}

put_sudoers() {
  local said check=$SUDOERS.check
  # Checked at a path that sudo does not read: a faulty file would lock everybody out of sudo.
  sudoers_text | install -m 0440 /dev/stdin "$check"
  said=$(visudo -c -f "$check" 2>&1) || said="sudo does not take the rule for deploy.sh: $said"
  rm "$check"
  [[ $said != sudo* ]] || fail "$said" 'upgrade sudo'
  put "$SUDOERS" 0440 < <(sudoers_text)
  sudo_allows || fail "sudo does not read $SUDOERS" "add the line @includedir ${SUDOERS%/*} to /etc/sudoers, by visudo"
}

sudo_allows() { sudo -n -l -U "$RUNNER" "$LIBRARY/deploy.sh" >/dev/null 2>&1; }

job_runs() { pgrep -U "$RUNNER" -x Runner.Worker >/dev/null 2>&1; }

deploy_runs() { [[ -n $(systemctl list-units --plain --no-legend 'seeder-deploy-*.service' 2>/dev/null) ]]; }

start_service() {
  local unit
  for unit in "$SERVICE" "$JOB_SERVICE" "$DEPLOY_SLICE"; do
    [[ $(systemctl show --property LoadState,NeedDaemonReload --value "$unit" | paste -sd ' ') == 'loaded no' ]] ||
      { systemctl daemon-reload && break; }
  done
  systemctl is-enabled --quiet "$SERVICE" 2>/dev/null ||
    { systemctl enable --quiet "$SERVICE" && changed "enabled $SERVICE"; }
  if [[ ! $(systemctl show --property ActiveState --value "$SERVICE") =~ ^(active|activating|reloading)$ ]]; then
    systemctl start --no-block "$SERVICE"
    changed "started $SERVICE"
  elif is_outdated; then
    if job_runs; then
      say 'a job is running: it goes on as it began, the next one gets what is new'
    else
      systemctl restart --no-block "$SERVICE"
      changed "restarted $SERVICE"
    fi
  fi
}

# Whether the service started before its files were written, by this run or by a killed one.
is_outdated() {
  local since
  since=$(systemctl show --timestamp=us+utc --property ExecMainStartTimestamp --value "$SERVICE")
  [[ -n $(find "$CONF" "$TOKEN" "$LIBRARY"/* "$UNITS/$SERVICE" "$UNITS/$JOB_SERVICE" -newermt "$since" -print -quit) ]]
}

print_next_steps() {
  local scope=${SETTING[SCOPE]#*/}
  cat <<TEXT

The runner ${SETTING[NAME]} is for $scope. Next:
  1. Write the public keys that may sign releases to $SIGNERS
     and look through $DEPLOY_CONF: without signers, deploy.sh takes nothing.
  2. Builds on this host need packages: scripts/setup.sh, once, as root.
  3. In a workflow: runs-on: [${SETTING[LABELS]//,/, }]
     On GitHub: no pull request of a fork may reach this runner (docs/security.md says how).
  4. scripts/runner.sh status
TEXT
  mountpoint -q "$STATE" ||
    printf '%s\n' "A job can fill the file system of $STATE: mount one of its own there, so that it is not the host's."
}

remove_runner() {
  local kept=()
  if [[ ! -e $CONF ]]; then
    # A first install that was killed early leaves only its folder.
    [[ -z $PURGE ]] || purge
    drop_state
    ((CHANGES > 0)) || say 'nothing is installed'
    return 0
  fi
  ! job_runs || fail 'a job is running' "wait for its end; or end it with systemctl stop $SERVICE, and run this again"
  ! deploy_runs || fail 'deploy.sh is at work for a job' 'wait for its end (deploy.sh --list)'

  # Files that give rights go first, the record of what is ours last.
  drop "$SUDOERS" "$SUDOERS.check"
  if [[ -e $UNITS/$SERVICE ]]; then
    systemctl disable --quiet "$SERVICE"
    stop_unit "$SERVICE"
  fi
  install -d -m 0700 "$RUNTIME"
  tidy
  rm -rf "$RUNTIME"
  drop "$UNITS/$SERVICE" "$UNITS/$JOB_SERVICE" "$UNITS/$DEPLOY_SLICE"
  rm -rf "${COVER%/*}"
  # The slice above it exists only because of its name.
  systemctl stop "$DEPLOY_SLICE" seeder.slice 2>/dev/null || true
  systemctl daemon-reload
  systemctl reset-failed "$SERVICE" "$JOB_SERVICE" 2>/dev/null || true
  drop_state
  remove_user
  drop "$LIBRARY/deploy.sh" "$LIBRARY/runner.sh" "$LIBRARY/deploy-outside"
  drop_empty "$LIBRARY"
  drop "$TOKEN"
  [[ -z $PURGE ]] || purge
  drop "$CONF"
  drop_empty "${CONF%/*}"

  mapfile -t kept < <(find "$DEPLOY_CONF" "$SIGNERS" "$DEPLOY_STATE" -maxdepth 0 2>/dev/null)
  ((${#kept[@]} == 0)) || say "kept, since deploy.sh is useful without the runner: ${kept[*]} (remove --purge removes them)"
}

purge() {
  [[ ! -d $DEPLOY_STATE ]] || say 'templates on this host stay; deploy.sh will take them for foreign from now on'
  drop "$DEPLOY_STATE" "$DEPLOY_CONF" "$SIGNERS"
  drop_empty "${CONF%/*}"
}

drop_state() {
  if mountpoint -q "$STATE"; then
    find "$STATE" -xdev -mindepth 1 -delete
    say "emptied $STATE, which is a file system of its own: unmount it yourself"
  else
    drop "$STATE"
  fi
}

drop_empty() { [[ ! -d $1 ]] || ! rmdir "$1" 2>/dev/null || changed "removed $1"; }

# --- one job of the service

one_job() {
  local before watcher
  tidy
  prepare_job
  cover_storages
  register
  # Registering may have had to wait.
  cover_storages
  note 'waits for a job, or does one'
  before=$SECONDS
  watch_storages &
  watcher=$!
  systemctl start --wait "$JOB_SERVICE" || say "the runner failed: journalctl -u $JOB_SERVICE says why"
  kill "$watcher" 2>/dev/null || true
  # The runner writes a log of each job. Without a pause, a runner that cannot start would register again and again.
  if ((SECONDS - before >= SHORT_SECONDS)) || compgen -G "$JOB/runner/_diag/Worker_*" >/dev/null; then
    rm -f "$RUNTIME/short"
  else
    printf x >>"$RUNTIME/short"
    pause "$(stat -c %s "$RUNTIME/short")" 'the runner ended at once'
  fi
}

# tidy: removes the processes, files and registration of a job.
tidy() {
  stop_unit "$JOB_SERVICE"
  kill_processes
  rm -rf --one-file-system "$JOB"
  rm -f "$RUNTIME/job.env"
  forget_registrations
}

# stop_unit UNIT: also during a start of the unit, which may cancel the stop.
stop_unit() {
  local attempt
  for attempt in {1..20}; do
    [[ ! $(systemctl show --property ActiveState --value "$1") =~ ^(inactive|failed)$ ]] || return 0
    systemctl stop "$1" 2>/dev/null || sleep 0.5
  done
  fail "$1 does not stop after $attempt attempts" "systemctl status $1"
}

# kill_processes: kills processes of the job outside of the service's control group, should one have left it.
kill_processes() {
  local attempt
  for attempt in {1..50}; do
    pkill -KILL -U "$RUNNER" 2>/dev/null || return 0
    sleep 0.1
  done
  say "processes of $RUNNER do not end after $attempt signals"
}

# prepare_job: makes an empty home, and the program as links to files of root: the job can replace the links, but cannot
# change the next job's files.
prepare_job() {
  local folder
  folder=$(program_folder)
  [[ -d $folder ]] || fail "there is no $folder" 'run runner.sh install again'
  mkdir -m 0755 "$JOB" "$JOB/runner"
  mkdir -m 0700 "$JOB/home"
  cp --archive --link --no-target-directory "$folder" "$JOB/runner"
  find "$JOB/runner" -type d -exec chown "$RUNNER:$RUNNER" {} +
  chown "$RUNNER:$RUNNER" "$JOB/home"
}

# register: makes a runner for one job, with its configuration in job.env. Tries until GitHub has made one.
register() {
  local name status attempt=0
  while :; do
    name=${SETTING[NAME]}-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
    status=$(github POST "${SETTING[SCOPE]}/actions/runners/generate-jitconfig" "$(registration "$name")" <"$TOKEN")
    if [[ $status == 201 ]] && keep_registration; then
      say "registered as $name"
      return
    fi
    attempt=$((attempt + 1))
    pause "$attempt" "$(explain "$status" | sed 's/\t/ → /')" "$status"
  done
}

registration() {
  perl -MJSON::PP -e 'my ($name, $group, $labels) = @ARGV; print encode_json({ name => $name,
    runner_group_id => $group + 0, labels => [split /,/, $labels], work_folder => "_work" })' \
    "$1" "${SETTING[GROUP]}" "${SETTING[LABELS]}"
}

keep_registration() {
  local id config
  id=$(answer_value runner id)
  config=$(answer_value encoded_jit_config)
  rm -f "$ANSWER"
  [[ $id =~ ^[0-9]{1,18}$ ]] && printf '%s\n' "$id" >>"$REGISTERED"
  # It becomes a line of an environment file: nothing may begin another line.
  [[ $id =~ ^[0-9]{1,18}$ && $config =~ ^[A-Za-z0-9+/=]+$ ]] || return 1
  {
    printf 'ACTIONS_RUNNER_INPUT_JITCONFIG=%s\n' "$config"
    [[ -z ${SETTING[HTTP_PROXY]-} ]] || printf 'http_proxy=%s\n' "${SETTING[HTTP_PROXY]}"
    [[ -z ${SETTING[HTTPS_PROXY]-} ]] || printf 'https_proxy=%s\n' "${SETTING[HTTPS_PROXY]}"
    [[ -z ${SETTING[NO_PROXY]-} ]] || printf 'no_proxy=%s\n' "${SETTING[NO_PROXY]}"
  } | install -m 0600 /dev/stdin "$RUNTIME/job.env"
}

# forget_registrations: GitHub removes a runner that has done its job, and after a day a runner that never connected.
forget_registrations() {
  local id status left=()
  [[ -s $REGISTERED ]] || return 0
  while read -r id; do
    [[ $id =~ ^[0-9]+$ ]] || continue
    status=$(github DELETE "${SETTING[SCOPE]}/actions/runners/$id" <"$TOKEN")
    [[ $status == 204 || $status == 404 ]] || left+=("$id")
  done < <(tail -n 20 "$REGISTERED")
  if ((${#left[@]} == 0)); then rm "$REGISTERED"; else printf '%s\n' "${left[@]}" >"$REGISTERED"; fi
}

# pause ATTEMPT WHY [STATUS]: prints why, and waits before the next attempt.
pause() {
  local seconds now reset
  seconds=$(($1 < 10 ? 2 ** $1 : LONGEST_PAUSE))
  if [[ -n ${3-} ]] && rate_limited "$3"; then
    now=$(printf '%(%s)T' -1)
    reset=$(answer_header x-ratelimit-reset)
    seconds=$(answer_header retry-after)
    [[ $seconds =~ ^[0-9]{1,6}$ ]] || seconds=$((${reset:-$now} - now))
    ((seconds <= 3600)) || seconds=3600
    ((seconds >= 10)) || seconds=10
  elif [[ ${3-} =~ ^(3..|401|403|404|422)$ ]]; then
    # An operator has to act, and that restarts the service.
    seconds=$LONGEST_PAUSE
  fi
  say "$2; again in $seconds s"
  note "$2"
  sleep "$seconds"
}

note() { printf '%s\n' "$1" >"$RUNTIME/state"; }

# --- status

PROBLEMS=0

# problem WHAT FIX
problem() {
  PROBLEMS=$((PROBLEMS + 1))
  printf 'problem    %s\n             → %s\n' "$1" "$2"
}

show_status() {
  local state path
  [[ -e $CONF ]] || fail 'no runner is installed here' 'runner.sh install'
  printf 'runner     %s for %s, labels %s\n' "${SETTING[NAME]}" "${SETTING[SCOPE]#*/}" "${SETTING[LABELS]//,/, }"
  printf 'version    %s\n' "${SETTING[VERSION]}"
  state=$(cat "$RUNTIME/state" 2>/dev/null) || state='not yet ready'
  if job_runs; then state='does a job'; elif [[ $state == waits* ]]; then state='waits for a job'; fi
  systemctl is-active --quiet "$SERVICE" || state=stopped
  printf 'state      %s\n' "$state"
  printf 'deploy.sh  %s\n' "$(deploy_runs && echo 'at work for a job' || echo 'not at work')"

  case $state in
    stopped) problem "$SERVICE does not run" "systemctl start $SERVICE; journalctl -u $SERVICE" ;;
    'does a job' | 'waits for a job' | 'not yet ready') ;;
    'the runner ended at once') problem "$state" "journalctl -u $JOB_SERVICE says why" ;;
    *) problem "no runner is registered: ${state% → *}" "${state#* → }" ;;
  esac
  systemctl is-enabled --quiet "$SERVICE" || problem "$SERVICE does not start with the host" "systemctl enable $SERVICE"
  [[ -d $(program_folder) ]] || problem "$(program_folder) is missing" 'runner.sh install'
  [[ $(stat -c '%u:%a' "$TOKEN" 2>/dev/null) == 0:600 ]] || problem "$TOKEN is missing, or others than root may read it" \
    'runner.sh install --token-file FILE'
  for path in deploy.sh runner.sh deploy-outside; do
    [[ $(stat -c '%u:%g:%a' "$LIBRARY/$path" 2>/dev/null) == 0:0:755 ]] ||
      problem "$LIBRARY/$path is missing, or others than root may write it" 'runner.sh install'
  done
  [[ ! -f $SOURCES/deploy.sh || $SOURCES == "$LIBRARY" ]] || cmp -s "$SOURCES/deploy.sh" "$LIBRARY/deploy.sh" ||
    problem "$LIBRARY/deploy.sh is not the deploy.sh of $SOURCES" 'runner.sh install'
  find_cover
  for path in "${EXPOSED[@]}"; do problem "no job is taken, as it could see too much: $path" "change that, or the storage's path"; done
  for path in "${PARTLY[@]}"; do
    problem "the storage $path is where jobs need other things: they see all of it but the content of storages" 'give it a folder of its own'
  done
  sudo_allows || problem "sudo does not let $RUNNER start deploy.sh" 'runner.sh install'
  [[ $(sudo -n -l -U "$RUNNER" 2>/dev/null | sed -n '/may run the following/,$p' | tail -n +2 | grep -c .) == 1 ]] ||
    problem "sudo lets $RUNNER do more than to start deploy.sh" "sudo -l -U $RUNNER; take it out of sudo's configuration"
  ! grep -qs '^ALLOW_UNSIGNED=1' "$DEPLOY_CONF" ||
    problem "$DEPLOY_CONF has ALLOW_UNSIGNED=1: any job can make templates of any content" "set it to 0"
  [[ -s $SIGNERS ]] ||
    problem "$SIGNERS names nobody: deploy.sh takes no signed image" "write the signers' public keys into it"
  ((PROBLEMS == 0))
}

main() {
  clean_environment
  parse_arguments "$@"
  require_root
  SOURCES=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
  case $VERB in
    install)
      take_lock
      load_settings
      complete_settings
      install_runner
      ;;
    remove)
      take_lock
      load_settings
      remove_runner
      ;;
    status)
      load_settings
      show_status
      ;;
    one-job | tidy)
      load_settings
      if [[ $VERB == tidy ]]; then tidy; else one_job; fi
      ;;
  esac
}

# Other shells can source its functions, as the tests do.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
