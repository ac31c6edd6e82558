import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { expression } from '../../support/expression.ts'
import { checkout } from '../../support/seeder.ts'
import { parseWorkflow, readWorkflow, type Workflow } from '../../support/workflow/file.ts'
import { powersOf, strangersOf } from '../../support/workflow/rights.ts'

/**
 * No job has a secret, or a token that writes, and runs what a pull request, a tag or a package brought. Of every job of every
 * workflow both are computed.
 */
const names = await readdir(join(checkout, '.github/workflows'))

/** The jobs that have both, each with what it has and what it runs. */
function mixed(workflow: Workflow): Record<string, { powers: string[]; strangers: string[] }> {
  const found = Object.entries(workflow.jobs).map(([name, job]) => {
    const [powers, strangers] = [powersOf(workflow, job), strangersOf(workflow, job)]
    return powers.length > 0 && strangers.length > 0 ? { [name]: { powers, strangers } } : {}
  })
  return Object.assign({}, ...found)
}

describe('no job with a secret or a token that writes runs what somebody else brought', () => {
  it.each(names)('%s', async (name) => {
    expect(mixed(await readWorkflow(name))).toEqual({})
  })

  it('and the keys are where they are thought to be', async () => {
    const keys: string[] = []
    for (const name of names) {
      for (const [job, content] of Object.entries((await readWorkflow(name)).jobs)) {
        const powers = powersOf(await readWorkflow(name), content).filter((power) =>
          /^(secret|env)/.test(power),
        )
        keys.push(...powers.map((power) => `${name} ${job}: ${power}`))
      }
    }
    expect(keys.sort()).toEqual([
      'confirm.yml confirm: environment confirmation',
      'confirm.yml confirm: secret SEEDER_CONFIRMATION_KEY',
      'release.yml publish: environment release',
      'release.yml publish: secret SEEDER_SIGNING_KEY',
    ])
  })

  it('README.md: so does who copies its workflow, but for the comment on a pull request', async () => {
    const [, text = ''] =
      /^```yaml\n(on: .*?)^```$/ms.exec(await readFile(join(checkout, 'README.md'), 'utf8')) ?? []
    const { jobs, ...rest } = parseWorkflow(text)
    const found = Object.entries(jobs).flatMap(([name, job]) => {
      const powers = powersOf({ jobs, ...rest }, job)
      const strangers = strangersOf({ jobs, ...rest }, job)
      return strangers.length > 0 ? [[name, powers]] : []
    })
    expect(found).toEqual([['build', ['may write pull-requests']]])
  })
})

describe('what a key is beside', () => {
  const scriptsOf = async (name: string) =>
    Object.values((await readWorkflow(name)).jobs).flatMap(({ steps = [] }) =>
      steps.map(({ run = '' }) => run),
    )

  it.each(names)(
    '%s: no expression is pasted into a script, where it would be a part of it',
    async (name) => {
      const scripts = await scriptsOf(name)
      expect(scripts.filter((script) => script.includes('${{'))).toEqual([])
    },
  )

  it.each(names)('%s: no step writes the environment of those after it', async (name) => {
    const scripts = await scriptsOf(name)
    expect(scripts.filter((script) => /GITHUB_(ENV|PATH)\b/.test(script))).toEqual([])
  })

  it.each(names)(
    '%s: nothing starts it with the rights of the default branch and the files of another',
    async (name) => {
      const { on } = await readWorkflow(name)
      expect(JSON.stringify(on)).not.toMatch(/pull_request_target|workflow_run|issue_comment/)
    },
  )

  it.each(names)('%s: a key is on a machine of GitHub’s, where no other job ever ran', async (name) => {
    const workflow = await readWorkflow(name)
    for (const job of Object.values(workflow.jobs)) {
      if (powersOf(workflow, job).length > 0 && job.uses === undefined) {
        expect(job['runs-on']).toBe('ubuntu-latest')
      }
    }
  })

  it('who edits a release starts no deploy: it is promoted first, by whoever may', async () => {
    const starts = new Map<string, string[]>()
    for (const name of names) starts.set(name, Object.keys((await readWorkflow(name)).on))
    expect(starts.get('deploy.yml')).toEqual(['workflow_dispatch', 'workflow_call'])
    expect([...starts].filter(([, events]) => events.includes('release')).map(([name]) => name)).toEqual([
      'promote.yml',
    ])
    const { jobs } = await readWorkflow('promote.yml')
    expect(jobs.promote?.environment).toBe('promotion')
    expect(jobs.deploy?.needs).toBe('promote')
  })
})

