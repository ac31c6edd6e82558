import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { configsOf, deploy, inventory, tagged } from '../support/deploy/host.ts'
import { PveHost } from '../support/pve/host.ts'

/** The finished HAProxy image becomes a template, and a clone of the template really boots before it is current. */
const root = await testFolder('deploy')
const out = join(root, 'haproxy')
let host: PveHost
let manifest: Manifest

beforeAll(async () => {
  manifest = await warmUp(out)
  host = await PveHost.create(join(root, 'host'))
  await host.start()
})
afterAll(async () => {
  await host.remove()
  await removeFolder(root)
})

const argv = ['--storage', 'local-lvm', '--allow-unsigned', '--json', out]

it(
  'boots a clone of the template, which says what it is, and removes it',
  async () => {
    const { code, stdout, stderr } = await deploy(host, argv)
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/ready after \d+ s/)
    const { templates } = JSON.parse(stdout)
    expect(templates).toMatchObject([{ vmid: 9000, version: manifest.version, sha256: manifest.raw.sha256 }])
    expect([...(await configsOf(host)).keys()]).toEqual([9000])
    expect(await tagged(host, 'current')).toEqual([9000])
    expect((await host.run(['pvesm', 'list', 'local-lvm', '--vmid', '9001'])).stdout).not.toContain('vm-9001')
    expect(await inventory(host)).toContain('PROMOTED=1')
  },
  15 * 60_000,
)

it(
  'takes all of it back when the clone does not come up',
  async () => {
    const before = await inventory(host)
    // The same image under another version: what its clone says of itself is not what the manifest says.
    const other = join(root, 'other')
    const script = `mkdir "$1" && cd "$1"
for name in "$0"/*; do new=\${name##*/}; cp "$name" "\${new//$2/$3}"; done
sed -i "s/$2/$3/g" *.manifest.json template.conf
sha256sum *.manifest.json *.qcow2 template.conf > SHA256SUMS`
    const next = manifest.version.replace(/-\d+$/, '-99')
    const copied = await host.run(['bash', '-euc', script, out, other, manifest.version, next])
    expect(copied.code, copied.stderr).toBe(0)
    const { code, stderr } = await deploy(host, ['--storage', 'local-lvm', '--allow-unsigned', other])
    expect(stderr).toContain(`is not haproxy ${next}: {"image":"haproxy","version":"${manifest.version}"`)
    expect(stderr).toContain('it is undone, nothing has changed')
    expect(code).toBe(1)
    expect(await inventory(host)).toBe(before)
  },
  15 * 60_000,
)
