import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, describe, expect, it } from 'vitest'
import type { Argv } from '../../../src/host/commands.ts'
import {
  deployFailure,
  deployScript,
  parseDeployPolicy,
  runDeployScript,
} from '../../../src/host/deploy-script.ts'
import { deployOptions } from '../../../src/release/deploy/deploy.ts'
import { StoppedError } from '../../../src/report/error.ts'
import { testFolder } from '../../support/builds.ts'
import { checkout } from '../../support/seeder.ts'

const root = await testFolder('deploy script')
afterAll(() => rm(root, { recursive: true, force: true }))

const installed = '/usr/local/lib/seeder/deploy.sh'

describe('the command that starts deploy.sh', () => {
  it('for root: the named script, else the installed one, else that of the checkout', () => {
    const only = (path: string) => (one: string) => one === path
    expect(deployScript('/x/deploy.sh', '/co', true, () => true)).toEqual(['/x/deploy.sh'])
    expect(deployScript(undefined, '/co', true, () => true)).toEqual([installed])
    expect(deployScript(undefined, '/co', true, only('/co/scripts/deploy.sh'))).toEqual([
      '/co/scripts/deploy.sh',
    ])
    expect(() => deployScript(undefined, '/co', true, () => false)).toThrow('deploy.sh is neither at')
  })

  it('for other users: through sudo, and never that of the checkout', () => {
    expect(deployScript(undefined, '/co', false, () => false)).toEqual(['sudo', '-n', installed])
    expect(deployScript('/x/deploy.sh', '/co', false)).toEqual(['sudo', '-n', '/x/deploy.sh'])
  })

  it('has a storage as an option for root; through sudo only the policy sets it', () => {
    const asRoot: Argv = [installed]
    const asOther: Argv = ['sudo', '-n', installed]
    const policy = parseDeployPolicy('STORAGE=fast\n')
    expect(deployOptions({ storage: 'x', dryRun: true, script: asRoot }, policy)).toEqual([
      '--storage',
      'x',
      '--json',
      '--dry-run',
    ])
    expect(deployOptions({ storage: undefined, dryRun: false, script: asOther }, policy)).toEqual(['--json'])
    expect(deployOptions({ storage: 'fast', dryRun: false, script: asOther }, policy)).toEqual(['--json'])
    const refused = { storage: 'x', dryRun: false, script: asOther }
    expect(() => deployOptions(refused, policy)).toThrow('which names fast')
    expect(() => deployOptions(refused, parseDeployPolicy(''))).toThrow('which names none')
    expect(() => deployOptions(refused, undefined)).toThrow('which cannot be read')
  })
})

it('reads the policy as deploy.sh does: the first value of a key counts', () => {
  expect(parseDeployPolicy('#STORAGE=no\nSTORAGE=\nSTORAGE=fast\r\nALLOW_UNSIGNED=1\n')).toEqual({
    storage: 'fast',
    allowedSigners: '/etc/seeder/allowed_signers',
    allowUnsigned: true,
  })
})

describe('running deploy.sh', () => {
  let count = 0
  async function run(script: string, abortOn?: string) {
    const file = join(root, `script-${count++}`)
    await writeFile(file, `#!/bin/bash\n${script}\n`)
    await chmod(file, 0o755)
    const noted: string[] = []
    const stop = new AbortController()
    const note = (line: string) => {
      noted.push(line)
      if (line === abortOn) stop.abort()
    }
    const ended = runDeployScript([file, 'a b'], { note, signal: stop.signal })
    return {
      noted,
      ended: await ended.then(
        (printed) => printed,
        (error: Error) => error,
      ),
    }
  }

  it('notes its lines while it runs, and returns its output', async () => {
    expect(await run('echo one >&2; echo "{$1}"; echo "  two" >&2')).toEqual({
      noted: ['one', '  two'],
      ended: '{a b}\n',
    })
  })

  it('passes no token on', async () => {
    process.env.GITHUB_TOKEN = 'ghs_secret'
    try {
      expect((await run('env')).ended).not.toContain('ghs_secret')
    } finally {
      delete process.env.GITHUB_TOKEN
    }
  })

  it('throws the error that it printed', async () => {
    const { ended } = await run(
      'printf "deploy: no storage\\n  → name one\\ndeploy: it is undone, nothing has changed\\n" >&2; exit 1',
    )
    expect(ended).toMatchObject({ message: 'deploy: no storage', fix: 'name one' })
    expect((await run('echo odd >&2; exit 3')).ended).toMatchObject({
      message: 'deploy.sh ended with 3 and said: odd',
    })
    expect(deployFailure(['sudo: a password is required'], 1).message).toBe(
      'deploy.sh could not be started: sudo: a password is required',
    )
  })

  it('stops it, waits for its end, and reports its last message', async () => {
    const { noted, ended } = await run(
      'trap "echo deploy: it is undone, nothing has changed >&2; exit 143" TERM; echo ready >&2; while :; do sleep 0.1; done',
      'ready',
    )
    expect(ended).toBeInstanceOf(StoppedError)
    expect(ended).toMatchObject({ message: 'stopped; deploy: it is undone, nothing has changed' })
    expect(noted).toContain('deploy.sh is requested to stop')
  })

  it('stops nothing when it did not start', async () => {
    // A process of its own in a group of its own: a signal to process 0 goes to the whole group.
    const program = `
      import { runDeployScript } from ${JSON.stringify(join(checkout, 'src/host/deploy-script.ts'))}
      const stop = new AbortController()
      const ended = runDeployScript(['/nowhere/deploy.sh'], { note: console.log, signal: stop.signal })
      stop.abort()
      await ended.catch(({ message }) => console.log(message))`
    const { stdout, signal } = await execa(process.execPath, ['--input-type=module', '--eval', program], {
      detached: true,
      reject: false,
    })
    expect([signal, stdout]).toEqual([
      undefined,
      '/nowhere/deploy.sh could not be started: spawn /nowhere/deploy.sh ENOENT',
    ])
  })

  it('reports a missing script', async () => {
    const options = { note: () => {}, signal: new AbortController().signal }
    await expect(runDeployScript([join(root, 'none')], options)).rejects.toThrow('could not be started')
  })
})
