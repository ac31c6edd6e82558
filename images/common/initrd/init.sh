#!/bin/sh
# The initrd's only program: opens /usr through dm-verity, mounts the root file system, and hands over to systemd.
# The kernel command line, part of the signed-off UKI, says which image it is:
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

# lower DIGITS: sets text to hexadecimal digits in lower case, as blkid prints them; systemd-stub's case differs by version.
lower() {
  text='' rest=$1
  while [ -n "$rest" ]; do
    digit=${rest%"${rest#?}"} rest=${rest#?}
    case $digit in A) digit=a ;; B) digit=b ;; C) digit=c ;; D) digit=d ;; E) digit=e ;; F) digit=f ;; esac
    text=$text$digit
  done
}

# The partition that the firmware started from, as systemd-stub reports it: four bytes, then UTF-16, whose zero bytes the
# shell leaves out. First boot gives every machine's boot partition a UUID of its own (/usr/lib/seeder/own-disk).
variables=/sys/firmware/efi/efivars
started_from=''
modprobe -q efivarfs
if mount -t efivarfs -o ro,nosuid,nodev,noexec efivarfs "$variables"; then
  IFS= read -r started_from <"$variables/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
  umount "$variables"
  case $started_from in
    *????????-????-????-????-????????????)
      lower "${started_from#"${started_from%????????-????-????-????-????????????}"}"
      started_from=$text
      ;;
    *) started_from='' ;;
  esac
fi

# /usr and its hash tree are found by name: each carries the root hash's first 24 digits.
id=${usrhash%????????????????????????????????????????}

# look_at DISK: sets esp, data, hash and root to the partitions of this image on a disk; fails when one is missing.
look_at() {
  esp='' data='' hash='' root=''
  for part in "$1"/*/partition; do
    [ -r "$part" ] || continue
    dir=${part%/partition}
    while IFS='=' read -r key value; do
      case $key=$value in
        PARTNAME=esp) esp=${dir##*/} ;;
        PARTNAME="usr-$id") data=${dir##*/} ;;
        PARTNAME="verity-$id") hash=${dir##*/} ;;
        PARTNAME=root) root=${dir##*/} ;;
      esac
    done <"$dir/uevent"
  done
  [ -n "$esp" ] && [ -n "$data" ] && [ -n "$hash" ] && [ -n "$root" ]
}

# The UUID of a partition.
uuid_of() {
  blkid --probe --match-tag PART_ENTRY_UUID --output value "/dev/$1"
}

# Sets found to the disks with this image, and own to those of them that the firmware started from.
find_disks() {
  found='' own=''
  for disk in /sys/block/*; do
    look_at "$disk" || continue
    found="$found ${disk##*/}"
    [ -n "$started_from" ] && [ "$(uuid_of "$esp")" = "$started_from" ] && own="$own ${disk##*/}"
  done
  [ -n "$own" ]
}

# Where the firmware does not say what it started from, a disk that is alone is the right one.
tries=0
until find_disks; do
  tries=$((tries + 1))
  [ "$tries" -gt 20 ] && [ -n "$found" ] && own=$found && break
  [ "$tries" -le 300 ] || die "no disk holds the partitions of this image (esp, usr-$id, verity-$id, root)"
  sleep 0.1
done
# shellcheck disable=SC2086  # a list of words
set -- $own
[ $# -eq 1 ] || die "cannot decide which disk is this machine's:$own all hold this image; detach the others"
look_at "/sys/block/$1"

dmsetup create usr --noudevsync --noudevrules --readonly --uuid "CRYPT-VERITY-$id-usr" --table \
  "0 $((usr_blocks * 8)) verity 1 /dev/$data /dev/$hash 4096 4096 $usr_blocks 1 sha256 $usrhash $usr_salt" ||
  die "/usr cannot be opened: its root hash is not $usrhash"

e2fsck -p "/dev/$root" >/run/fsck.log 2>&1
[ $? -lt 4 ] || {
  while IFS= read -r line; do echo "$line"; done </run/fsck.log >/dev/console
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
