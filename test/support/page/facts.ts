import type { FileEntry, FileInventory } from '../../../src/evidence/inventory.ts'
import type { PageFacts } from '../../../src/page/facts.ts'
import { differenceOf } from '../../../src/release/difference/difference.ts'
import type { BuildRecord } from '../../../src/release/format/build-record.ts'
import type { Verification } from '../../../src/release/verify/finding.ts'
import { someManifest, someRecord } from '../build-record.ts'
import { sha256 } from '../deploy/image.ts'

/** Text that would run a program if any page inserted it as HTML. */
export const HOSTILE = '</script><img src=x onerror="document.title=1">\'&'

const FOLDERS = [
  '/usr/bin',
  '/usr/lib/x86_64-linux-gnu',
  '/usr/share/doc',
  '/usr/lib/modules/6.12',
  '/usr/sbin',
]

/** Versions by name: a few well-known packages, and enough others for a page of the usual size. */
const PACKAGES: Readonly<Record<string, string>> = {
  haproxy: '3.0.11-1+deb13u1',
  keepalived: '1:2.3.3-1',
  libssl3t64: '3.5.5-1',
  [HOSTILE]: '1',
  ...Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`lib${index}`, `${index}.2-1`])),
}

/** Files of every package, small and large ones, the same on every call. */
function filesOf(packages: Readonly<Record<string, string>>): FileEntry[] {
  const files = Object.entries(packages).flatMap(([name, version]) =>
    Array.from({ length: 12 }, (_, index): FileEntry => {
      const owner = name.length + name.charCodeAt(name.length - 1)
      const folder = FOLDERS[(owner + index) % FOLDERS.length]
      const size =
        (((owner + 7) * (index + 3) * 7919) % 3000) * (name === 'haproxy' ? 200 : index === 0 ? 50 : 9)
      const digest = sha256(`${name} ${index} ${index < 3 ? version : ''}`)
      // A slash would make a folder of it.
      const path = `${folder}/${name.replaceAll('/', '')}/${index % 4 === 0 ? name.replaceAll('/', '') : 'part'}-${index}`
      return { path, type: 'file', mode: '0644', ids: '0:0', size, sha256: digest, owner: `package:${name}` }
    }),
  )
  const own = { mode: '0644', ids: '0:0', owner: 'definition' }
  return [
    { path: '/etc', type: 'directory', mode: '0755', ids: '0:0' },
    { path: '/etc/haproxy.cfg', type: 'file', size: 40, sha256: sha256(''), ...own },
    { path: '/etc/link', type: 'link', target: '/usr', ...own },
    ...files,
  ]
}

/** A finished image of this version. */
export function someImage(
  version: string,
  packages: Readonly<Record<string, string>> = PACKAGES,
): BuildRecord {
  const files = filesOf(packages)
  const inventory: FileInventory = { schema: 1, image: 'haproxy', version, files }
  const raw = { sha256: sha256(version), size: 465_000_000 }
  return {
    manifest: someManifest({
      version,
      raw,
      packages: { ...packages },
      files: { total: files.filter(({ type }) => type !== 'directory').length, unowned: [] },
      ports: { haproxy: ['tcp/22', 'tcp/6443'] },
    }),
    inventory,
    record: someRecord({
      version,
      raw: { sha256: raw.sha256 },
      started: '2026-11-28T12:00:00.000Z',
      accelerator: { kind: 'tcg', qemu: '10.0.2' },
      checks: [
        { name: 'boots', group: 'image', title: 'boots', status: 'passed', detail: 'after 47 s', ms: 47_000 },
        { name: HOSTILE, group: 'role', title: HOSTILE, status: 'passed', detail: HOSTILE, ms: 3 },
        { name: 'vip', group: 'pair', title: 'answers', status: 'skipped', detail: 'one clone', ms: 0 },
      ],
      boot: {
        readyMs: 47_000,
        stages: { firmware: 4000, loader: 1000, kernel: 6000, initrd: 9000, userspace: 20_000 },
        units: [
          { name: 'cloud-init.service', startMs: 16_000, ms: 9000 },
          { name: HOSTILE, startMs: 26_000, ms: 2000 },
        ],
      },
      measured: { failoverMs: 3400 },
    }),
  }
}

/** The findings of a folder in which everything is right. */
export function rightFindings({ manifest }: BuildRecord): Verification[] {
  return [
    { what: 'signature', result: 'right', found: 'by release@acme.example' },
    ...[manifest.qcow2.file, 'qcow2', 'content of the manifest'].map(
      (what) => ({ what, result: 'right', found: 'sha256' }) as const,
    ),
    { what: 'content of the disk', result: 'not checked', found: 'deploy.sh compares it' },
  ]
}

/** The facts of a page that has every part; `other` replaces some. */
export function someFacts(other: Partial<PageFacts> = {}): PageFacts {
  const before = someImage('3.0.11-1')
  const { keepalived: _gone, ...kept } = PACKAGES
  const finished = someImage('3.0.12-1', { ...kept, haproxy: '3.0.12-1', lua: '5.4' })
  return {
    finished,
    findings: rightFindings(finished),
    hasSignature: true,
    sums: new Map([
      [finished.manifest.qcow2.file, finished.manifest.qcow2.sha256],
      ['haproxy-3.0.12-1.spdx.json', sha256('spdx')],
    ]),
    bill: [
      {
        kind: 'package',
        name: 'haproxy',
        version: '3.0.12-1',
        source: 'haproxy',
        licence: 'GPL-2.0-or-later',
      },
      { kind: 'package', name: 'libssl3t64', version: '3.5.5-1', source: 'openssl', licence: 'Apache-2.0' },
    ],
    comparison: {
      difference: differenceOf(before, finished),
      changelogs: [{ name: 'haproxy', text: `haproxy (3.0.12-1) trixie\n\n  * ${HOSTILE}` }],
      promoted: true,
    },
    beside: true,
    ...other,
  }
}
