#!/bin/bash
# dracut module: everything that is in the initrd. /init is ours and small, so that a machine is in its real root file
# system within a second or two: no udev, no systemd, only what opens /usr and mounts the root file system.

check() {
  return 0
}

depends() {
  return 0
}

installkernel() {
  # What a disk can hang on (Proxmox: virtio-scsi, virtio-blk, SATA, LSI, NVMe), and what is on it.
  hostonly='' instmods \
    virtio_pci virtio_scsi virtio_blk sd_mod sr_mod ahci ata_piix nvme \
    mptspi megaraid_sas vmw_pvscsi \
    dm_mod dm_verity erofs ext4 crc32c sha256 efivarfs \
    "=arch/x86/crypto"
}

install() {
  # shellcheck disable=SC2154  # dracut sets them
  local here="$moddir" root="$initdir" tree="$dracutsysrootdir"
  inst_multiple sh mount umount switch_root modprobe dmsetup e2fsck blkid
  # Where sleep is one of the names of a program of 14 MB, GNU's is there as well.
  if [[ -e $tree/usr/bin/gnusleep ]]; then inst /usr/bin/gnusleep /usr/bin/sleep; else inst_multiple sleep; fi
  inst_script "$here/init.sh" /init
  mkdir -p "$root"/{proc,sys,dev,run,sysroot}
}
