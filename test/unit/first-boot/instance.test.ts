import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Node } from '../../support/first-boot/node.ts'

/** What is decided before cloud-init starts. */
let node: Node
beforeEach(async () => {
  node = await Node.make()
  // ssh-keygen has to know who it is.
  await node.write('/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n')
})
afterEach(() => node.dispose())

const done = '/var/lib/seeder/first-boot.done'
const noDrive = '/run/seeder/no-drive'
const semaphore = '/var/lib/cloud/instances/1/sem/config_ssh'
const keyOf = (type: string) => `/etc/ssh/ssh_host_${type}_key`

async function decide(): Promise<string> {
  const { exitCode, stdout, stderr } = await node.enter('/usr/lib/seeder/instance')
  expect(exitCode, stderr).toBe(0)
  return stdout
}

async function makeKey(type: string): Promise<string> {
  const argv = ['-q', '-t', type, '-N', '', '-C', 'root@node1', '-f', keyOf(type)]
  await node.write('/etc/ssh/made', '')
  expect(await node.enter('/usr/bin/ssh-keygen', ...argv)).toMatchObject({ exitCode: 0 })
  return (await node.read(keyOf(type))) ?? ''
}

test('after an interrupted first boot, cloud-init starts from nothing', async () => {
  await node.write(semaphore, '')
  await decide()
  expect(await node.read(semaphore)).toBeUndefined()
  expect(await node.read(noDrive)).toBeUndefined()
})

describe('a configured machine', () => {
  beforeEach(async () => {
    await node.write(done, 'haproxy 3.0.11-1\n')
    await node.write(semaphore, '')
    await makeKey('ed25519')
    await makeKey('ecdsa')
  })

  test.each(['cidata', 'CIDATA', 'config-2'])('runs cloud-init with a drive called %s', async (label) => {
    await node.write('/var/labels', `EFI\n${label}\n`)
    await node.write(noDrive, '')
    await decide()
    expect(await node.read(noDrive)).toBeUndefined()
    expect(await node.read(semaphore)).toBe('')
  })

  test.each(['', 'EFI\nroot\n', 'my cidata\n', 'cidata2\n'])(
    'does not run cloud-init without a drive (labels %j)',
    async (labels) => {
      await node.write('/var/labels', labels)
      await decide()
      expect(await node.read(noDrive)).toBe('')
      expect(await node.read(semaphore)).toBe('')
    },
  )

  const damages = {
    empty: () => '',
    'cut short': (key: string) => key.slice(0, 200),
    zeros: (key: string) => '\0'.repeat(key.length),
    missing: undefined,
  }
  test.each(Object.entries(damages))('makes a host key again that is %s', async (_, damage) => {
    const kept = await node.read(keyOf('ecdsa'))
    const key = (await node.read(keyOf('ed25519'))) ?? ''
    if (damage === undefined) await node.remove(keyOf('ed25519'))
    else await node.write(keyOf('ed25519'), damage(key), 0o600)
    expect(await decide()).toBe(
      `seeder-instance: ${keyOf('ed25519')} is damaged or missing: it is made again`,
    )
    expect(await node.read(keyOf('ed25519'))).toContain('-----END OPENSSH PRIVATE KEY-----')
    expect(await node.read(keyOf('ed25519'))).not.toBe(key)
    expect(await node.mode(keyOf('ed25519'))).toBe('600')
    expect(await node.read(`${keyOf('ed25519')}.pub`)).toMatch(/^ssh-ed25519 \S+ root@node1\n$/)
    expect(await node.read(keyOf('ecdsa'))).toBe(kept)
  })

  test('gets a public key again', async () => {
    const whole = await node.read(`${keyOf('ecdsa')}.pub`)
    await node.write(`${keyOf('ecdsa')}.pub`, '')
    expect(await decide()).toBe('')
    expect((await node.read(`${keyOf('ecdsa')}.pub`))?.split(' ')[1]).toBe(whole?.split(' ')[1])
  })
})

test('at first boot, a missing host key is cloud-init’s to make, and a damaged one is made again', async () => {
  await node.write(keyOf('ecdsa'), '', 0o600)
  expect(await decide()).toContain(keyOf('ecdsa'))
  expect(await node.read(keyOf('ecdsa'))).toContain('PRIVATE KEY')
  expect(await node.read(keyOf('ed25519'))).toBeUndefined()
})
