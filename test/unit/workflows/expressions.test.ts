import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { evaluate, expression, type Value } from '../../support/expression.ts'
import { checkout } from '../../support/seeder.ts'

/** What decides in the workflows, evaluated by GitHub's own evaluator. */
const workflow = async (name: string) =>
  parse(await readFile(join(checkout, '.github/workflows', name), 'utf8'))

const pull = (fork: boolean) => ({
  github: {
    repository: 'operator/platform',
    event: {
      pull_request: { head: { repo: { full_name: fork ? 'stranger/platform' : 'operator/platform' } } },
    },
  },
})
const planned = (changed: string) => ({
  plan: { result: 'success', outputs: { changed, matrix: '{"include":[{"image":"haproxy"}]}' } },
})

describe('images.yml', async () => {
  const { jobs } = await workflow('images.yml')

  it.each([
    [false, 'true', { build: true, comment: true, fork: false }],
    [false, 'false', { build: false, comment: true, fork: false }],
    [true, 'true', { build: false, comment: false, fork: true }],
    [true, 'false', { build: false, comment: false, fork: false }],
  ])('from a fork %s, an image changed %s: %j', (fork, changed, expected) => {
    const contexts = { ...pull(fork), needs: planned(changed) }
    const decided = Object.keys(expected).map((job) => [job, evaluate(jobs[job].if, contexts)])
    expect(Object.fromEntries(decided)).toEqual(expected)
  })

  it('nothing of a deleted fork is built: there is no repository to compare with', () => {
    const github = { repository: 'operator/platform', event: { pull_request: { head: { repo: null } } } }
    expect(evaluate(jobs.build.if, { github, needs: planned('true') })).toBe(false)
  })

  it('only the guarded job is on the self-hosted runner', () => {
    const own = Object.entries<{ 'runs-on': string | string[] }>(jobs).filter(
      ([, job]) => job['runs-on'] !== 'ubuntu-latest',
    )
    expect(own.map(([name]) => name)).toEqual(['build'])
  })

  it('the comment is not written when the run was cancelled, nor without a plan', () => {
    expect(evaluate(jobs.comment.if, { ...pull(false), needs: planned('true') }, true)).toBe(false)
    const needs = { plan: { result: 'failure', outputs: { changed: '' } } }
    expect(evaluate(jobs.comment.if, { ...pull(false), needs })).toBe(false)
  })

  it('the matrix is the plan', () => {
    expect(evaluate(jobs.build.strategy.matrix, { needs: planned('true') })).toEqual({
      include: [{ image: 'haproxy' }],
    })
  })
})

describe('release.yml', async () => {
  const { jobs } = await workflow('release.yml')

  it('publishes what could be built, also when another image could not, and not when it was cancelled', () => {
    const needs = { plan: { outputs: { changed: 'true' } }, build: { result: 'failure' } }
    expect(evaluate(jobs.publish.if, { needs })).toBe(true)
    expect(evaluate(jobs.publish.if, { needs }, true)).toBe(false)
    expect(evaluate(jobs.publish.if, { needs: { plan: { outputs: { changed: '' } } } })).toBe(false)
    expect(jobs.publish.strategy.matrix).toBe(jobs.build.strategy.matrix)
  })

  it('attests in public repositories, or where it is requested', () => {
    const step = jobs.publish.steps.find(({ uses = '' }) => uses.startsWith('actions/attest@'))
    const attests = (visibility: string, vars: Record<string, string>) =>
      evaluate(step.if, { github: { event: { repository: { visibility } } }, vars })
    expect([
      attests('public', {}),
      attests('private', {}),
      attests('private', { SEEDER_ATTEST: 'true' }),
    ]).toEqual([true, false, true])
    expect(step['continue-on-error']).toBe(true)
  })

  it('gives the key to the step that publishes, and to no other', async () => {
    const text = await readFile(join(checkout, '.github/workflows/release.yml'), 'utf8')
    expect(text.match(/secrets\./g)).toHaveLength(1)
    const step = jobs.publish.steps.find(
      (one: { with?: { command?: string } }) => one.with?.command === 'publish',
    )
    expect(step.with['signing-key']).toBe(expression('secrets.SEEDER_SIGNING_KEY'))
    expect(jobs.publish.environment).toBe('release')
  })
})

describe('promote.yml', async () => {
  const { jobs } = await workflow('promote.yml')
  const [, step] = jobs.promote.steps

  it.each([
    [false, 'promote'],
    [true, 'demote'],
  ])('demote %s: %s', (demote, command) => {
    expect(evaluate(step.with.command, { inputs: { demote } })).toBe(command)
  })

  it('is about the tag that was given, or that was pushed', () => {
    const given = [jobs.promote.steps[1].with.tag, jobs.deploy.with.tag]
    const about = (inputs: Record<string, string>, pushed: string) =>
      given.map((one) => evaluate(one, { inputs, github: { ref_name: pushed } }))
    expect(about({ tag: 'etcd-3.6.1-1' }, 'main')).toEqual(['etcd-3.6.1-1', 'etcd-3.6.1-1'])
    expect(about({}, 'promote/etcd-3.6.1-1')).toEqual(['promote/etcd-3.6.1-1', 'promote/etcd-3.6.1-1'])
    // A release that was made a full one on the web page.
    expect(about({}, 'etcd-3.6.1-1')).toEqual(['etcd-3.6.1-1', 'etcd-3.6.1-1'])
  })

  it('trusts the default branch, its program too, and waits for an approval', () => {
    expect(jobs.promote.steps[1].uses).toBe('./.github/actions/seeder')
    expect(jobs.promote.steps[0].with.ref).toBe(expression('github.event.repository.default_branch'))
    expect(jobs.promote.environment).toBe('promotion')
  })

  it('deploys nothing when nothing is promoted any more', () => {
    const deploys = (version: string) =>
      evaluate(jobs.deploy.if, { needs: { promote: { outputs: { version } } } })
    expect([deploys('3.0.11-1'), deploys('')]).toEqual([true, false])
  })
})

