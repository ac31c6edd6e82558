import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { createManifest, manifestSchema, templateConf } from '../../../src/build/manifest.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { type Lock, lockDigest, requestDigest } from '../../../src/image/lock.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

const checkout = join(import.meta.dirname, '../../..')
const image = await loadImage(checkout, 'haproxy')
const platform = await loadPlatform(join(checkout, 'platform.yaml'))

const locked = (name: string, version: string) => ({
  name,
  version,
  architecture: 'amd64',
  archive: 'debian',
  path: 'pool/x.deb',
  size: 1,
  sha256: '0'.repeat(64),
})
const lock: Lock = {
  schema: 1,
  image: 'haproxy',
  base: 'debian-trixie',
  version: '3.0.11-1',
  epoch: 1_700_000_000,
  request: requestDigest(image),
  packages: [locked('haproxy', '3.0.11-1+deb13u1'), locked('libc6', '2.41-12')],
  tools: [locked('qemu-utils', '1:10.0.2'), locked('libaio1', '0.3')],
  artifacts: [],
  containers: [],
}
const usr = { folder: '/usr-layer', roothash: 'a'.repeat(64), salt: 'b'.repeat(64), blocks: 100, key: 'k' }
const facts = {
  raw: { sha256: 'c'.repeat(64), size: 800_000_000 },
  qcow2: { sha256: 'd'.repeat(64), size: 130_000_000 },
  usrSize: 409_600,
  kernelVersion: '6.12.1-cloud-amd64',
  commandLine: 'usrhash=a',
  ukiSha256: 'e'.repeat(64),
  files: { total: 3, unowned: [] },
  ports: { haproxy: ['tcp/6443'] },
  source: { commit: 'e'.repeat(40), dirty: false },
  timings: { rootfs: 12_345 },
  made: ['rootfs'],
}

describe('the manifest', () => {
  const manifest = createManifest(image, lock, usr, facts)

  it('has what identifies a build', () => {
    expect(manifest).toMatchObject({
      image: 'haproxy',
      version: '3.0.11-1',
      base: 'debian-trixie',
      epoch: 1_700_000_000,
      raw: facts.raw,
      usr: { roothash: usr.roothash, size: 409_600 },
      qcow2: { file: 'haproxy-3.0.11-1.qcow2', ...facts.qcow2 },
      lock: { sha256: lockDigest(lock) },
      source: facts.source,
      timings: { rootfs: 12_345 },
      packages: { haproxy: '3.0.11-1+deb13u1', libc6: '2.41-12' },
      tools: { 'qemu-utils': '1:10.0.2' },
    })
  })

  it('matches its schema, which refuses other objects', () => {
    expect(manifestSchema.parse(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest)
    const { raw: _raw, ...without } = manifest
    expect(manifestSchema.safeParse(without).success).toBe(false)
    expect(manifestSchema.safeParse({ ...manifest, raw: { sha256: 'short', size: 1 } }).success).toBe(false)
  })
})

describe('template.conf', () => {
  const text = templateConf(createManifest(image, lock, usr, facts), platform)

  it('is flat KEY=value lines that a shell reads as they are', async () => {
    expect(text).toMatch(/^([A-Z][A-Z0-9_]*=[\w.,:/=-]*\n)+$/)
    const show = 'echo "$IMAGE $VERSION $QCOW2 $RAW_SIZE $BRIDGES"'
    const { stdout } = await execa('sh', ['-euc', `${text}\n${show}`])
    const bridges = platform.roles.haproxy.zones.map((zone) => platform.zones[zone]?.bridge)
    expect(stdout).toBe(`haproxy 3.0.11-1 haproxy-3.0.11-1.qcow2 800000000 ${bridges}`)
  })

  it('has the tag and the MTU of a card with its bridge', () => {
    const { front, middle } = platform.zones
    if (!front || !middle) throw new Error('the platform file has other zones')
    const zones = {
      ...platform.zones,
      front: { ...front, bridge: 'vmbr0', vlan: 20, mtu: 1400 },
      middle: { ...middle, mtu: 9000 },
    }
    expect(templateConf(createManifest(image, lock, usr, facts), { ...platform, zones })).toContain(
      '\nBRIDGES=vmbr0/tag=20/mtu=1400,vmbr12/mtu=9000,vmbr0,vmbr1\n',
    )
  })

  it('is refused for a role that the platform file does not have', () => {
    expect(() =>
      templateConf({ ...createManifest(image, lock, usr, facts), roles: ['haproxy', 'nobody'] }, platform),
    ).toThrow('has the role "nobody", which the platform file does not have')
  })

  it('has the size that the platform file gives the role', () => {
    const role = platform.roles.haproxy
    const values = Object.fromEntries(
      text
        .trimEnd()
        .split('\n')
        .map((line) => line.split('=')),
    )
    expect(values).toMatchObject({
      ROLES: 'haproxy',
      CORES: String(role.cores),
      MEMORY: String(role.memory),
      DISK_GIB: String(role.disk),
      BIOS: 'ovmf',
    })
  })

  it('has an empty COMMIT outside a checkout', () => {
    const manifest = createManifest(image, lock, usr, { ...facts, source: { commit: null, dirty: false } })
    expect(templateConf(manifest, platform)).toContain('\nCOMMIT=\n')
  })
})
