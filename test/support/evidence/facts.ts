import type { MaterialFacts } from '../../../src/evidence/materials.ts'
import type { EvidenceSubject } from '../../../src/evidence/subject.ts'
import type { Lock } from '../../../src/image/lock.ts'

const digest = (letter: string) => letter.repeat(64)

function locked(name: string, version: string, archive = 'debian'): Lock['packages'][number] {
  return {
    name,
    version,
    architecture: 'amd64',
    archive,
    size: 1,
    path: `pool/main/${name}.deb`,
    sha256: Buffer.from(name).toString('hex').padEnd(64, '0').slice(0, 64),
  }
}

export const lock: Lock = {
  schema: 1,
  image: 'etcd',
  base: 'ubuntu-resolute',
  version: '3.7.2-1',
  epoch: 1_790_000_000,
  request: digest('1'),
  packages: [
    locked('linux-image-6.12', '6.12.1', 'ubuntu'),
    locked('dracut', '106-6', 'ubuntu'),
    locked('libc6', '2:2.41-12+deb13u4', 'ubuntu-security'),
    locked('kubelet', '1.37.1-1.1', 'kubernetes'),
  ],
  tools: [locked('mmdebstrap', '1.5'), locked('systemd-boot-efi', '257.1-1')],
  artifacts: [
    {
      name: 'etcd',
      version: '3.7.2',
      urls: ['https://example.internal/etcd.tar.gz'],
      size: 9,
      sha256: digest('2'),
    },
  ],
  containers: [
    {
      name: 'kube-proxy',
      version: 'v1.37.1',
      reference: 'registry.k8s.io/kube-proxy:v1.37.1',
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: 500,
      sha256: digest('3'),
      blobs: [{ size: 5, sha256: digest('4') }],
    },
  ],
}

export const subject: EvidenceSubject = {
  image: 'etcd',
  version: '3.7.2-1',
  description: 'a member',
  base: 'ubuntu-resolute',
  epoch: lock.epoch,
  rawSha256: digest('a'),
  qcow2: { file: 'etcd-3.7.2-1.qcow2', sha256: digest('b') },
}

export const facts: MaterialFacts = {
  lock,
  distribution: 'ubuntu',
  suite: 'resolute',
  installed: new Map([
    [
      'libc6',
      {
        source: { name: 'glibc', version: '2.41-12+deb13u4' },
        maintainer: 'GNU Libc Maintainers <debian-glibc@lists.example.internal>',
        homepage: 'https://www.gnu.org/software/libc/libc.html',
      },
    ],
  ]),
  licences: new Map([
    [
      'libc6',
      {
        expression: 'LGPL-2.1-or-later AND LicenseRef-debian-inner-net',
        references: new Map([['LicenseRef-debian-inner-net', 'Inner-Net']]),
      },
    ],
  ]),
  uki: { sha256: digest('d'), kernel: '6.12' },
}
