/** A folder of `src`, or an entry: what is in it, and which others it may import. */
export interface Room {
  readonly name: string
  /** For CONTRIBUTING: what a reader finds there. */
  readonly holds: string
  readonly imports: readonly string[]
}

const basics = ['report', 'process', 'files']

/** The rooms of `src`, from the entries down. A room imports rooms further down only. */
export const rooms: readonly Room[] = [
  {
    name: 'cli.ts',
    holds: 'the entry of the command line',
    imports: ['command-line.ts', 'process'],
  },
  {
    name: 'command-line.ts',
    holds: 'the command line: every verb with its help, and how errors are printed',
    imports: ['commands', 'process', 'report'],
  },
  {
    name: 'action.ts',
    holds: 'the entry of the GitHub action',
    imports: ['action', 'commands', 'process', 'report'],
  },
  {
    name: 'action',
    holds: 'what a workflow step adds to a command: inputs, `steps/`, log, summary, artifacts, comment',
    imports: [
      ...basics,
      'boot-test',
      'build',
      'commands',
      'evidence',
      'github',
      'image',
      'page',
      'release',
      'scan',
    ],
  },
  {
    name: 'commands',
    holds: 'one file per verb: its options, what it calls, what it prints',
    imports: [
      ...basics,
      'boot-test',
      'build',
      'evidence',
      'github',
      'guest',
      'host',
      'image',
      'page',
      'pki',
      'platform',
      'release',
      'scan',
      'store',
    ],
  },
  {
    name: 'page',
    holds:
      'the page of `seeder report`: `view/` decides what is on it, `render/` makes HTML, `client/` is its script, `style/` its style',
    imports: [...basics, 'build', 'evidence', 'release'],
  },
  {
    name: 'boot-test',
    holds:
      'the boot test: a contract per image (`haproxy/`, `etcd/`, `kubernetes/`), one for all of them (`together/`), test bed, checks, report',
    imports: [...basics, 'build', 'guest', 'platform', 'store', 'vm'],
  },
  {
    name: 'release',
    holds:
      'a release: its files (`format/`, `signature/`), and a folder for each thing done with it: `publish/`, `verify/`, `download/`, `promote/`, `deploy/`, `difference/`; `channel/` has which release is the candidate and which is promoted',
    imports: [...basics, 'build', 'evidence', 'github', 'host', 'http', 'scan', 'store'],
  },
  {
    name: 'host',
    holds:
      'the Proxmox VE host: templates, guests, storages, deploy.sh; `node/` makes and replaces nodes, `drift/` compares machines with what they were made from',
    imports: [...basics, 'guest', 'pki', 'platform'],
  },
  {
    name: 'build',
    holds:
      'from a lock to a disk: `pipeline.ts` has the order of the steps; `containers/` adds container images, `bundle/` writes and opens the file that builds an image again',
    imports: [...basics, 'evidence', 'http', 'image', 'platform', 'store'],
  },
  {
    name: 'vm',
    holds: 'virtual machines: QEMU, guest agent, console, cloud-init drive, private network and DHCP',
    imports: [...basics, 'guest'],
  },
  {
    name: 'github',
    holds: 'GitHub: client, releases and their assets, comments, errors that name the missing permission',
    imports: ['http', 'image', 'report'],
  },
  {
    name: 'scan',
    holds: 'known vulnerabilities: feeds, looking an image up in them, the result',
    imports: [...basics, 'evidence', 'http'],
  },
  {
    name: 'evidence',
    holds: 'what is in an image and where it came from: files and owners, bills of materials, provenance',
    imports: ['image', 'report'],
  },
  {
    name: 'image',
    holds: 'image definitions, locks, and what an archive has',
    imports: [...basics, 'http', 'yaml'],
  },
  {
    name: 'pki',
    holds: 'the operator’s certificate authorities, what they sign, and how it is kept',
    imports: [...basics, 'platform'],
  },
  {
    name: 'platform',
    holds: 'the site, from `platform.yaml`: zones, roles, flows, firewall rules',
    imports: ['report', 'yaml'],
  },
  {
    name: 'guest',
    holds:
      'what a machine gets and says: vendor data, node.env, status of first boot, result of the drift check',
    imports: ['report'],
  },
  {
    name: 'store',
    holds: 'content-addressed files and their digests',
    imports: [...basics],
  },
  {
    name: 'http',
    holds: 'downloads over HTTP, and when a request is repeated',
    imports: ['report'],
  },
  {
    name: 'yaml',
    holds: 'YAML files through a schema, with the line and column of each fault',
    imports: ['files', 'report'],
  },
  {
    name: 'files',
    holds: 'reading and writing files: bounded text, JSON through a schema, locks, atomic replacement',
    imports: ['process', 'report'],
  },
  {
    name: 'process',
    holds: 'how programs are started, without keys and tokens, and how this one is interrupted',
    imports: ['report'],
  },
  {
    name: 'report',
    holds: 'what is printed: errors, progress, tables, and untrusted text made printable',
    imports: [],
  },
]

/** The rows of CONTRIBUTING's table of `src`. */
export function roomRows(): string[] {
  return rooms.map(({ name, holds, imports }) => `| \`src/${name}\` | ${holds} | ${imports.join(', ')} |`)
}

if (import.meta.main) console.log(roomRows().join('\n'))
