import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from '../process/child-process.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Base } from './definition.ts'
import type { LockedPackage } from './lock.ts'
import { type Mirrors, trimSlashes } from './mirrors.ts'
import type { Repository } from './repository.ts'

/** An apt with a private state, for the archives of a base and for repositories. */
export interface PrivateApt {
  readonly folder: string
  readonly env: Record<string, string>
  readonly mirrors: Mirrors
}

/**
 * Reads the indexes of a base's archives and of repositories, with apt's signature check and without the machine's apt state.
 * A repository may only provide its own packages.
 * @param scratch an empty folder
 * @throws SeederError when an index cannot be read or its signature does not verify
 */
export async function readIndexes(
  base: Base,
  repositories: readonly Repository[],
  mirrors: Mirrors,
  scratch: string,
): Promise<PrivateApt> {
  for (const folder of [
    'etc/apt/preferences.d',
    'etc/apt/apt.conf.d',
    'lists/partial',
    'cache/archives/partial',
  ]) {
    await mkdir(join(scratch, folder), { recursive: true })
  }
  await writeFile(join(scratch, 'status'), '')
  const sources = base.pockets.map(({ archive, suite }) => {
    const url = mirrors.get(archive)?.mirror
    return `deb [signed-by=${base.keyring} arch=amd64] ${url} ${suite} ${base.components.join(' ')}\n`
  })
  await writeFile(join(scratch, 'etc/apt/sources.list'), sources.join(''))
  await mkdir(join(scratch, 'etc/apt/sources.list.d'))
  for (const repository of repositories) {
    const file = join(scratch, 'etc/apt/sources.list.d', `${repository.name}.sources`)
    await writeFile(file, repositorySource(repository, mirrors, await readFile(repository.key.file, 'utf8')))
  }
  const config = [
    `Dir::Etc "${scratch}/etc/apt";`,
    `Dir::Etc::main "${scratch}/etc/apt/none";`,
    `Dir::Etc::parts "${scratch}/etc/apt/apt.conf.d";`,
    `Dir::State::lists "${scratch}/lists";`,
    `Dir::State::status "${scratch}/status";`,
    `Dir::State::extended_states "${scratch}/extended_states";`,
    `Dir::Cache "${scratch}/cache";`,
    `Dir::Log "${scratch}/log";`,
    'APT::Architecture "amd64";',
    'APT::Architectures { "amd64"; };',
    'APT::Install-Recommends "false";',
    'APT::Sandbox::User "root";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    ...(await proxySettings()),
  ]
  await writeFile(join(scratch, 'apt.conf'), `${config.join('\n')}\n`)
  const apt = { folder: scratch, mirrors, env: { APT_CONFIG: join(scratch, 'apt.conf'), LC_ALL: 'C.UTF-8' } }
  await update(apt, base, repositories)
  await pinRepositories(apt, repositories)
  return apt
}

/** A repository in apt's deb822 format, with its key inside: the path of a key file must not have spaces. */
export function repositorySource(
  { name, suite, components }: Repository,
  mirrors: Mirrors,
  armoredKey: string,
): string {
  const key = armoredKey
    .trim()
    .split('\n')
    .map((line) => ` ${line.trim() || '.'}\n`)
  return [
    'Types: deb\n',
    `URIs: ${mirrors.get(name)?.mirror}\n`,
    `Suites: ${suite}\n`,
    ...(components.length > 0 ? [`Components: ${components.join(' ')}\n`] : []),
    'Architectures: amd64\n',
    'Signed-By:\n',
    ...key,
  ].join('')
}

/** The proxy of the machine's apt configuration, without which there may be no network. */
async function proxySettings(): Promise<string[]> {
  const { stdout } = await execa('apt-config', ['dump', 'Acquire'], { reject: false })
  return stdout.split('\n').filter((line) => /^Acquire::https?::(Proxy|Proxy-Auto-Detect)\b/i.test(line))
}

/**
 * Pins a repository's packages to it, and all others to the archives: otherwise the owner of its key could replace any package
 * of the image. apt identifies a repository by the origin and label in its index.
 */
async function pinRepositories(apt: PrivateApt, repositories: readonly Repository[]): Promise<void> {
  if (repositories.length === 0) return
  const format = ['REPO_URI', 'ORIGIN', 'LABEL'].map((field) => `$(${field})`).join('\t')
  const { stdout } = await execa('apt-get', ['indextargets', '--format', format], { env: apt.env })
  const targets = stdout.split('\n').map((line) => line.split('\t'))
  const pins = repositories.flatMap(({ name, packages }) => {
    const own = trimSlashes(apt.mirrors.get(name)?.mirror ?? '')
    const [, origin, label] = targets.find(([uri = '']) => trimSlashes(uri) === own) ?? []
    // apt prints the name of the variable when an index has no value.
    const known = [origin, label].every((field) => field !== undefined && /^[^$,]+$/.test(field))
    const shared = targets.some(([uri = '', o, l]) => trimSlashes(uri) !== own && o === origin && l === label)
    // Without a unique name it cannot be pinned; the origins are checked after resolving in any case.
    if (!known || shared) return []
    const pin = `Pin: release o=${origin},l=${label}`
    return [
      `Package: *\n${pin}\nPin-Priority: -1\n`,
      `Package: ${packages.join(' ')}\n${pin}\nPin-Priority: 990\n`,
    ]
  })
  await writeFile(join(apt.folder, 'etc/apt/preferences.d/repositories'), pins.join('\n'))
}

