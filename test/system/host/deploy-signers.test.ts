import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deploy } from '../../support/deploy/host.ts'
import { makeSigner, makeSmallImage, type Signer, type SmallImage, sign } from '../../support/deploy/image.ts'

/** Whose signature deploy.sh takes, when the file of signers has more than one line for a key. */
const root = await testFolder('deploy signers')
let host: PveHost
let image: SmallImage
let signer: Signer

beforeAll(async () => {
  image = await makeSmallImage(join(root, 'image'))
  signer = await makeSigner(join(root, 'keys'))
  await sign(image.folder, signer)
  host = await PveHost.create(join(root, 'host'))
  await host.start()
  await host.run(['mkdir', '-p', '/etc/seeder'])
})
afterAll(async () => {
  await host.remove()
  await rm(root, { recursive: true, force: true })
})

async function plan(signers: string) {
  await host.run(['tee', '/etc/seeder/allowed_signers'], { input: signers })
  return deploy(host, ['--storage', 'local', '--no-smoke', '--dry-run', image.folder])
}

const publicKey = () => signer.allowed.split(' ').slice(2).join(' ').trim()

test.each([
  ['for git only', () => `somebody@example.org namespaces="git" ${publicKey()}`],
  ['that has expired', () => `somebody@example.org valid-before="20200101" ${publicKey()}`],
  ['of several names for git', () => `a@example.org,b@example.org namespaces="git,file" ${publicKey()}`],
  ['of an authority', () => `*@example.org cert-authority ${publicKey()}`],
  ['that is broken', () => 'somebody@example.org ssh-ed25519 AAAA'],
])('a line before that is %s does not matter', async (_, before) => {
  // Without a line break at its end, as an editor may leave the file.
  const taken = await plan(`# who may sign\n\n${before()}\n${signer.allowed.trimEnd()}`)
  expect(taken.stderr).toContain(`signature: ${signer.name}`)
  expect(taken.code).toBe(0)
})

test.each([
  ['git', 'git'],
  ['confirmations', 'seeder-rebuild'],
])('a key that is listed for %s alone does not sign images', async (_, namespace) => {
  const refused = await plan(`a@example.org,b@example.org namespaces="${namespace}" ${publicKey()}\n`)
  expect(refused.stderr).toContain('SHA256SUMS by a@example.org,b@example.org is wrong')
  expect(refused.code).toBe(1)
})
