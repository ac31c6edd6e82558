import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { newestIndexDate, type PrivateApt, parseSimulation } from '../../../src/image/apt.ts'
import type { LockedPackage } from '../../../src/image/lock.ts'
import { findMirrors, type Mirrors } from '../../../src/image/mirrors.ts'

/** A package of Debian's archive with its paragraph of the index. */
export interface DebianPackage extends LockedPackage {
  readonly paragraph: string
}

/** A release of Debian: 13 with some newer packages of the next one, or the next one. */
export type Release = 'trixie' | 'forky'

/** The packages of a release. */
export interface Debian {
  readonly release: Release
  readonly mirrors: Mirrors
  /** The date of the newest index, in seconds since 1970. */
  readonly date: number
  /** The packages that are installed with `wanted` in an empty system. */
  closure(wanted: readonly string[]): Promise<DebianPackage[]>
  /** Packages without their dependencies, in the order of the names. */
  alone(names: readonly string[]): Promise<DebianPackage[]>
}

/** Debian 13 has too old versions of these for an Ubuntu, or for a release of Kubernetes. */
const FROM_FORKY = ['containerd', 'runc']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Reads a release's indexes of the machine's Debian mirror into `scratch`, an empty folder without blanks in its path. */
export async function readDebian(scratch: string, release: Release = 'trixie'): Promise<Debian> {
  const mirrors = await findMirrors(['debian', 'debian-security'])
  const apt = await privateApt(scratch, mirrors, release)
  await execa('apt-get', ['update', '-q', '--error-on=any'], { env: apt.env })

  async function show(packages: readonly string[]): Promise<DebianPackage[]> {
    const options = { env: apt.env, maxBuffer: 64 * 1024 * 1024 }
    const { stdout } = await execa('apt-cache', ['show', '--no-all-versions', ...packages], options)
    return stdout.trim().split(/\n\n+/).map(readParagraph)
  }

  return {
    release,
    mirrors,
    date: await newestIndexDate(apt),
    async closure(wanted) {
      const { stdout } = await execa('apt-get', ['install', '--simulate', '--quiet', ...wanted], {
        env: apt.env,
      })
      const chosen = parseSimulation(stdout)
      return show(chosen.map(({ name, architecture, version }) => `${name}:${architecture}=${version}`))
    },
    async alone(names) {
      const shown = await show(names)
      return names.flatMap((name) => shown.find((found) => found.name === name) ?? [])
    },
  }
}

function readParagraph(paragraph: string): DebianPackage {
  const field = (name: string): string => {
    const value = new RegExp(`^${name}: (.+)$`, 'm').exec(paragraph)?.[1]
    if (value === undefined) throw new Error(`a package of Debian's archive has no ${name}: ${paragraph}`)
    return value
  }
  const path = field('Filename')
  return {
    name: field('Package'),
    version: field('Version'),
    architecture: field('Architecture'),
    path,
    size: Number(field('Size')),
    sha256: field('SHA256'),
    paragraph,
    // The security archive has a pool of its own.
    archive: path.startsWith('pool/updates/') ? 'debian-security' : 'debian',
  }
}

async function privateApt(folder: string, mirrors: Mirrors, release: Release): Promise<PrivateApt> {
  for (const path of ['none', 'lists/partial', 'cache/archives/partial']) {
    await mkdir(join(folder, path), { recursive: true })
  }
  const [main, security] = ['debian', 'debian-security'].map((name) => mirrors.get(name)?.mirror)
  const source = (url = '', suite = '', option = '') =>
    `deb [signed-by=${KEYRING} arch=amd64${option}] ${url} ${suite} main\n`
  // Its signature is checked, but a mirror's copy may be a week old.
  const forky = source(main, 'forky', ' check-valid-until=no')
  const trixie = [source(main, 'trixie'), source(main, 'trixie-updates'), source(security, 'trixie-security')]
  const preferences = [
    'Package: *\nPin: release n=forky\nPin-Priority: 100\n',
    `Package: ${FROM_FORKY.join(' ')}\nPin: release n=forky\nPin-Priority: 990\n`,
  ]
  const mixed = release === 'trixie'
  const { stdout } = await execa('apt-config', ['dump', 'Acquire'])
  const config = [
    `Dir::Etc "${folder}";`,
    'Dir::Etc::main "none/main";',
    'Dir::Etc::parts "none";',
    'Dir::Etc::sourceparts "none";',
    'Dir::Etc::preferencesparts "none";',
    `Dir::State "${folder}";`,
    `Dir::State::lists "${folder}/lists";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::Cache "${folder}/cache";`,
    `Dir::Log "${folder}/log";`,
    'APT::Architecture "amd64";',
    'APT::Architectures { "amd64"; };',
    'APT::Install-Recommends "false";',
    'APT::Sandbox::User "root";',
    'Acquire::Languages "none";',
    ...stdout.split('\n').filter((line) => /^Acquire::https?::Proxy/i.test(line)),
  ]
  const files = {
    status: '',
    preferences: mixed ? preferences.join('\n') : '',
    'sources.list': [...(mixed ? trixie : []), forky].join(''),
    'apt.conf': `${config.join('\n')}\n`,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return { folder, mirrors, env: { APT_CONFIG: join(folder, 'apt.conf'), LC_ALL: 'C.UTF-8' } }
}
