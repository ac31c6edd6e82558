#!/bin/sh
# enter-tree.sh TREE WORK COMMAND…: becomes COMMAND with TREE as its root and WORK as /build, the current folder.
# Expects to be root of user, mount and pid namespaces of its own. The root is pivoted, not chrooted: mkosi makes
# mount namespaces of its own, and the kernel refuses that under a chroot.
set -eu

tree=$1
work=$2
shift 2

mount --bind "$tree" "$tree"
mkdir -p "$tree/build"
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
mount -t proc proc "$tree/proc"
mount --bind "$work" "$tree/build"
if [ -e /etc/resolv.conf ]; then
  : >>"$tree/etc/resolv.conf"
  mount --bind /etc/resolv.conf "$tree/etc/resolv.conf"
fi
cd "$tree"
pivot_root . .
umount -l .
cd /build
exec env -i PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 TERM=dumb "$@"
