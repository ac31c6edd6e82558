#!/bin/sh
# Becomes a machine of its own: a root file system whose /usr is this machine's, with an /etc and /var of its own, and
# systemd as process 1. Runs as root of new user, mount, pid, network, cgroup, ipc and uts namespaces.
#
# Usage: machine.sh FOLDER CHECKOUT SHARED
#   FOLDER    an empty folder to build on
#   CHECKOUT  is seen as /checkout, read-only
#   SHARED    is seen as /shared, and survives the machine
set -eu
folder=$1 checkout=$2 shared=$3

umask 022
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$folder"
cd "$folder"
mkdir usr proc sys dev run tmp root home var etc checkout shared old
for link in bin lib lib32 lib64 libx32 sbin; do
  [ ! -L "/$link" ] || cp -P "/$link" .
done

# /usr itself belongs to this namespace's root, as on any machine, also where its folders are a stranger's.
for entry in /usr/*; do
  if [ "$entry" = /usr/local ]; then
    mkdir -p usr/local/bin usr/local/lib usr/local/sbin
  elif [ -L "$entry" ] || [ ! -d "$entry" ]; then
    cp -P "$entry" usr
  else
    mkdir "usr/${entry##*/}"
    mount --rbind "$entry" "usr/${entry##*/}"
  fi
done
mount --bind "$checkout" checkout
mount -o remount,bind,ro checkout
mount --bind "$shared" shared
mount -t proc proc proc
# Root of this namespace may be root outside, too, and systemd raises limits of the kernel's when it starts: not here.
# Whoever waits for its start unmounts this, since nobody may mount a proc of his own below a covered one.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --rbind /sys sys
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mkdir -m 1777 run/lock
mount -t tmpfs -o mode=1777 tmpfs tmp

mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm
for device in null zero full random urandom tty net/tun; do
  [ -e "/dev/$device" ] || continue
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

# What a normal user may not read is not needed. Owners and the setuid bits are this namespace's own.
cp -R --no-preserve=ownership /etc . 2>/dev/null || true
rm -rf etc/systemd/system etc/sudoers.d etc/sudoers etc/shadow* etc/gshadow* etc/subuid* etc/subgid* etc/*.lock
mkdir -p etc/systemd/system etc/sudoers.d etc/ssl/certs
mkdir -p var/cache var/lib var/log var/spool/cron/crontabs
mkdir -m 1777 var/tmp
ln -s /run var/run
mkdir setuid
for program in sudo newuidmap newgidmap; do
  [ -e "usr/bin/$program" ] || continue
  cp "usr/bin/$program" "setuid/$program"
  chmod 4755 "setuid/$program"
  mount --bind "setuid/$program" "usr/bin/$program"
done
if [ -d usr/libexec/sudo ]; then
  cp -R usr/libexec/sudo setuid/libexec
  mount --bind setuid/libexec usr/libexec/sudo
fi
cat >etc/sudoers <<'SUDOERS'
Defaults env_reset
Defaults mail_badpass
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults use_pty
root ALL=(ALL:ALL) ALL
%sudo ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
SUDOERS
chmod 0440 etc/sudoers
echo 'root:100000:65536' >etc/subuid
echo 'root:100000:65536' >etc/subgid
echo 127.0.0.1 localhost pve1 api.github.com github.com release-assets.githubusercontent.com >etc/hosts
cat shared/authority.crt >>etc/ssl/certs/ca-certificates.crt
echo pve1 >etc/hostname

# Nothing of the host's is started: the journal, the bus, and what the test starts.
for unit in usr/lib/systemd/system/sysinit.target.wants/* usr/lib/systemd/system/local-fs.target.wants/* \
  usr/lib/systemd/system/multi-user.target.wants/* usr/lib/systemd/system/basic.target.wants/*; do
  case ${unit##*/} in
    systemd-journald.service | dbus.service | '*') ;;
    *) ln -sf /dev/null "etc/systemd/system/${unit##*/}" ;;
  esac
done
ln -s /usr/lib/systemd/system/multi-user.target etc/systemd/system/default.target

ip link set lo up
pivot_root . old
umount -l /old
rmdir /old
chroot . sh -c 'pwconv; grpconv; hostname pve1'
exec env -i container=seeder PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=journal
