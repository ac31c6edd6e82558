import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import type { z } from 'zod'
import { type Refusal, requestSchema, TOKEN } from './github.ts'
import { Machine, type Ran } from './machine.ts'

export const INSTALL = ['--repo', 'acme/platform', '--token-file', '/shared/token']
const SCRIPTS = path.resolve(import.meta.dirname, '../../../scripts')
const VERSION = '2.337.0'

/** The program of a runner that takes its job from /shared/job: bash, as the user and in the place of a real job. */
const PROGRAM: Readonly<Record<string, string>> = {
  'run.sh': `#!/bin/bash
cd "$(dirname "$0")"
echo "run.sh as $(id -un) in $PWD with arguments '$*'"
env | sed 's/^/run.sh has /'
trap 'kill "$LISTENER" 2>/dev/null; echo run.sh got a signal to stop; exit 0' TERM
bin/Runner.Listener & LISTENER=$!
wait "$LISTENER"
`,
  'bin/Runner.Listener': `#!/bin/bash
unset ACTIONS_RUNNER_INPUT_JITCONFIG
until [ -e /shared/job ]; do sleep 0.1; done
"$(dirname "$0")/Runner.Worker"
`,
  'bin/Runner.Worker': `#!/bin/bash
mkdir -p "$(dirname "$0")/../_diag"
touch "$(dirname "$0")/../_diag/Worker_1.log"
cd ~
. /shared/job
`,
}

/** Stands in for deploy.sh: says how it was called. */
const DEPLOY = `#!/bin/bash -p
echo "deploy.sh as $(id -un), sees /etc/pve: $(ls /etc/pve 2>&1 | tr '\\n' ' ')"
printf 'argument <%s>\\n' "$@"
compgen -e | while read -r name; do echo "variable $name=\${!name}"; done
echo "folder $SEEDER_CALLED_FROM, umask $(umask), limit $(ulimit -f), input $(readlink /proc/self/fd/0 | tr -d '0-9[]')"
echo words on standard error >&2
exit 7
`

/** A machine with Seeder's scripts in /root/seeder/scripts, a GitHub that answers, and an archive of the runner. */
export class RunnerHost implements AsyncDisposable {
  readonly machine: Machine
  /** Of the archive /shared/actions-runner-linux-x64-2.337.0.tar.gz. */
  readonly digest: string
  readonly #github: string
  #jobs = 0

  private constructor(machine: Machine, digest: string) {
    this.machine = machine
    this.digest = digest
    this.#github = path.join(machine.shared, 'github')
  }

  static async prepare(): Promise<RunnerHost> {
    const machine = await Machine.boot()
    try {
      const { shared } = machine
      const github = path.join(shared, 'github')
      await mkdir(github)
      for (const file of ['server.key', 'server.crt'])
        await copyFile(path.join(shared, file), path.join(github, file))
      await writeFile(path.join(shared, 'token'), `${TOKEN}\n`)
      await writeFile(path.join(shared, 'deploy.sh'), DEPLOY, { mode: 0o755 })
      await copyFile(path.join(SCRIPTS, 'runner.sh'), path.join(shared, 'runner.sh'))
      const host = new RunnerHost(machine, await makeArchive(shared, VERSION))
      await machine.read(
        'mkdir -p ~/seeder/scripts /etc/pve/nodes/pve1; ln -s nodes/pve1 /etc/pve/local; cp /shared/*.sh ~/seeder/scripts; groupadd --system kvm; true',
      )
      await host.startGitHub()
      return host
    } catch (error) {
      await machine[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]()
  }

  async startGitHub(): Promise<void> {
    const node = '/checkout/node_modules/node/bin/node'
    await this.machine.read(
      `rm -f /shared/github/ready; systemd-run --quiet --unit=github ${node} /checkout/test/support/host/github.ts /shared/github`,
    )
    await this.machine.until('[ -e /shared/github/ready ]')
  }

  get archive(): string[] {
    return ['--archive', `/shared/actions-runner-linux-x64-${VERSION}.tar.gz`, '--sha256', this.digest]
  }

  /** Another version of the runner, seen as /shared/actions-runner-linux-x64-VERSION.tar.gz; its digest. */
  addArchive(version: string): Promise<string> {
    return makeArchive(this.machine.shared, version)
  }

  /** Runs the checkout's runner.sh. */
  runner(...argv: readonly string[]): Promise<Ran> {
    return this.machine.run(['/root/seeder/scripts/runner.sh', ...argv])
  }

  /** Installs the runner with what it needs; rejects when that fails. */
  async install(...argv: readonly string[]): Promise<string> {
    const { exitCode, all } = await this.runner('install', ...INSTALL, ...this.archive, ...argv)
    if (exitCode !== 0) throw new Error(all)
    return all
  }

  /** Has GitHub refuse the next requests to make a runner, one after the other. */
  async refuse(...refusals: readonly Refusal[]): Promise<void> {
    await writeFile(path.join(this.#github, 'refusals'), JSON.stringify(refusals))
  }

  async requests(): Promise<z.infer<typeof requestSchema>[]> {
    const lines = await readFile(path.join(this.#github, 'requests'), 'utf8').catch(() => '')
    return lines
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => requestSchema.parse(JSON.parse(line)))
  }

  /** Puts an archive where it is downloaded from. */
  async release(version: string): Promise<void> {
    const name = `actions-runner-linux-x64-${version}.tar.gz`
    await copyFile(path.join(this.machine.shared, name), path.join(this.#github, name))
  }

  /** Waits until a runner waits for a job. */
  async idle(): Promise<void> {
    await this.machine.until(
      'pgrep -U seeder-runner -x Runner.Listener && ! pgrep -U seeder-runner -x Runner.Worker',
    )
  }

  /** Gives the waiting runner a job and returns what it prints. */
  async job(script: string): Promise<string[]> {
    const name = await this.beginJob(script)
    await this.machine.until(`journalctl --output cat | grep -qx '${name} ends'`)
    const lines = (await this.machine.read('journalctl --output cat --identifier run.sh')).split('\n')
    return lines.slice(lines.indexOf(`${name} begins`) + 1, lines.indexOf(`${name} ends`))
  }

  /** Gives the waiting runner a job, and returns when the job has begun. */
  async beginJob(script: string): Promise<string> {
    await this.idle()
    const name = `job-${++this.#jobs}`
    const file = path.join(this.machine.shared, 'job')
    await writeFile(`${file}.new`, `echo ${name} begins\n${script}\necho ${name} ends\n`)
    await chmod(`${file}.new`, 0o644)
    await this.machine.read('mv /shared/job.new /shared/job')
    await this.machine.until(`journalctl --output cat | grep -qx '${name} begins'`)
    await rm(file)
    return name
  }
}

async function makeArchive(folder: string, version: string): Promise<string> {
  const program = path.join(folder, `program-${version}`)
  for (const [name, text] of Object.entries({ ...PROGRAM, version })) {
    const file = path.join(program, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text, { mode: 0o755 })
  }
  const archive = path.join(folder, `actions-runner-linux-x64-${version}.tar.gz`)
  await execa('tar', ['--create', '--gzip', '--file', archive, '--directory', program, '.'])
  return createHash('sha256')
    .update(await readFile(archive))
    .digest('hex')
}
