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
    dm_mod dm_verity erofs squashfs ext4 crc32c sha256 efivarfs \
    "=arch/x86/crypto"
}

install() {
  # shellcheck disable=SC2154  # dracut sets moddir and initdir
  local here="$moddir" root="$initdir"
  inst_multiple sh mount umount switch_root modprobe dmsetup e2fsck blkid sleep cat mkdir
  inst_script "$here/init.sh" /init
  mkdir -p "$root"/{proc,sys,dev,run,sysroot}
}