describe('it would find', () => {
  const branch = 'on: { push: { branches: [main] } }\npermissions: {}\n'
  const key = `with: { signing-key: "\${{ secrets.KEY }}" }`
  const of = (text: string) => mixed(parseWorkflow(text))

  it.each<[string, string]>([
    [
      'a tag that is checked out',
      `${branch}jobs:\n  a:\n    steps:\n      - uses: actions/checkout@x\n        with: { ref: "\${{ inputs.tag }}" }\n      - { uses: $/seeder, ${key} }`,
    ],
    [
      'a build beside the key',
      `${branch}jobs:\n  a:\n    steps:\n      - { uses: $/seeder, with: { command: build } }\n      - { uses: $/seeder, ${key} }`,
    ],
    [
      'a build by OWNER’s action, in a list of commands',
      `${branch}jobs:\n  a:\n    steps:\n      - { uses: OWNER/seeder@x, with: { command: lock build test } }\n      - { uses: $/seeder, ${key} }`,
    ],
    [
      'a build in a script',
      `${branch}jobs:\n  a:\n    environment: confirmation\n    steps:\n      - run: scripts/seeder -C x build haproxy --out out`,
    ],
    [
      'packages',
      `${branch}jobs:\n  a:\n    environment: { name: release }\n    steps:\n      - run: sudo apt-get install jq`,
    ],
    ['npm', `${branch}jobs:\n  a:\n    permissions: { contents: write }\n    steps:\n      - run: npm ci`],
    [
      'a cache',
      `${branch}jobs:\n  a:\n    permissions: { id-token: write }\n    steps:\n      - uses: actions/setup-node@x\n        with: { cache: npm }`,
    ],
    ['a container', `${branch}jobs:\n  a:\n    container: debian\n    env: { KEY: "\${{ secrets.KEY }}" }`],
    ['all secrets', `${branch}jobs:\n  a:\n    container: debian\n    secrets: inherit`],
    [
      'a secret by a name that is computed',
      `${branch}jobs:\n  a:\n    container: debian\n    env: { KEY: "\${{ secrets[inputs.key] }}" }`,
    ],
    [
      'the environment of the workflow',
      `${branch}env: { KEY: "\${{ secrets.KEY }}" }\njobs:\n  a:\n    container: debian`,
    ],
    [
      'permissions that nobody named',
      `on: pull_request\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@x`,
    ],
    [
      'permissions of the workflow',
      `on: pull_request\npermissions: { contents: write }\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@x`,
    ],
    [
      'the program of a pull request',
      `on: pull_request\npermissions: {}\njobs:\n  a:\n    permissions: { pull-requests: write }\n    steps:\n      - uses: $/seeder`,
    ],
    [
      'the program of a tag',
      `on: { push: { tags: ['promote/*'] } }\npermissions: {}\njobs:\n  a:\n    permissions: { contents: write }\n    steps:\n      - uses: $/seeder`,
    ],
    [
      'the program of a release’s tag',
      `on: { release: { types: [released] } }\npermissions: {}\njobs:\n  a:\n    permissions: { contents: write }\n    steps:\n      - uses: $/seeder`,
    ],
    [
      'any branch that is pushed',
      `on: push\npermissions: {}\njobs:\n  a:\n    permissions: { contents: write }\n    steps:\n      - uses: $/seeder`,
    ],
    [
      'a program from what was checked out of a pull request',
      `on: pull_request\npermissions: {}\njobs:\n  a:\n    permissions: { contents: write }\n    steps:\n      - { uses: actions/checkout@x, with: { ref: "\${{ github.head_ref }}" } }\n      - uses: ./seeder`,
    ],
  ])('%s', (_what, text) => {
    expect(Object.keys(of(text))).toEqual(['a'])
  })

  it('nothing in a job that reads, nor in one that takes the default branch’s program', () => {
    const ref = expression('github.event.repository.default_branch')
    expect(
      of(
        `on: pull_request\npermissions: {}\njobs:\n  a:\n    container: debian\n    permissions: { contents: read }\n  b:\n    permissions: { contents: write }\n    steps:\n      - { uses: actions/checkout@x, with: { ref: "${ref}" } }\n      - uses: ./seeder`,
      ),
    ).toEqual({})
  })
})
