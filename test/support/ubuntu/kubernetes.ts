import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DebFile, DebSource } from '../archive/deb.ts'

/** Folders with unpacked packages of Debian, whose programs the repository has in other packages. */
export interface RealPrograms {
  /** Of the package kubectl. */
  readonly kubectl: string
  /** Of the package containernetworking-plugins. */
  readonly plugins: string
}

const STAND_INS = join(import.meta.dirname, '../../stand-ins/kubernetes')

const CNI_VERSION = '1.9.1-1.1'

/** The packages of a release, for example 1.37.1, in the form of the Kubernetes project. */
export async function kubernetesPackages(release: string, real: RealPrograms): Promise<DebSource[]> {
  const version = `${release}-1.1`
  const crictl = `${release.replace(/\.\d+$/, '')}.0`
  const configuration = await readFile(join(STAND_INS, 'kubeadm_configuration.py'), 'utf8')
  const plugins = (await readdir(join(real.plugins, 'usr/lib/cni'))).sort()
  return [
    {
      name: 'kubelet',
      version,
      depends: 'kubernetes-cni (>= 1.2.0), mount, util-linux',
      fields: { Recommends: 'iptables (>= 1.8.4)' },
      files: {
        'usr/bin/kubelet': program('kubelet'),
        'usr/lib/kubelet-stand-in/version': `${release}\n`,
        'usr/lib/systemd/system/kubelet.service': { copyOf: join(STAND_INS, 'kubelet.service') },
        'etc/default/kubelet': 'KUBELET_EXTRA_ARGS=\n',
        'DEBIAN/conffiles': '/etc/default/kubelet\n',
        // The project's build drops empty folders, so that these have a file.
        'etc/kubernetes/manifests/.kubelet-keep': '',
        'var/lib/kubelet/.kubelet-keep': '',
      },
    },
    {
      name: 'kubeadm',
      version,
      files: {
        'usr/bin/kubeadm': program('kubeadm'),
        'usr/lib/kubeadm-stand-in/kubeadm_configuration.py': configuration.replace(
          /^VERSION = .*$/m,
          `VERSION = 'v${release}'`,
        ),
        'usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf': {
          copyOf: join(STAND_INS, '10-kubeadm.conf'),
        },
      },
    },
    {
      name: 'kubectl',
      version,
      files: { 'usr/bin/kubectl': { copyOf: join(real.kubectl, 'usr/bin/kubectl') } },
    },
    {
      name: 'cri-tools',
      version: `${crictl}-1.1`,
      files: {
        'usr/bin/crictl': program('crictl'),
        'usr/lib/cri-tools-stand-in/version': `${crictl}\n`,
      },
    },
    {
      name: 'kubernetes-cni',
      version: CNI_VERSION,
      files: Object.fromEntries(
        plugins.map((name) => [`opt/cni/bin/${name}`, { copyOf: join(real.plugins, 'usr/lib/cni', name) }]),
      ),
    },
  ]
}

function program(name: string): DebFile {
  return { copyOf: join(STAND_INS, name) }
}