describe('deploy.yml', async () => {
  const { jobs } = await workflow('deploy.yml')
  const { deploy, nowhere } = jobs
  const [{ with: given }] = deploy.steps
  const vars = { SEEDER_NODES: '["pve1","pve2"]' }

  it.each<[Value, Value, string[]]>([
    [{}, vars, ['pve1', 'pve2']],
    [{ node: '' }, vars, ['pve1', 'pve2']],
    [{ node: 'pve3' }, vars, ['pve3']],
    [{ node: 'pve3' }, {}, ['pve3']],
    [{ node: 'a"],["b' }, vars, ['a"],["b']],
  ])('inputs %j, variables %j: %j', (inputs, variables, nodes) => {
    const contexts = { inputs, vars: variables }
    expect(evaluate(deploy.if, contexts)).toBe(true)
    expect(evaluate(deploy.strategy.matrix.node, contexts)).toEqual(nodes)
  })

  it('says so when no host is named', () => {
    const contexts = { inputs: {}, vars: {} }
    expect([evaluate(deploy.if, contexts), evaluate(nowhere.if, contexts)]).toEqual([false, true])
    expect(evaluate(nowhere.if, { inputs: {}, vars })).toBe(false)
  })

  it.each<[string, Value, Value, object]>([
    [
      'dispatched',
      { image: 'etcd', version: 'candidate', 'dry-run': true },
      { event: {} },
      { tag: '', version: 'candidate', dry: 'true' },
    ],
    [
      'called by promote.yml',
      { image: '', tag: 'etcd-3.6.1-1', version: 'promoted', 'dry-run': false },
      { event: {} },
      { tag: 'etcd-3.6.1-1', version: 'promoted', dry: '' },
    ],
  ])('%s', (_, inputs, github, expected) => {
    const contexts = { inputs, github }
    expect({
      tag: evaluate(given.tag, contexts),
      version: evaluate(given.version, contexts),
      dry: evaluate(given['dry-run'], contexts),
    }).toEqual(expected)
  })

  it('is never stopped half-way, and one at a time on a host', () => {
    expect(deploy.concurrency).toEqual({
      group: `proxmox-${expression('matrix.node')}`,
      'cancel-in-progress': false,
      queue: 'max',
    })
    expect(deploy.environment).toBe('proxmox')
  })
})

describe('the workflow of the README', async () => {
  const readme = await readFile(join(checkout, 'README.md'), 'utf8')
  const { jobs } = parse(/^```yaml\n(on: .*?)^```$/ms.exec(readme)?.[1] ?? '')

  it.each<[string, { readonly [key: string]: Value }, string[]]>([
    ['a pull request', { ref: 'refs/pull/7/merge', ref_type: 'branch', ...pull(false).github }, ['build']],
    ['a pull request of a fork', { ref: 'refs/pull/7/merge', ref_type: 'branch', ...pull(true).github }, []],
    ['what is merged', { ref: 'refs/heads/main', ref_type: 'branch', event: {} }, ['build', 'publish']],
    ['a tag', { ref: 'refs/tags/promote/haproxy-3.0.11-1', ref_type: 'tag', event: {} }, ['promote']],
  ])('%s', (_what, github, expected) => {
    const contexts = { github: { repository: 'operator/platform', ...github } }
    const own = Object.keys(jobs).filter((name) => jobs[name].if !== undefined)
    expect(own.filter((name) => evaluate(jobs[name].if, contexts) === true)).toEqual(expected)
    expect([jobs.publish.needs, jobs.deploy.needs]).toEqual(['build', 'promote'])
  })
})

describe('action.yml', async () => {
  const { runs } = parse(await readFile(join(checkout, 'action.yml'), 'utf8'))
  const [, attest, notice] = runs.steps

  it.each([
    ['publish', '', 'public', 'push', true, false],
    ['publish', '', 'private', 'push', false, true],
    ['publish', 'true', 'private', 'push', true, false],
    ['publish', 'false', 'public', 'push', false, false],
    ['publish', '', 'public', 'pull_request', false, false],
    ['publish promote deploy', '', 'public', 'push', true, false],
    ['build test', 'true', 'public', 'push', false, false],
  ])(
    '%s with attest %j in a %s repository on %s',
    (command, wish, visibility, event_name, attests, reports) => {
      const contexts = {
        inputs: { command, attest: wish },
        github: { event_name, event: { repository: { visibility } } },
      }
      expect(evaluate(attest.if, contexts)).toBe(attests)
      const steps = { attest: { outcome: attests ? 'success' : 'skipped' } }
      expect(evaluate(notice.if, { ...contexts, steps })).toBe(reports)
    },
  )

  it('a failed attestation is reported and makes nothing red', () => {
    const github = { event_name: 'push', event: { repository: { visibility: 'public' } } }
    const steps = { attest: { outcome: 'failure' } }
    expect(evaluate(notice.if, { inputs: { command: 'publish', attest: '' }, github, steps })).toBe(true)
    expect(attest['continue-on-error']).toBe(true)
  })
})
