/** Quotes a word for a POSIX shell. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/**
 * A folder or file that is mounted at `to` inside the enclosure. Root inside is a separate user, so `from` has to be readable
 * by every user.
 */
export interface Bind {
  readonly from: string
  readonly to: string
  /**
   * A step may write to this folder, which must not contain the caller's files: afterwards the caller owns the files directly
   * in it. Other binds are read-only, also for root inside.
   */
  readonly writable?: boolean
}

/**
 * The environment of a step: the tools tree as read-only `/`, with `binds`, private /tmp, /run and /root, a few device nodes,
 * its own processes, no network and no /sys.
 */
export interface Enclosure {
  readonly tools: string
  readonly binds: readonly Bind[]
  readonly env?: Readonly<Record<string, string>>
}

/** Without a terminal: a process with one can type into it. */
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom']

/** The mount point of the new root: a folder that every machine has and that no bind uses. */
const NEW_ROOT = '/sys'

/** Folders that do not come from the tools tree: a step has its own. */
const OWN_FOLDERS = ['proc', 'sys', 'dev', 'tmp', 'run', 'root']

/**
 * Shell text (`sh -eu`, the host's programs) that builds the enclosure, leaves the host's file systems and executes
 * `ENTER WRITABLE... -- "$@"` with the tools tree's Perl. It runs in the outer namespaces of `unshareArgv`, as the caller.
 */
export function enclosureScript({ tools, binds }: Enclosure): string {
  const inside = (path: string) => shellQuote(`${NEW_ROOT}${path}`)
  return [
    // Modes of files are part of the image: they must not depend on the caller.
    'umask 022',
    `mount -t tmpfs -o mode=755,size=1m,nosuid tmpfs ${NEW_ROOT}`,
    `mkdir ${OWN_FOLDERS.map((name) => inside(`/${name}`)).join(' ')}`,
    `mount -t proc -o nosuid,nodev,noexec proc ${inside('/proc')}`,
    ...['/tmp', '/run'].map((path) => `mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs ${inside(path)}`),
    `mount -t tmpfs -o mode=755,nosuid,nodev tmpfs ${inside('/root')}`,
    ...DEVICES.flatMap((device) => [
      `: > ${inside(`/dev/${device}`)}`,
      `mount --bind /dev/${device} ${inside(`/dev/${device}`)}`,
    ]),
    `ln -s /proc/self/fd ${inside('/dev/fd')}`,
    `mkdir ${inside('/dev/pts')} ${inside('/dev/shm')}`,
    `ln -s pts/ptmx ${inside('/dev/ptmx')}`,
    `for entry in ${shellQuote(tools)}/*; do`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own braces
    '  name=${entry##*/}',
    `  case " ${OWN_FOLDERS.join(' ')} " in *" $name "*) continue ;; esac`,
    `  if [ -L "$entry" ]; then cp -P "$entry" ${NEW_ROOT}/; continue; fi`,
    `  [ -d "$entry" ] || continue`,
    `  mkdir "${NEW_ROOT}/$name"; mount --bind "$entry" "${NEW_ROOT}/$name"; mount -o remount,bind,ro "${NEW_ROOT}/$name"`,
    'done',
    ...binds.flatMap((bind) => bindLines(bind, inside)),
    `mount -o remount,ro ${NEW_ROOT}`,
    `cd ${NEW_ROOT}; mkdir tmp/host; pivot_root . tmp/host; cd /`,
    // Not every tools tree has the host's locale.
    'PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C',
    // The first -- is Perl's own.
    ['exec perl -e', shellQuote(ENTER), '--', ...binds.filter(isWritable).map(({ to }) => shellQuote(to))]
      .concat('-- "$@"')
      .join(' '),
  ].join('\n')
}

function bindLines({ from, to, writable }: Bind, inside: (path: string) => string): string[] {
  const source = shellQuote(from)
  const target = inside(to)
  const parent = inside(to.replace(/\/[^/]*$/, '') || '/')
  return [
    `if [ -d ${source} ]; then mkdir -p ${target}; else mkdir -p ${parent}; : >> ${target}; fi`,
    `mount --bind ${source} ${target}`,
    ...(writable ? [] : [`mount -o remount,bind,ro ${target}`]),
  ]
}

function isWritable({ writable }: Bind): boolean {
  return writable === true
}

