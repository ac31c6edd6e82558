import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import { checkout } from '../../support/seeder.ts'

/** The parts of a workflow or an action that are looked at here. */
interface Step {
  readonly uses?: string
  readonly with?: Readonly<Record<string, unknown>>
}
interface Job {
  readonly uses?: string
  readonly steps?: readonly Step[]
  readonly permissions?: Readonly<Record<string, string>>
  readonly 'timeout-minutes'?: number
  readonly container?: string | { readonly image: string }
  readonly services?: Readonly<Record<string, string | { readonly image: string }>>
}
interface File {
  readonly permissions?: Readonly<Record<string, string>>
  readonly jobs?: Readonly<Record<string, Job>>
  readonly runs?: { readonly steps?: readonly Step[]; readonly main?: string }
}

const folder = '.github/workflows'
const workflows = (await readdir(join(checkout, folder))).map((name) => `${folder}/${name}`)
const actions = ['action.yml', '.github/actions/seeder/action.yml']
const text = new Map<string, string>()
for (const file of [...workflows, ...actions]) text.set(file, await readFile(join(checkout, file), 'utf8'))
const parsed = (file: string): File => parse(text.get(file) ?? '')
const jobsOf = (file: string) => Object.entries(parsed(file).jobs ?? {})

function usesOf({ jobs = {}, runs }: File): string[] {
  const steps = [...Object.values(jobs).flatMap((job) => job.steps ?? []), ...(runs?.steps ?? [])]
  return [...Object.values(jobs), ...steps].flatMap(({ uses }) => uses ?? [])
}

/** What is wrong with a reference to an action or a workflow. */
function faultOf(uses: string): string | undefined {
  if (uses.startsWith('$/')) {
    const path = uses.slice(2)
    if (path === '') return 'a bare $/ is taken by no runner'
    if (path.includes('@')) return 'the commit of $/ is the one of the file itself'
    return existsSync(join(checkout, path, 'action.yml')) ? undefined : 'there is no such action'
  }
  if (uses.startsWith('./')) return existsSync(join(checkout, uses)) ? undefined : 'there is no such workflow'
  return /@[0-9a-f]{40}$/.test(uses) ? undefined : 'not pinned by a whole commit'
}

describe('what a workflow or an action uses', () => {
  it.each([...workflows, ...actions])('is there and pinned in %s', (file) => {
    expect(
      usesOf(parsed(file)).flatMap((uses) => (faultOf(uses) ? [`${uses}: ${faultOf(uses)}`] : [])),
    ).toEqual([])
  })

  it('would be refused otherwise', () => {
    expect(
      ['$/', '$/.github/actions/seeder@v1', '$/.github/actions/seder', './x.yml', 'actions/checkout@v7'].map(
        faultOf,
      ),
    ).toEqual([
      'a bare $/ is taken by no runner',
      'the commit of $/ is the one of the file itself',
      'there is no such action',
      'there is no such workflow',
      'not pinned by a whole commit',
    ])
  })

  it('has its version behind the commit, and one commit for a version', () => {
    const all = [...text.values()].join('\n')
    const pins = [...all.matchAll(/uses: ([\w./-]+)@([0-9a-f]{40})(.*)/g)]
    expect(pins.length).toBeGreaterThan(5)
    for (const [, , , comment] of pins) expect(comment).toMatch(/^ # v\d+\.\d+\.\d+$/)
    const commits = new Map<string, Set<string>>()
    for (const [, name = '', commit = ''] of pins)
      commits.set(name, (commits.get(name) ?? new Set()).add(commit))
    for (const [name, found] of commits) expect([name, found.size]).toEqual([name, 1])
  })
})

test('the JavaScript action starts a bundle that scripts/bundle.ts makes', async () => {
  const main = parsed('.github/actions/seeder/action.yml').runs?.main ?? ''
  expect(join('.github/actions/seeder', main)).toBe('dist/action/index.js')
  expect(await readFile(join(checkout, 'scripts/bundle.ts'), 'utf8')).toContain("folder: 'action'")
})

test('the root action hands every input on, and every output back', () => {
  const [root, inner] = actions.map((file) => parse(text.get(file) ?? ''))
  const [{ with: handed }] = root.runs.steps
  for (const [name, { description }] of Object.entries<{ description: string }>(inner.inputs)) {
    expect(handed[name]).toBe(`\${{ inputs.${name} }}`)
    expect(description).toBe(root.inputs[name].description)
  }
  for (const name of Object.keys(inner.outputs)) {
    expect(root.outputs[name].value).toBe(`\${{ steps.seeder.outputs.${name} }}`)
  }
})

describe('every container', () => {
  const imagesOf = (file: string) =>
    jobsOf(file).flatMap(([, { container, services = {} }]) =>
      [container, ...Object.values(services)].flatMap((one) =>
        one === undefined ? [] : [typeof one === 'string' ? one : one.image],
      ),
    )

  it.each(workflows)('of %s is named by its digest: a tag is what the registry says today', (file) => {
    expect(imagesOf(file).filter((image) => !/@sha256:[0-9a-f]{64}$/.test(image))).toEqual([])
  })

  it('is there, and one digest for a tag', () => {
    const images = workflows.flatMap(imagesOf)
    expect(images.length).toBeGreaterThan(0)
    expect(new Set(images).size).toBe(new Set(images.map((image) => image.split('@')[0])).size)
  })
})

describe('every job', () => {
  it.each(workflows)('of %s gets the permissions it names, and no more', (file) => {
    expect(parsed(file).permissions).toEqual({})
  })

  it.each(workflows)('of %s ends some time', (file) => {
    const endless = jobsOf(file).filter(
      ([, job]) => job.uses === undefined && job['timeout-minutes'] === undefined,
    )
    expect(endless.map(([name]) => name)).toEqual([])
  })

  it('leaves no credentials in its checkout', () => {
    const checkouts = workflows
      .flatMap((file) => jobsOf(file).flatMap(([, job]) => job.steps ?? []))
      .filter(({ uses }) => uses?.startsWith('actions/checkout@'))
    expect(checkouts.length).toBeGreaterThan(4)
    for (const step of checkouts) expect(step.with?.['persist-credentials']).toBe(false)
  })

  it('may write only where it has to', () => {
    const writes = workflows.flatMap((file) =>
      jobsOf(file).flatMap(([name, job]) =>
        Object.entries(job.permissions ?? {})
          .filter(([, level]) => level === 'write')
          .map(([permission]) => `${file.slice(folder.length + 1)} ${name} ${permission}`),
      ),
    )
    expect(writes.sort()).toEqual([
      'confirm.yml confirm contents',
      'images.yml comment pull-requests',
      'promote.yml promote contents',
      'release.yml publish attestations',
      'release.yml publish contents',
      'release.yml publish id-token',
    ])
  })
})
