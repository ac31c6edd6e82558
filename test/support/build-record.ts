import { type Manifest, manifestSchema } from '../../src/build/manifest.ts'
import { type TestRecord, testRecordSchema } from '../../src/release/format/test-report.ts'

const digest = (letter: string) => letter.repeat(64)

/** A manifest with some other values. */
export function someManifest(other: Partial<Manifest> = {}): Manifest {
  const version = other.version ?? '3.0.11-1'
  return manifestSchema.parse({
    schema: 1,
    image: 'haproxy',
    version,
    description: 'load balancer',
    roles: ['haproxy'],
    base: 'debian-trixie',
    epoch: 1_760_000_000,
    raw: { sha256: digest('a'), size: 800_000_000 },
    usr: { roothash: digest('b'), size: 110_000_000 },
    qcow2: { file: `haproxy-${version}.qcow2`, sha256: digest('c'), size: 124_000_000 },
    kernel: { version: '6.12.117+deb13-cloud-amd64', commandLine: 'rw' },
    uki: { sha256: digest('e') },
    files: { total: 9_000, unowned: [] },
    ports: {},
    lock: { sha256: digest('d') },
    source: { commit: '1'.repeat(40), dirty: false },
    packages: { haproxy: '3.0.11-1+deb13u1', keepalived: '1:2.3.3-1' },
    artifacts: {},
    tools: {},
    timings: { packages: 1_200, disk: 2_300 },
    made: ['tools', 'rootfs', 'initrd', 'usr'],
    ...other,
  })
}

/** A test record with some other values. */
export function someRecord(other: Partial<TestRecord> = {}): TestRecord {
  return testRecordSchema.parse({
    image: 'haproxy',
    version: '3.0.11-1',
    passed: true,
    raw: { sha256: digest('a') },
    accelerator: { kind: 'tcg' },
    duration: 200_000,
    checks: [
      { name: 'boots', title: 'it boots', status: 'passed', detail: 'after 47 s' },
      { name: 'balances', title: 'it balances', status: 'passed', detail: 'w1 w2 w1' },
    ],
    boot: { readyMs: 47_000 },
    ...other,
  })
}
