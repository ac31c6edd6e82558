import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { interruption } from '../interruption.ts'
import { SeederError } from '../report/error.ts'
import { aptComplaint } from './apt-complaint.ts'
import { type Base, type Image, requestedPackages } from './definition.ts'
import { type Lock, type LockedPackage, requestDigest } from './lock.ts'

/**
 * Asks the archives what is newest and resolves an image's packages and tools to exact files.
 * Works in `scratch`, an empty folder, with apt's own resolver and signature check and none of the machine's apt state.
 * `mirrors` are base URLs per archive, ending in a slash. Needs the network; nothing else in Seeder asks an archive.
 * Throws SeederError when an index cannot be read, its signature does not verify, or a package does not exist.
 */
export async function resolveLock(
  image: Image,
  mirrors: ReadonlyMap<string, { mirror: string }>,
  scratch: string,
): Promise<Lock> {
  const apt = await privateApt(image.base, mirrors, scratch)
  await update(apt, image.base)
  const packages = await resolve(apt, mirrors, ['?essential', 'apt', ...requestedPackages(image)])
  const tools = await resolve(apt, mirrors, ['?essential', ...image.base.tools])
  return {
    schema: 1,
    image: image.name,
    base: image.base.name,
    version: imageVersion(image, packages),
    epoch: await newestIndexDate(scratch),
    request: requestDigest(image),
    packages,
    tools,
  }
}

/** `<upstream version>-<revision>`: epoch, Debian revision and repack marks are the packaging's, not the component's. */
export function imageVersion(image: Image, packages: readonly LockedPackage[]): string {
  const component = packages.find((one) => one.name === image.version.package)
  if (!component) {
    throw new SeederError(
      `The version of ${image.name} should follow the package ${image.version.package}, which it does not install`,
      { fix: `add ${image.version.package} to its packages or change version.package in its image.yaml` },
    )
  }
  const upstream = component.version
    .replace(/^\d+:/, '')
    .replace(/-[^-]*$/, '')
    .replace(/[+~].*$/, '')
  return `${upstream}-${image.version.revision}`
}

interface PrivateApt {
  readonly env: Record<string, string>
}

async function privateApt(
  base: Base,
  mirrors: ReadonlyMap<string, { mirror: string }>,
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
  return { env: { APT_CONFIG: join(scratch, 'apt.conf'), LC_ALL: 'C.UTF-8' } }
}

/** A proxy is the one thing of the machine's apt configuration that still holds: without it there may be no network. */
async function proxySettings(): Promise<string[]> {
  const { stdout } = await execa('apt-config', ['dump', 'Acquire'], { reject: false })
  return stdout.split('\n').filter((line) => /^Acquire::https?::(Proxy|Proxy-Auto-Detect)\b/i.test(line))
}

async function update(apt: PrivateApt, base: Base): Promise<void> {
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
        ? `the index is not signed by a key of ${base.keyring}: check the mirror, or install the current keyring package`
        : expired
          ? 'the mirror serves an outdated index: use another mirror'
          : 'check the network and the mirror (SEEDER_MIRROR_* overrides the one of this machine)',
      cause: new Error(all),
    },
  )
}

async function resolve(
  apt: PrivateApt,
  mirrors: ReadonlyMap<string, { mirror: string }>,
  wanted: readonly string[],
): Promise<LockedPackage[]> {
  // Quieter than this, apt would not say which dependency is missing.
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
  const archiveOf = archivesByFile(uris.stdout, mirrors)
  const shown = await execa(
    'apt-cache',
    ['show', '--no-all-versions', ...chosen.map((one) => `${one.name}:${one.architecture}=${one.version}`)],
    { env: apt.env, maxBuffer: 256 * 1024 * 1024 },
  )
  const records = parseRecords(shown.stdout)
  return chosen
    .map(({ name, version }) => {
      const record = records.find((one) => one.Package === name && one.Version === version)
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
function archivesByFile(
  output: string,
  mirrors: ReadonlyMap<string, { mirror: string }>,
): Map<string, string> {
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
async function newestIndexDate(scratch: string): Promise<number> {
  const lists = await readdir(join(scratch, 'lists'))
  const dates: number[] = []
  for (const file of lists.filter((one) => /_(In)?Release$/.test(one))) {
    const date = /^Date: (.+)$/m.exec(await readFile(join(scratch, 'lists', file), 'utf8'))?.[1]
    if (date) dates.push(Date.parse(date) / 1000)
  }
  if (dates.length === 0) throw new SeederError('None of the archive indexes carries a date')
  return Math.max(...dates)
}

/** Resolves in a scratch folder below `parent` and removes it, whatever happens. */
export async function withScratch<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(parent, `lock-${process.pid}`)
  await mkdir(folder, { recursive: true })
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
