import { expect, test } from 'vitest'
import {
  findFirmware,
  parseQemuVersion,
  probeAccelerator,
  requireEmulation,
} from '../../../src/vm/emulator.ts'

test('reads QEMU’s version', () => {
  expect(parseQemuVersion('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n')).toBe(
    '10.0.2',
  )
  expect(parseQemuVersion('QEMU emulator version 9.2.0 (pve-qemu-kvm_9.2.0-7)')).toBe('9.2.0')
  expect(parseQemuVersion('not qemu')).toBeUndefined()
})

test('an emulation that cannot run the kernels is refused with a fix', () => {
  expect(() => requireEmulation('9.2.0', '')).not.toThrow()
  expect(() => requireEmulation('10.0.2', '')).not.toThrow()
  expect(() => requireEmulation('7.2.15', 'no /dev/kvm')).toThrow(
    'QEMU 7.2.15 cannot emulate a machine for a 6.12 kernel, and KVM cannot be used (no /dev/kvm)',
  )
})

test('the probe detects firmware that runs, and returns the reason when it does not', async () => {
  const firmware = await findFirmware()
  expect(await probeAccelerator('qemu-system-x86_64', firmware, 'tcg', 25_000)).toEqual({
    works: true,
    reason: '',
  })
  const missing = { code: '/nowhere/code.fd', vars: firmware.vars }
  const refused = await probeAccelerator('qemu-system-x86_64', missing, 'tcg')
  expect(refused).toEqual({ works: false, reason: expect.stringContaining('/nowhere/code.fd') })
  const hung = await probeAccelerator('qemu-system-x86_64', firmware, 'tcg', 50)
  expect(hung).toEqual({ works: false, reason: 'the firmware did not start within 0.05 s' })
})

test('missing firmware is an error that names the package', async () => {
  await expect(findFirmware([{ code: '/nowhere/a.fd', vars: '/nowhere/b.fd' }])).rejects.toThrow(
    'no UEFI firmware was found (looked for /nowhere/a.fd)',
  )
})
