import { ssh } from '../vm/ssh.ts'
import { expect } from './checks.ts'
import { readIdentity } from './identity.ts'
import { withReturnRoutes } from './return-routes.ts'
import { addressFrom, probeIn } from './site.ts'
import { OPERATOR_USER, type PlacedClone, type TestBed } from './test-bed.ts'

/** The operator logs in to a clone with a key, and ssh offers no other method. */
export async function checkLogin(
  bed: Pick<TestBed, 'platform' | 'site' | 'sshKey' | 'folder'>,
  node: PlacedClone,
): Promise<string> {
  return withReturnRoutes(bed, node, () => logIn(bed, node))
}

async function logIn(
  { site, sshKey, folder }: Pick<TestBed, 'site' | 'sshKey' | 'folder'>,
  { clone, machine }: PlacedClone,
): Promise<string> {
  const target = {
    from: probeIn(site, site.operatorZone),
    to: addressFrom(machine, site.operatorZone),
    user: OPERATOR_USER,
    hostKeys: (await readIdentity(clone.agent)).hostKeys,
  }
  const login = await ssh(target, folder, [`IdentityFile=${sshKey.privateFile}`], 'hostname')
  expect(login.exitCode === 0, `the operator's key was refused: ${login.stderr.trim()}`)
  const hostname = login.stdout.trim()
  expect(hostname === machine.hostname, `logged in to ${hostname}`)
  const without = await ssh(target, folder, ['IdentityFile=none', 'PreferredAuthentications=none'], 'true')
  expect(without.stderr.includes('(publickey)'), `without a key ssh offers: ${without.stderr.trim()}`)
  return `the key opens ${hostname} from ${site.operatorZone}; nothing but a key is accepted`
}
