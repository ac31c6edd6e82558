# What a hostile package would try in its maintainer script: `perl hostile-package.pl DOOR MARK KEY`.
# MARK is the path, on the host, of a file that only the caller may read; its text is not in here. KEY is a word that the
# environment and the session keyring of the caller have. Prints a line for each way out that is open, else nothing.
use strict; use POSIX ();
my ($door, $mark, $key) = @ARGV;
my %call = (mount => 165, umount => 166, keyctl => 250, ptrace => 101, unshare => 272, setns => 308);

sub open_door { print "$door: @_\n" }
sub reads { my ($path) = @_; open(my $file, "<", $path) or return; local $/; my $text = <$file>; defined $text && length $text }
sub writes { my ($path) = @_; open(my $file, "+<", $path) or return; close $file; 1 }
sub every_root { open_door("$_ leads to the host") for grep { reads("$_$mark") || -e "$_$mark" } glob("/proc/[0-9]*/root /proc/[0-9]*/cwd") }
sub every_environment {
  for my $path (glob "/proc/[0-9]*/environ") { open(my $file, "<", $path) or next; local $/; my $text = <$file> // ""; open_door($path) if index($text, $key) >= 0 }
}
sub bare { my ($kind) = @_; my $folder = "/tmp/bare-$kind"; mkdir $folder; system("mount -t $kind none $folder 2> /dev/null") == 0 ? $folder : undef }

my %doors = (
  chroot => sub {
    chdir "/"; mkdir "/tmp/jail"; chroot "/tmp/jail" or return;
    chdir ".." for 1 .. 64;
    chroot ".";
    open_door("the host's root") if -e $mark;
  },
  roots => sub { every_root() },
  environments => sub { every_environment() },
  # What is below this step's own /proc.
  "covered-proc" => sub { system "umount -l /proc 2> /dev/null" for 1 .. 3; every_root(); every_environment() },
  "covered-mounts" => sub {
    for my $path ("/tmp", "/run", "/root", "/sys", "/dev", "/usr", "/proc") { system "umount -l $path 2> /dev/null" for 1 .. 4; open_door("below $path") if -e $mark || glob "$path/*/*/marker-of-the-host" }
  },
  files => sub {
    for my $path (glob "/proc/[0-9]*/fd/*") {
      my $to = readlink $path // next;
      open_door("$path is $to") if $to =~ m{^/} && $to !~ m{^/(dev/null|proc/|usr/)} ;
    }
  },
  "other-processes" => sub {
    system "umount -l /proc 2> /dev/null";
    for my $pid (map { m{/(\d+)$} } glob "/proc/[0-9]*") {
      next if $pid == $$;
      my $line = do { open(my $file, "<", "/proc/$pid/status") or next; local $/; <$file> };
      open_door("the memory of $pid") if $line !~ /^NSpid:.*\t$$\b/m && writes("/proc/$pid/mem") && $line =~ /^Name:\t(?!perl|sh|env)/m;
    }
  },
  # What runs when a process crashes, as root of the host; and other switches of the kernel.
  kernel => sub {
    for my $path ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/kcore", "/sys/kernel/uevent_helper", "/sys/power/state") {
      open_door("$path can be written") if writes($path);
    }
  },
  "kernel-bare" => sub {
    for my $kind ("proc", "sysfs", "debugfs", "tracefs", "configfs", "securityfs", "bpf") {
      my $folder = bare($kind) // next;
      next if $kind eq "bpf";
      for my $path (split /\n/, `find $folder -maxdepth 4 -path '*/[0-9]*/*' -prune -o -type f -writable -print 2> /dev/null`) {
        # These are of the step's own namespaces, or nothing but somebody's wish to be woken.
        next if $path =~ m{/sys/(user|net|fs/mqueue)/|/sys/kernel/(msg|sem|shm|auto_msgmni$|ns_last_pid$|pid_max$)|/pressure/};
        open_door("$kind: $path") if writes($path);
      }
    }
  },
  cgroups => sub {
    for my $folder ("/sys/fs/cgroup", bare("cgroup2") // "/nowhere", bare("cgroup") // "/nowhere") {
      open_door("$folder can be written") if mkdir "$folder/seeder-escape" and rmdir "$folder/seeder-escape";
      open_door("$folder/cgroup.procs can be written") if writes("$folder/cgroup.procs");
    }
  },
  namespaces => sub {
    for my $path (glob "/proc/[0-9]*/ns/*") {
      my ($kind) = $path =~ m{/(\w+)$}; next if readlink($path) eq readlink("/proc/self/ns/$kind");
      open(my $file, "<", $path) or next;
      open_door($path) if syscall($call{setns}, fileno $file, 0) == 0 && $kind !~ /^(time|pid)/ && -e $mark;
    }
  },
  "new-namespaces" => sub {
    exec "unshare", "-Urmpf", "perl", $0, "again", $mark, $key;
  },
  again => sub {
    system "mount -t proc proc /proc 2> /dev/null"; every_root(); every_environment();
    system "umount -l /here /usr 2> /dev/null";
    open_door("the read-only folder") if system("mount -o remount,bind,rw /store 2> /dev/null && touch /store/again 2> /dev/null") == 0;
    open_door("core_pattern") if writes("/proc/sys/kernel/core_pattern");
  },
  devices => sub {
    for my $node (["b", 8, 0], ["b", 252, 0], ["b", 254, 0], ["c", 1, 1], ["c", 10, 232], ["c", 10, 237], ["c", 10, 200]) {
      my ($kind, $major, $minor) = @$node;
      system "rm -f /tmp/node; mknod /tmp/node $kind $major $minor 2> /dev/null";
      open_door("$kind $major:$minor") if -e "/tmp/node" && reads("/tmp/node");
    }
    my %known = map { $_ => 1 } "null", "zero", "full", "random", "urandom", "fd", "pts", "shm", "ptmx";
    open_door("/dev/$_") for grep { !$known{$_} } map { m{/([^/]+)$} } glob "/dev/*";
  },
  terminal => sub {
    open_door("/dev/tty") if writes("/dev/tty");
    open(my $stat, "<", "/proc/self/stat"); my $line = <$stat>; $line =~ s/.*\) //;
    open_door("a controlling terminal") if (split / /, $line)[4] != 0;
  },
  keyrings => sub {
    my ($kind, $name) = ("user", $key);
    for my $keyring (-1, -2, -3, -4, -5) {
      my $found = syscall($call{keyctl}, 10, $keyring, $kind, $name, 0);
      open_door("the keyring $keyring") if $found > 0;
    }
    my ($any) = ("x" x 4096);
    open(my $keys, "<", "/proc/keys");
    for my $line ($keys ? <$keys> : ()) {
      my ($id) = $line =~ /^([0-9a-f]+) .* user +\Q$key\E/ or next;
      open_door("the key itself") if syscall($call{keyctl}, 11, hex $id, $any, 4096) > 0;
    }
  },
  # The packages of the store, and the programs of the tools tree: of every other build.
  store => sub {
    my $file = "/store/package.deb";
    chmod 0666, $file; chown 0, 0, $file;
    open_door("$file can be written") if writes($file);
    open_door("$file can be removed") if unlink $file;
    open_door("a file can be added") if system("touch /store/more 2> /dev/null") == 0;
    system "mount -o remount,rw,bind /store 2> /dev/null; mount -o remount,rw /store 2> /dev/null; umount -l /store 2> /dev/null";
    open_door("$file can be written after a remount") if writes($file);
    open_door("a file can be added to the store after a remount") if system("touch /store/more 2> /dev/null") == 0;
  },
  tools => sub {
    system "mount -o remount,rw,bind /usr 2> /dev/null; mount -o remount,rw / 2> /dev/null";
    open_door("$_ can be written") for grep { system("touch $_/seeder-escape 2> /dev/null") == 0 } "/usr", "/usr/bin", "/own", "/";
  },
  # A file of the caller's that nobody else may read, in a folder that the step may write to.
  secret => sub { open_door("/here/secret") if reads("/here/secret"); chmod 0644, "/here/secret"; chown 0, 0, "/here/secret"; open_door("/here/secret, with another mode") if reads("/here/secret") },
  privileges => sub {
    open(my $status, "<", "/proc/self/status"); my $text = do { local $/; <$status> };
    open_door("new privileges") if $text !~ /^NoNewPrivs:\t1$/m;
    my ($outside) = do { open(my $map, "<", "/proc/self/uid_map"); local $/; <$map> =~ /^\s*0\s+(\d+)/ };
    open_door("root is the caller") if $outside == 0;
  },
  network => sub {
    open(my $devices, "<", "/proc/net/dev"); my @names = map { /^\s*(\w+):/ } <$devices>;
    open_door("@names") if "@names" ne "lo";
  },
);
($doors{$door} // die "there is no door $door\n")->();
