import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { deploy, inventory, mustDeploy } from '../support/deploy/host.ts'

/** A clone boots before its template is current: here one with a wrong version; release.test.ts has a right one. */
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

it(
  'undoes the deployment when the clone is not the right image',
  async () => {
    // The first template stays the current one.
    await mustDeploy(host, ['--storage', 'local-lvm', '--allow-unsigned', '--no-smoke', out])
    const before = await inventory(host)
    // The same image under another version: its clone reports another version than the manifest.
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
