import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { type EndedStep, runStep } from '../../support/action.ts'
import { testFolder } from '../../support/builds.ts'
import { startHost } from '../../support/deploy/host.ts'
import { makeSigner, sign } from '../../support/deploy/image.ts'
import { onHost } from '../../support/release/on-host.ts'
import { seedImage } from '../../support/release/seed.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { checkout } from '../../support/seeder.ts'

/** The step that deploys, on a stand-in host, from a release of the local GitHub. */
const root = await testFolder('deploy step')
let github: LocalGitHub
let host: PveHost
let steps = 0

beforeAll(async () => {
  github = await LocalGitHub.start({ immutable: true })
  host = await startHost(join(root, 'host'))
  const signer = await makeSigner(join(root, 'keys'))
  const write = (file: string, input: string) =>
    host.run(['sh', '-c', `cat > /etc/seeder/${file}`], { input })
  await write('deploy.conf', 'STORAGE=local\nSMOKE=0\n')
  await write('allowed_signers', signer.allowed)
  const image = await makeTestedBuild(join(root, 'image'), null, { version: '3.0.11-1' })
  await sign(image.folder, signer)
  await seedImage(github, image)
})
afterAll(async () => {
  await host.remove()
  await github.stop()
  await rm(root, { recursive: true, force: true })
})

async function deploy(inputs: Record<string, string>): Promise<EndedStep> {
  const env = { INPUT_TOKEN: github.token({ contents: 'read' }), XDG_CACHE_HOME: join(root, 'cache') }
  const folder = join(root, `step-${steps++}`)
  const prefix = await onHost(host)
  const given = { command: 'deploy', ...inputs }
  return runStep({ with: given, folder, workspace: checkout, github, env, prefix })
}

it('makes a template of the promoted version; a second run changes nothing', async () => {
  const planned = await deploy({ image: 'haproxy', 'dry-run': 'true' })
  expect(planned).toMatchObject({ code: 0, outputs: { version: '3.0.11-1', changed: 'true' } })
  expect(planned.outputs).not.toHaveProperty('template-vmid')
  expect(planned.summary).toContain('promoted["promoted"]:::done --> deployed["deployed"]:::open')

  const made = await deploy({ tag: 'haproxy-3.0.11-1', version: 'promoted' })
  expect(made).toMatchObject({
    code: 0,
    outputs: { version: '3.0.11-1', changed: 'true', 'template-vmid': '9000' },
  })
  expect(made.summary).toMatch(/deployed\["deployed<br>\w+: 9000"\]:::done/)
  expect(made.stdout).toMatch(/^::group::download haproxy-3\.0\.11-1$/m)

  const again = await deploy({ image: 'haproxy' })
  expect(again).toMatchObject({ code: 0, outputs: { changed: 'false', 'template-vmid': '9000' } })
  expect(again.summary).toContain('Already deployed')
})