async function update(apt: PrivateApt, base: Base, repositories: readonly Repository[]): Promise<void> {
  const { exitCode, stderr, all } = await execa('apt-get', ['update', '-q', '--error-on=any'], {
    env: apt.env,
    reject: false,
    all: true,
    cancelSignal: interruption,
  })
  interruption.throwIfAborted()
  if (exitCode === 0) return
  const lines = stderr.split('\n').filter((line) => /^(E|W|Err)\b/.test(line))
  const what =
    lines.find((line) => line.startsWith('E:')) ?? lines[0] ?? `apt-get update ended with ${exitCode}`
  const signature =
    /GPG error|not signed|NO_PUBKEY|BADSIG|EXPKEYSIG|invalid signature|couldn.t be verified/i.test(stderr)
  const expired = /is expired|Release file .* expired/i.test(stderr)
  throw new SeederError(
    `Reading the ${base.distribution} archive's indexes failed: ${what.replace(/^E:\s*/, '').trim()}`,
    {
      fix: signature
        ? `the index is not signed by a key of ${[base.keyring, ...repositories.map(({ key }) => key.file)].join(' or ')}: check the mirror, or install the current keyring package`
        : expired
          ? 'the mirror serves an outdated index: use another mirror'
          : 'check the network and the mirror (SEEDER_MIRROR_* overrides the one of this machine)',
      cause: new Error(all),
    },
  )
}

/**
 * The files to install `wanted` (package names, apt patterns) into an empty system, sorted by name.
 * @throws SeederError when a package does not exist or cannot be installed
 */
export async function resolvePackages(apt: PrivateApt, wanted: readonly string[]): Promise<LockedPackage[]> {
  // With a second --quiet, apt would not print which dependency is missing.
  const simulated = await execa('apt-get', ['install', '--simulate', '--quiet', ...wanted], {
    env: apt.env,
    reject: false,
    all: true,
  })
  if (simulated.exitCode !== 0) {
    const complaint = aptComplaint(simulated.all) ?? 'apt could not resolve it'
    throw new SeederError(`Resolving the packages failed: ${complaint}`, {
      fix: 'check the package names in the definition and in its base',
      cause: new Error(simulated.all),
    })
  }
  const chosen = parseSimulation(simulated.stdout)
  const uris = await execa('apt-get', ['install', '--print-uris', '--quiet', '--quiet', ...wanted], {
    env: apt.env,
  })
  const archiveOf = archivesByFile(uris.stdout, apt.mirrors)
  const shown = await execa(
    'apt-cache',
    [
      'show',
      '--no-all-versions',
      ...chosen.map(({ name, architecture, version }) => `${name}:${architecture}=${version}`),
    ],
    { env: apt.env, maxBuffer: 256 * 1024 * 1024 },
  )
  const records = parseRecords(shown.stdout)
  return chosen
    .map(({ name, version }) => {
      const record = records.find(({ Package, Version }) => Package === name && Version === version)
      const path = record?.Filename
      const archive = path && archiveOf.get(path)
      if (!record?.SHA256 || !path || !archive) {
        throw new SeederError(`The archive has no usable record of ${name} ${version}`, {
          fix: 'try again; the mirror may have been in the middle of an update',
        })
      }
      const architecture = record.Architecture ?? 'amd64'
      return { name, version, architecture, archive, path, size: Number(record.Size), sha256: record.SHA256 }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The packages an `apt-get install --simulate` would install, from its `Inst name (version origin [arch])` lines. */
export function parseSimulation(output: string): { name: string; version: string; architecture: string }[] {
  const lines = output.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\w+)\]\)/gm)
  return [...lines].map(([, name = '', version = '', architecture = '']) => ({
    name: name.replace(/:\w+$/, ''),
    version,
    architecture: architecture === 'all' ? 'all' : 'amd64',
  }))
}

/** Path below the archive's URL → the archive's name, from the lines of `apt-get --print-uris`. */
function archivesByFile(output: string, mirrors: Mirrors): Map<string, string> {
  const found = new Map<string, string>()
  for (const [, quoted = ''] of output.matchAll(/^'([^']+)'/gm)) {
    const uri = decodeURIComponent(quoted)
    for (const [archive, { mirror }] of mirrors) {
      if (uri.startsWith(decodeURIComponent(mirror))) found.set(uri.slice(mirror.length), archive)
    }
  }
  return found
}

/** Deb822 paragraphs as records of their single-line fields. */
function parseRecords(text: string): Record<string, string>[] {
  return text.split(/\n\n+/).map((paragraph) => {
    const fields = [...paragraph.matchAll(/^([A-Za-z0-9-]+): ?(.*)$/gm)]
    return Object.fromEntries(fields.map(([, key = '', value = '']) => [key, value]))
  })
}

/** The newest `Date` of the indexes that were read, in seconds since 1970. */
export async function newestIndexDate({ folder }: PrivateApt): Promise<number> {
  const lists = await readdir(join(folder, 'lists'))
  const dates: number[] = []
  for (const file of lists.filter((name) => /_(In)?Release$/.test(name))) {
    const date = /^Date: (.+)$/m.exec(await readFile(join(folder, 'lists', file), 'utf8'))?.[1]
    if (date) dates.push(Date.parse(date) / 1000)
  }
  if (dates.length === 0) throw new SeederError('No archive index has a date')
  return Math.max(...dates)
}

/**
 * The most useful line of apt's output: an unmet dependency, in the wording of either solver, otherwise the first error.
 * Undefined when there is neither.
 */
export function aptComplaint(output: string): string | undefined {
  const classic = /^ ?(\S+ : (?:Pre-?)?Depends: .+)$/m.exec(output)?.[1]
  const newer = /^ *\d+\. (\S+ (?:Pre-?)?Depends .+)\n\s*but none of the choices are installable/m.exec(
    output,
  )?.[1]
  const error = /^E: (.+)$/m.exec(output)?.[1]
  return classic ?? (newer && `${newer} is not installable`) ?? error
}
