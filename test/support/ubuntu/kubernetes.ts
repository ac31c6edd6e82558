import { join } from 'node:path'
import type { DebFile, DebSource } from '../archive/deb.ts'
import { goPrograms, type Programs } from '../programs/build.ts'

/** A minor version of Kubernetes that `test/programs` has. */
export type KubernetesLine = '1.37'

/** The packages of a minor version of Kubernetes, in the form of the Kubernetes project, with its real programs. */
export async function kubernetesPackages(line: KubernetesLine): Promise<DebSource[]> {
  const kubernetes = await goPrograms(`kubernetes-${line}`)
  const tools = await goPrograms('cri-tools')
  const plugins = await goPrograms('cni-plugins')
  return [
    {
      name: 'kubelet',
      version: packageVersion(kubernetes),
      depends: 'kubernetes-cni (>= 1.2.0), mount, util-linux',
      fields: { Recommends: 'iptables (>= 1.8.4)' },
      files: {
        'usr/bin/kubelet': program(kubernetes, 'kubelet'),
        'usr/lib/systemd/system/kubelet.service': unitFile('kubelet.service'),
        'etc/default/kubelet': 'KUBELET_EXTRA_ARGS=\n',
        'DEBIAN/conffiles': '/etc/default/kubelet\n',
        // The project's build drops empty folders, so that these have a file.
        'etc/kubernetes/manifests/.kubelet-keep': '',
        'var/lib/kubelet/.kubelet-keep': '',
      },
    },
    {
      name: 'kubeadm',
      version: packageVersion(kubernetes),
      files: {
        'usr/bin/kubeadm': program(kubernetes, 'kubeadm'),
        'usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf': unitFile('10-kubeadm.conf'),
      },
    },
    {
      name: 'kubectl',
      version: packageVersion(kubernetes),
      files: { 'usr/bin/kubectl': program(kubernetes, 'kubectl') },
    },
    {
      name: 'cri-tools',
      version: packageVersion(tools),
      files: { 'usr/bin/crictl': program(tools, 'crictl') },
    },
    {
      name: 'kubernetes-cni',
      version: packageVersion(plugins),
      files: Object.fromEntries(plugins.names.map((name) => [`opt/cni/bin/${name}`, program(plugins, name)])),
    },
  ]
}

function packageVersion({ version }: Programs): string {
  return `${version}-1.1`
}

function program({ folder }: Programs, name: string): DebFile {
  return { copyOf: join(folder, name) }
}

function unitFile(name: string): DebFile {
  return { copyOf: join(import.meta.dirname, name) }
}
