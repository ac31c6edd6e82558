import { expect, test } from 'vitest'
import { differenceOf } from '../../../../src/release/difference/difference.ts'
import { someManifest, someRecord } from '../../../support/build-record.ts'

const before = { manifest: someManifest(), record: someRecord() }

test('packages that came, went, and changed; sizes, boot and checks', () => {
  const manifest = someManifest({
    version: '3.0.12-1',
    raw: { sha256: 'e'.repeat(64), size: 810_000_000 },
    packages: { haproxy: '3.0.12-1', curl: '8.14.1-2' },
    artifacts: { agent: { version: '1.0.0', sha256: 'f'.repeat(64) } },
  })
  const record = someRecord({
    passed: false,
    boot: { readyMs: 50_000 },
    checks: [
      { name: 'boots', title: 'it boots', status: 'failed', detail: 'panic' },
      { name: 'drains', title: 'it drains', status: 'passed', detail: '' },
    ],
  })
  expect(differenceOf(before, { manifest, record })).toEqual({
    before: '3.0.11-1',
    after: '3.0.12-1',
    identical: false,
    added: [
      { name: 'agent', version: '1.0.0' },
      { name: 'curl', version: '8.14.1-2' },
    ],
    removed: [{ name: 'keepalived', version: '1:2.3.3-1' }],
    changed: [{ name: 'haproxy', before: '3.0.11-1+deb13u1', after: '3.0.12-1' }],
    sizes: {
      qcow2: { before: 124_000_000, after: 124_000_000 },
      disk: { before: 800_000_000, after: 810_000_000 },
      usr: { before: 110_000_000, after: 110_000_000 },
    },
    boot: { before: 47_000, after: 50_000 },
    commandLine: undefined,
    ports: { opened: [], closed: [] },
    files: undefined,
    checks: {
      before: { passed: 2, failed: 0, skipped: 0 },
      after: { passed: 1, failed: 1, skipped: 0 },
      broken: ['boots'],
      mended: [],
      added: ['drains'],
      removed: ['balances'],
    },
  })
})

test('the command line, without what is other in every image, and the ports', () => {
  const manifest = (version: string, commandLine: string, ports: Record<string, string[]>) =>
    someManifest({ version, kernel: { version: '6.12', commandLine }, ports })
  const older = {
    manifest: manifest('1-1', 'usrhash=a seeder.usr=erofs,1,a panic=30', { haproxy: ['tcp/22', 'tcp/80'] }),
  }
  const same = {
    manifest: manifest('1-2', 'usrhash=b seeder.usr=erofs,2,b panic=30', { haproxy: ['tcp/22', 'tcp/80'] }),
  }
  const other = {
    manifest: manifest('1-3', 'usrhash=b seeder.usr=erofs,2,b panic=5', { haproxy: ['tcp/22', 'tcp/443'] }),
  }
  expect(differenceOf(older, same)).toMatchObject({
    commandLine: undefined,
    ports: { opened: [], closed: [] },
  })
  expect(differenceOf(older, other)).toMatchObject({
    commandLine: { before: 'panic=30', after: 'panic=5' },
    ports: { opened: ['haproxy tcp/443'], closed: ['haproxy tcp/80'] },
  })
})

test('the same disk is the same, whatever it was built from', () => {
  const manifest = someManifest({ source: { commit: null, dirty: true } })
  expect(differenceOf(before, { manifest }).identical).toBe(true)
})

test('an emulated boot is not compared with one that was not, nor is a test with no test', () => {
  const record = someRecord({ accelerator: { kind: 'kvm' } })
  expect(differenceOf(before, { manifest: someManifest(), record }).boot).toBeUndefined()
  expect(differenceOf(before, { manifest: someManifest() })).toMatchObject({
    boot: undefined,
    checks: undefined,
  })
})
