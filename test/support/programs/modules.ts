import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkout } from '../seeder.ts'

/** The folder of the Go modules: each requires the module of some programs, in one version. */
const MODULES = join(checkout, 'test/programs')

const CNI = 'github.com/containernetworking/plugins'
const CNI_PLUGINS = {
  ipam: ['dhcp', 'host-local', 'static'],
  main: ['bridge', 'dummy', 'host-device', 'ipvlan', 'loopback', 'macvlan', 'ptp', 'tap', 'vlan'],
  meta: ['bandwidth', 'firewall', 'portmap', 'sbr', 'tuning', 'vrf'],
}
/** What the programs of a module are built with. */
interface Family {
  /** The module whose version is that of the programs, or what a program of our own stands for. */
  readonly source: { readonly module: string } | { readonly version: string }
  /** The folder of the Go module, below `test/programs`; by default named as the group. */
  readonly folder?: string
  /** The packages of the programs, by the name of the program. */
  readonly packages: Readonly<Record<string, string>>
  /** The values that the linker gives to variables, for a version such as `1.37.2`. */
  variables(version: string): Readonly<Record<string, string>>
}

/** Programs of Kubernetes, of the module `kubernetes-LINE`. */
const kubernetes = (line: string, programs: readonly string[]): Family => ({
  source: { module: 'k8s.io/kubernetes' },
  folder: `kubernetes-${line}`,
  packages: Object.fromEntries(programs.map((name) => [name, `k8s.io/kubernetes/cmd/${name}`])),
  variables(version) {
    const [major = '', minor = ''] = version.split('.')
    const values = {
      gitVersion: `v${version}`,
      gitMajor: major,
      gitMinor: minor,
      gitTreeState: 'clean',
      // The date and the commit are in no module: these are the same in every build.
      gitCommit: '0'.repeat(40),
      buildDate: '2026-01-01T00:00:00Z',
    }
    const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
    return Object.fromEntries(
      packages.flatMap((path) => Object.entries(values).map(([name, value]) => [`${path}.${name}`, value])),
    )
  },
})

/** Those in packages, and those in container images. */
const inPackages = ['kubeadm', 'kubelet', 'kubectl']
const inImages = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy']

const etcd: Family = {
  source: { module: 'go.etcd.io/etcd/server/v3' },
  packages: {
    etcd: 'go.etcd.io/etcd/server/v3',
    etcdctl: 'go.etcd.io/etcd/etcdctl/v3',
    etcdutl: 'go.etcd.io/etcd/etcdutl/v3',
  },
  variables: () => ({}),
}

const families = {
  'kubernetes-1.37': kubernetes('1.37', inPackages),
  'control-plane-1.37': kubernetes('1.37', inImages),
  'etcd-3.7': etcd,
  'etcd-3.6': etcd,
  'cri-tools': {
    source: { module: 'sigs.k8s.io/cri-tools' },
    packages: { crictl: 'sigs.k8s.io/cri-tools/cmd/crictl' },
    variables: (version) => ({ 'sigs.k8s.io/cri-tools/pkg/version.Version': `v${version}` }),
  },
  'cni-plugins': {
    source: { module: CNI },
    packages: Object.fromEntries(
      Object.entries(CNI_PLUGINS).flatMap(([kind, names]) =>
        names.map((name) => [name, `${CNI}/plugins/${kind}/${name}`]),
      ),
    ),
    variables: (version) => ({ [`${CNI}/pkg/utils/buildversion.BuildVersion`]: `v${version}` }),
  },
  coredns: {
    source: { module: 'github.com/coredns/coredns' },
    packages: { coredns: '.' },
    variables: () => ({}),
  },
  // The version that kubeadm 1.36 and 1.37 name.
  pause: { source: { version: '3.10.2' }, packages: { pause: '.' }, variables: () => ({}) },
} satisfies Record<string, Family>

/** Names of groups of programs: those of their folders in `test/programs`, where a folder has one group. */
export type ModuleName = keyof typeof families

export const moduleNames = Object.keys(families) as ModuleName[]

/** Whether a name is that of a group of programs. */
export function isModuleName(name: string): name is ModuleName {
  return Object.hasOwn(families, name)
}

/** A module with its version, for example `1.37.2`. */
export interface ProgramModule extends Family {
  readonly name: ModuleName
  readonly folder: string
  readonly version: string
}

/** Reads a module's version from its go.mod. */
export async function programModule(name: ModuleName): Promise<ProgramModule> {
  const family: Family = families[name]
  const folder = join(MODULES, family.folder ?? name)
  const { source } = family
  const version = 'version' in source ? source.version : await requiredVersion(folder, source.module)
  return { ...family, name, folder, version }
}

async function requiredVersion(folder: string, module: string): Promise<string> {
  const text = await readFile(join(folder, 'go.mod'), 'utf8')
  const line = text.split('\n').find((one) =>
    one
      .replace(/^require/, '')
      .trim()
      .startsWith(`${module} v`),
  )
  const version = line?.match(/ v([^ ]+)/)?.[1]
  if (version === undefined) throw new Error(`${folder}/go.mod does not require ${module}`)
  return version
}
