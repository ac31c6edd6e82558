import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type TemplateCheck, templateChecksSchema } from '../../../src/guest/drift-result.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deploy, inventory, mustDeploy, startHost } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'

/** `deploy.sh --check`: are the templates' disks still what was deployed? */
const root = await testFolder('deploy-check')
let images: SmallImage[]
let host: PveHost
let count = 0

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, `haproxy ${version}`), { version })),
  )
})
beforeEach(async () => {
  host = await startHost(join(root, `host-${count++}`))
  return () => host.remove()
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function check(): Promise<{ code: number; templates: TemplateCheck[] }> {
  const { code, stdout } = await deploy(host, ['--check', '--json'])
  return { code, ...templateChecksSchema.parse(JSON.parse(stdout)) }
}

async function shell(script: string): Promise<void> {
  const { code, stderr } = await host.run(['sh', '-euc', script])
  if (code !== 0) throw new Error(stderr)
}

describe.each(['local', 'local-lvm', 'local-zfs'])('on %s', (storage) => {
  test('reads a disk again and reports a flipped byte; changes nothing', async () => {
    for (const { folder } of images) await mustDeploy(host, ['--storage', storage, folder])
    const before = await inventory(host)
    const [first, second] = images.map(({ manifest }) => manifest.raw.sha256)
    expect(await check()).toMatchObject({
      code: 0,
      templates: [
        { vmid: 9000, image: 'haproxy', version: '3.0.11-1', state: 'intact', sha256: first, found: first },
        { vmid: 9001, version: '3.0.12-1', state: 'intact', sha256: second, found: second },
      ],
    })
    expect(await inventory(host)).toBe(before)

    await shell(`
      path=$(pvesm path "$(sed -n 's/^scsi0: \\([^,]*\\),.*/\\1/p' /etc/pve/qemu-server/9000.conf)")
      chattr -i "$path" 2>/dev/null || true
      printf X | dd of="$path" bs=1 seek=3000000 conv=notrunc status=none`)
    const { code, templates } = await check()
    expect([code, templates.map(({ state }) => state)]).toEqual([1, ['changed', 'intact']])
    expect(templates[0]?.found).toMatch(/^[0-9a-f]{64}$/)
    expect(templates[0]?.found).not.toBe(first)
    const { stdout } = await deploy(host, ['--check'])
    expect(stdout).toMatch(/^haproxy +3\.0\.11-1 +9000 +changed: sha256 [0-9a-f]{64}, not [0-9a-f]{64}$/m)
  })
})

test('reports a template that was removed or replaced by another VM', async () => {
  for (const { folder } of images) await mustDeploy(host, ['--storage', 'local', folder])
  await host.run(['qm', 'destroy', '9000', '--purge', '1'])
  await host.run(['qm', 'destroy', '9001', '--purge', '1'])
  await host.run(['qm', 'create', '9001', '--name', 'foreign'])
  expect(await check()).toMatchObject({
    code: 1,
    templates: [
      { vmid: 9000, state: 'missing', found: null },
      { vmid: 9001, state: 'foreign', found: null },
    ],
  })
})

test('an unreadable disk is a problem', async () => {
  await mustDeploy(host, ['--storage', 'local', images[0]?.folder ?? ''])
  await shell('cd /var/lib/vz/images/9000 && chattr -i base-* && rm base-*')
  expect(await check()).toMatchObject({ code: 1, templates: [{ state: 'unreadable', found: null }] })
})

test('without templates it prints nothing', async () => {
  expect(await check()).toEqual({ code: 0, templates: [] })
})
