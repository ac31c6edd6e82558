import { expect, test } from 'vitest'
import { machineArguments, optionValue, overlayArguments } from '../../../src/vm/qemu.ts'

const machine = {
  name: 'lb1',
  uuid: '2b9961fc-1795-4abb-b92d-6f4c48c07d67',
  memoryMiB: 1024,
  cpus: 2,
  accelerator: 'tcg',
  firmware: { code: '/fw/code.fd', vars: '/vm/vars.fd' },
  disk: '/vm/a,b/disk.qcow2',
  dataDisk: undefined,
  drive: '/vm/ci.iso',
  nics: [{ tap: 'tap0-0', mac: 'bc:24:11:00:00:01', mtu: undefined }],
} as const

test('a VM has the hardware that Proxmox gives it', () => {
  const options = [
    ['-name', 'lb1', '-no-user-config', '-nodefaults', '-display', 'none'],
    ['-machine', 'q35,smm=off', '-accel', 'tcg,thread=single', '-cpu', 'max', '-smp', '2', '-m', '1024'],
    ['-smbios', `type=1,uuid=${machine.uuid}`, '-device', `vmgenid,guid=${machine.uuid}`],
    ['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd'],
    ['-drive', 'if=pflash,unit=1,format=raw,file=/vm/vars.fd'],
    ['-object', 'iothread,id=iothread-virtioscsi0'],
    ['-device', 'virtio-scsi-pci,id=virtioscsi0,iothread=iothread-virtioscsi0'],
    [
      '-drive',
      'if=none,id=drive-scsi0,format=qcow2,cache=unsafe,discard=on,detect-zeroes=unmap,file=/vm/a,,b/disk.qcow2',
    ],
    ['-device', 'scsi-hd,bus=virtioscsi0.0,drive=drive-scsi0,id=scsi0,bootindex=100'],
    ['-drive', 'if=none,id=drive-ide2,format=raw,readonly=on,file=/vm/ci.iso'],
    ['-device', 'ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2'],
    ['-netdev', 'tap,id=net0,ifname=tap0-0,script=no,downscript=no'],
    ['-device', 'virtio-net-pci,mac=bc:24:11:00:00:01,netdev=net0,id=net0,romfile='],
    ['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ['-chardev', 'socket,id=qga0,fd=3', '-device', 'virtio-serial-pci,id=qga0'],
    ['-device', 'virtserialport,chardev=qga0,name=org.qemu.guest_agent.0'],
    ['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
  ]
  expect(machineArguments(machine)).toEqual(options.flat())
})

test('with KVM it has the host’s processor, and without a TAP device an isolated network', () => {
  const args = machineArguments({
    ...machine,
    accelerator: 'kvm',
    nics: [{ tap: undefined, mac: 'm', mtu: undefined }],
  })
  expect(args.slice(8, 12)).toEqual(['-accel', 'kvm', '-cpu', 'host'])
  expect(args).toContain('user,id=net0,restrict=on')
})

test('a card with an MTU has it for the guest’s driver to take over', () => {
  const [nic] = machine.nics
  expect(machineArguments({ ...machine, nics: [{ ...nic, mtu: 1400 }] })).toContain(
    'virtio-net-pci,mac=bc:24:11:00:00:01,netdev=net0,id=net0,romfile=,host_mtu=1400',
  )
})

test('a second disk has a controller of its own, as with virtio-scsi-single', () => {
  const args = machineArguments({ ...machine, dataDisk: '/vm/a,b/data.raw' })
  expect(args.filter((argument) => argument.includes('scsi1'))).toEqual([
    'iothread,id=iothread-virtioscsi1',
    'virtio-scsi-pci,id=virtioscsi1,iothread=iothread-virtioscsi1',
    'if=none,id=drive-scsi1,format=raw,cache=unsafe,discard=on,detect-zeroes=unmap,file=/vm/a,,b/data.raw',
    'scsi-hd,bus=virtioscsi1.0,drive=drive-scsi1,id=scsi1',
  ])
})

test('an overlay names its base with its format', () => {
  expect(overlayArguments('/out/i.qcow2', '/vm/d.qcow2', 1024).join(' ')).toBe(
    'create -q -f qcow2 -F qcow2 -b /out/i.qcow2 /vm/d.qcow2 1024',
  )
  expect(optionValue('a,b')).toBe('a,,b')
})
