#!/bin/sh
# The initrd's only program: opens /usr through dm-verity, mounts the root file system, and hands over to systemd.
# The kernel command line, part of the signed-off UKI, says all it needs:
#   usrhash=ROOTHASH              the dm-verity root hash; the partitions are named after it
#   seeder.usr=FSTYPE,BLOCKS,SALT file system, number of 4096-byte data blocks, and the hash tree's salt
# A failure is said on the console; the kernel then reboots (panic=).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

die() {
  echo "seeder-initrd: $*" >/dev/console
  echo "seeder-initrd: $*" >/dev/kmsg
  sleep 5
  exit 1
}

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run

usrhash='' usr=''
read -r cmdline </proc/cmdline
for word in $cmdline; do
  case $word in
    usrhash=*) usrhash=${word#usrhash=} ;;
    seeder.usr=*) usr=${word#seeder.usr=} ;;
  esac
done
if [ -z "$usrhash" ] || [ -z "$usr" ]; then
  die "the kernel command line has no usrhash= and seeder.usr="
fi
usr_type=${usr%%,*}
usr_blocks=${usr#*,}
usr_salt=${usr_blocks#*,}
usr_blocks=${usr_blocks%%,*}

# The modules of the devices that are there, as udev would load them, in one call.
aliases=''
for file in /sys/bus/pci/devices/*/modalias /sys/bus/virtio/devices/*/modalias; do
  [ -r "$file" ] && read -r alias <"$file" && aliases="$aliases $alias"
done
# shellcheck disable=SC2086  # a list of words
modprobe -q -a $aliases
aliases=''
for file in /sys/bus/virtio/devices/*/modalias; do
  [ -r "$file" ] && read -r alias <"$file" && aliases="$aliases $alias"
done
# sr_mod: the cloud-init drive has to be there when cloud-init looks for it.
# shellcheck disable=SC2086
modprobe -q -a $aliases sd_mod sr_mod dm_mod dm_verity "$usr_type" ext4

# /usr and its hash tree are found by name: each carries the root hash's first 24 digits.
id=${usrhash%????????????????????????????????????????}

# Fills data, hash and root with the disk's partitions, or fails when they are not there yet.
find_partitions() {
  data='' hash='' root=''
  for part in /sys/class/block/*/partition; do
    [ -r "$part" ] || continue
    dir=${part%/partition}
    while IFS='=' read -r key value; do
      case $key=$value in
        PARTNAME="usr-$id") data=${dir##*/} ;;
        PARTNAME="verity-$id") hash=${dir##*/} ;;
        PARTNAME=root) roots="$roots ${dir##*/}" ;;
      esac
    done <"$dir/uevent"
  done
  [ -n "$data" ] && [ -n "$hash" ] || return 1
  # Another image's disk may be attached too: the root that counts is on the disk that /usr is on.
  disk=${data%%[0-9]}
  for part in $roots; do
    case $part in "${disk}"*) root=$part ;; esac
  done
  [ -n "$root" ]
}

tries=0
until roots='' && find_partitions; do
  tries=$((tries + 1))
  [ "$tries" -le 300 ] || die "no disk holds the partitions of this image (usr-$id, verity-$id, root)"
  sleep 0.1
done

dmsetup create usr --noudevsync --noudevrules --readonly --uuid "CRYPT-VERITY-$id-usr" --table \
  "0 $((usr_blocks * 8)) verity 1 /dev/$data /dev/$hash 4096 4096 $usr_blocks 1 sha256 $usrhash $usr_salt" ||
  die "/usr cannot be opened: its root hash is not $usrhash"

e2fsck -p "/dev/$root" >/run/fsck.log 2>&1
[ $? -lt 4 ] || {
  cat /run/fsck.log >/dev/console
  die "the root file system on /dev/$root is damaged"
}
mount -t ext4 -o rw "/dev/$root" /sysroot || die "the root file system on /dev/$root cannot be mounted"
usr_device=/dev/mapper/usr
[ -e "$usr_device" ] || usr_device=/dev/dm-0
mount -t "$usr_type" -o ro "$usr_device" /sysroot/usr || die "/usr cannot be mounted"

for dir in proc sys dev run; do
  mount --move "/$dir" "/sysroot/$dir"
done
exec switch_root /sysroot /usr/lib/systemd/systemd
