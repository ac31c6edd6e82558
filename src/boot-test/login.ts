import type { Clone } from '../vm/clone.ts'
import { ssh } from '../vm/ssh.ts'
import { expect } from './checks.ts'
import { readIdentity } from './guest-facts.ts'
import { addressFrom, type MachineSpec, probeIn } from './site.ts'
import { operatorUser, type TestBed } from './test-bed.ts'

/** The operator logs in to a clone with a key, and is offered no other way. */
export async function checkLogin(
  { site, sshKey, folder }: Pick<TestBed, 'site' | 'sshKey' | 'folder'>,
  clone: Clone,
  seat: MachineSpec,
): Promise<string> {
  const target = {
    from: probeIn(site, site.operatorZone),
    to: addressFrom(seat, site.operatorZone),
    user: operatorUser,
    hostKeys: (await readIdentity(clone.agent)).hostKeys,
  }
  const inside = await ssh(target, folder, [`IdentityFile=${sshKey.privateFile}`], 'hostname')
  expect(inside.exitCode === 0, `the operator's key was refused: ${inside.stderr.trim()}`)
  expect(inside.stdout.trim() === seat.hostname, `logged in to ${inside.stdout.trim()}`)
  const without = await ssh(target, folder, ['IdentityFile=none', 'PreferredAuthentications=none'], 'true')
  expect(without.stderr.includes('(publickey)'), `without a key ssh offers: ${without.stderr.trim()}`)
  return `the key opens ${inside.stdout.trim()} from ${site.operatorZone}; nothing but a key is accepted`
}
