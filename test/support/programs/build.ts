import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { usersCache } from '../builds.ts'
import { type ModuleName, type ProgramModule, programModule } from './modules.ts'

/** Programs as their projects release them: static, for amd64. */
export interface Programs {
  /** Of Kubernetes, etcd or what the module is of, for example `1.37.2`. */
  readonly version: string
  /** A folder with only the folder `bin`, to be laid over a `/usr`. */
  readonly usr: string
  /** The folder with the programs, `bin`. */
  readonly folder: string
  readonly names: readonly string[]
}

/**
 * The real programs of a module of `test/programs`. The first call compiles them, which takes minutes, and keeps them in
 * the tests' cache below a digest of everything that goes in.
 * @throws Error with the output of Go
 */
export async function goPrograms(name: ModuleName): Promise<Programs> {
  const module = await programModule(name)
  const cache = join(usersCache, 'seeder-test', 'programs')
  const usr = join(cache, `${name}-${await inputDigest(module)}`)
  if (!existsSync(usr)) await build(module, cache, usr)
  return { version: module.version, usr, folder: join(usr, 'bin'), names: Object.keys(module.packages) }
}

async function inputDigest(module: ProgramModule): Promise<string> {
  const hash = createHash('sha256')
  for (const file of (await readdir(module.folder)).sort()) {
    hash.update(await readFile(join(module.folder, file)))
  }
  hash.update(
    JSON.stringify([await goVersion(module), environment, SCRIPT, linkerFlags(module), module.packages]),
  )
  return hash.digest('hex').slice(0, 16)
}

/** The machine's Go may be older than what a module needs. It then takes the needed one from the module proxy. */
const environment = { CGO_ENABLED: '0', GOOS: 'linux', GOARCH: 'amd64', GOTOOLCHAIN: 'auto', GOFLAGS: '' }

async function goVersion({ folder }: ProgramModule): Promise<string> {
  return (await execa('go', ['env', 'GOVERSION'], { cwd: folder, env: environment })).stdout
}

function linkerFlags({ variables, version }: ProgramModule): string {
  const values = Object.entries(variables(version)).map(([name, value]) => `-X ${name}=${value}`)
  return ['-s', '-w', ...values].join(' ')
}

// Under a lock: whoever waits for it finds the programs. A folder is there when all its programs are.
const SCRIPT = `
folder=$1 flags=$2
shift 2
[[ ! -e $folder ]] || exit 0
rm -rf "$folder.new"
mkdir -p "$folder.new/bin"
while (($# > 0)); do
  go build -trimpath -buildvcs=false -mod=readonly -ldflags "$flags" -o "$folder.new/bin/$1" "$2"
  shift 2
done
mv "$folder.new" "$folder"
`

async function build(module: ProgramModule, cache: string, folder: string): Promise<void> {
  await mkdir(cache, { recursive: true })
  const programs = Object.entries(module.packages).flat()
  const script = ['/bin/bash', '-euc', SCRIPT, 'build', folder, linkerFlags(module), ...programs]
  await execa('flock', [`${folder}.lock`, ...script], { cwd: module.folder, env: environment })
}