/**
 * The Perl program that enters the enclosure: `WRITABLE... -- COMMAND...`. It makes a second user namespace in which root is
 * the first of the caller's subordinate ids: a user that owns nothing outside, not even the caller's files. All existing mounts
 * are locked there: they cannot be unmounted or made writable again. The command gets its own processes, session, keyrings and
 * /proc, and no program can give it more rights (no_new_privs).
 * Afterwards every process inside is killed, and the caller owns the plain files and folders directly in a writable folder.
 * Files of other kinds are an error, because a later reader could follow them.
 * The numbers of system calls are those of x86-64, the only supported build machine.
 */
const ENTER = String.raw`use strict; use POSIX ();
my @writable; push @writable, shift while @ARGV && $ARGV[0] ne "--"; shift;
my %call = (mount => 165, umount => 166, unshare => 272, prctl => 157, keyctl => 250);
sub call { my ($name, @arguments) = @_; my $done = syscall($call{$name}, @arguments); die "enclosure: $name: $!\n" if $done == -1; $done }
my ($host, $proc, $target) = ("/tmp/host", "proc", "/proc");
# The host's file systems, all at once.
call("umount", $host, 2); rmdir $host or die "enclosure: $host: $!\n";
my %mode = map { $_ => (stat $_)[2] & 07777 } @writable;
chown(1, 1, $_) or die "enclosure: chown $_: $!\n" for @writable;
pipe(my $ready, my $unshared) && pipe(my $mapped, my $go) or die "enclosure: pipe: $!\n";
my $first = fork // die "enclosure: fork: $!\n";
if (!$first) {
  close $ready; close $go;
  POSIX::setsid();
  # Users, mounts, processes, IPC and names of its own.
  call("unshare", 0x10000000 | 0x00020000 | 0x20000000 | 0x08000000 | 0x04000000);
  close $unshared;
  sysread($mapped, my $byte, 1) == 1 or exit 1;
  ($(, $)) = (0, "0 0"); ($<, $>) = (0, 0);
  my $inner = fork // die "enclosure: fork: $!\n";
  if (!$inner) {
    # Ends with its parent, which the command may not trace: it was another user before.
    call("prctl", 1, 9, 0, 0, 0);
    call("mount", $proc, $target, $proc, 2 | 4 | 8, 0);
    # A session keyring of its own; where there are none, or a filter forbids them, none is inherited either.
    syscall($call{keyctl}, 1, 0);
    call("prctl", 38, 1, 0, 0, 0);
    opendir(my $open, "/proc/self/fd") or die "enclosure: /proc/self/fd: $!\n";
    my @open = grep { /^\d+$/ && $_ > 2 && $_ != fileno $open } readdir $open;
    closedir $open;
    POSIX::close($_) for @open;
    exec { $ARGV[0] } @ARGV or die "enclosure: $ARGV[0]: $!\n";
  }
  waitpid $inner, 0;
  POSIX::_exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
}
close $unshared; close $mapped;
sysread($ready, my $byte, 1);
for my $kind ("uid", "gid") {
  open my $own, "<", "/proc/self/${'$'}{kind}_map" or die "enclosure: $kind map: $!\n";
  my $ids = -1; while (<$own>) { $ids += (split)[2] }
  open my $map, ">", "/proc/$first/${'$'}{kind}_map" or die "enclosure: $kind map: $!\n";
  syswrite($map, "0 1 $ids\n") or die "enclosure: $kind map: $!\n"; close $map;
}
syswrite $go, "x"; close $go;
waitpid $first, 0;
my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
# This is process 1: whoever is left is the step's.
kill 9, -1; 1 while waitpid(-1, 0) > 0;
for my $folder (@writable) {
  opendir(my $entries, $folder) or die "enclosure: $folder: $!\n";
  for my $name (grep { $_ ne "." && $_ ne ".." } readdir $entries) {
    my $path = "$folder/$name"; lstat $path;
    next if -d _;
    if (!-f _) { print STDERR "error: the step left $path, which is neither a file nor a folder\n"; $status ||= 1; next }
    chown(0, 0, $path) && chmod(0644 | (stat _)[2] & 0111, $path) or die "enclosure: $path: $!\n";
  }
  chown(0, 0, $folder) && chmod($mode{$folder}, $folder) or die "enclosure: $folder: $!\n";
}
exit $status;`
