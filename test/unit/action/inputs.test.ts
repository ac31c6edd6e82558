import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import { inputNames } from '../../../src/action/input-schemas.ts'
import { readInputs } from '../../../src/action/inputs.ts'
import { UsageError } from '../../../src/report/error.ts'
import { checkout } from '../../support/seeder.ts'

/** The environment that the runner makes of `with:`; every missing input is empty. */
function environment(given: Record<string, string>): NodeJS.ProcessEnv {
  return Object.fromEntries(inputNames.map((name) => [`INPUT_${name.toUpperCase()}`, given[name] ?? '']))
}

function refused(given: Record<string, string>): string {
  try {
    readInputs({ ...environment(given), RUNNER_TEMP: '/temp' })
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as UsageError).message
  }
  throw new Error('it was accepted')
}

test('inputs become values; an empty input is missing', () => {
  expect(
    readInputs(
      environment({ command: 'deploy', tag: 'haproxy-3.0.11-1', version: 'promoted', 'dry-run': 'true' }),
    ),
  ).toEqual([
    {
      command: 'deploy',
      tag: { image: 'haproxy', version: '3.0.11-1' },
      version: 'promoted',
      'dry-run': true,
    },
  ])
  expect(readInputs(environment({ command: 'test', directory: 'out/a\n  out/b\n' }))).toEqual([
    { command: 'test', directory: ['out/a', 'out/b'] },
  ])
})

describe('several commands', () => {
  it('each get their inputs, in order', () => {
    const given = { command: 'build  test comment', image: 'etcd', artifact: 'true', line: '3.6' }
    expect(readInputs({ ...environment(given), RUNNER_TEMP: '/temp' })).toEqual([
      { command: 'build', image: 'etcd', line: '3.6' },
      { command: 'test', image: 'etcd', artifact: true },
      { command: 'comment', directory: ['/temp'] },
    ])
  })

  it('do not share a folder with the comment', () => {
    const given = { command: 'test comment', directory: 'out/a', artifact: 'true' }
    expect(readInputs({ ...environment(given), RUNNER_TEMP: '/temp' })).toEqual([
      { command: 'test', directory: ['out/a'], artifact: true },
      { command: 'comment', directory: ['/temp'] },
    ])
  })

  it('use the pushed tag', () => {
    const pushed = {
      GITHUB_EVENT_NAME: 'push',
      GITHUB_REF_TYPE: 'tag',
      GITHUB_REF_NAME: 'promote/etcd-3.7.2-1',
    }
    const tag = { image: 'etcd', version: '3.7.2-1' }
    expect(readInputs({ ...environment({ command: 'promote deploy' }), ...pushed })).toEqual([
      { command: 'promote', tag },
      { command: 'deploy', tag },
    ])
    const named = { command: 'publish promote deploy', image: 'etcd' }
    expect(readInputs({ ...environment(named), ...pushed })).toEqual([
      { command: 'publish', image: 'etcd' },
      { command: 'promote', tag },
      { command: 'deploy', tag },
    ])
    expect(readInputs({ ...environment({ command: 'deploy', image: 'etcd' }), ...pushed })).toEqual([
      { command: 'deploy', image: 'etcd' },
    ])
    const refusals: [string, Record<string, string>][] = [
      ['demote', pushed],
      ['demote deploy', pushed],
      ['promote', { ...pushed, GITHUB_EVENT_NAME: 'workflow_dispatch' }],
      ['promote', { ...pushed, GITHUB_REF_TYPE: 'branch' }],
      ['promote', { ...pushed, GITHUB_REF_NAME: 'v1.0' }],
    ]
    for (const [command, env] of refusals) {
      expect(() => readInputs({ ...environment({ command }), ...env }), command).toThrow('tag: missing')
    }
  })

  it('are about one release', () => {
    const given = { command: 'publish promote deploy', image: 'etcd', tag: 'etcd-3.7.2-1' }
    const tag = { image: 'etcd', version: '3.7.2-1' }
    expect(readInputs(environment(given))).toEqual([
      { command: 'publish', image: 'etcd' },
      { command: 'promote', tag },
      { command: 'deploy', tag },
    ])
    expect(readInputs(environment({ command: 'demote deploy', tag: 'etcd-3.7.2-1' }))).toEqual([
      { command: 'demote', tag },
      { command: 'deploy', tag, version: 'promoted' },
    ])
  })

  it('build into the folder that the others use', () => {
    const given = { command: 'build test', image: 'etcd', directory: 'out/x' }
    expect(readInputs(environment(given))).toEqual([
      { command: 'build', image: 'etcd', directory: ['out/x'] },
      { command: 'test', directory: ['out/x'] },
    ])
  })

  it.each<[Record<string, string>, string]>([
    [{ command: 'build test comment', image: 'etcd' }, 'artifact: missing; the comment after a test needs'],
    [{ command: 'comment test', image: 'etcd', artifact: 'true' }, 'command: comment comes after test'],
    [
      { command: 'test comment', directory: 'a\nb', artifact: 'true' },
      'directory: the comment is for one image',
    ],
    [
      { command: 'publish promote', image: 'etcd', tag: 'haproxy-3.0.11-1' },
      'tag: is of haproxy, but the step publishes etcd',
    ],
    [{ command: 'build test' }, 'an input is wrong: image: missing; add it'],
    // The key would be available to the scripts of every package.
    [
      { command: 'build publish', image: 'etcd', 'signing-key': 'k' },
      'signing-key: is not for a step with build',
    ],
    [
      { command: 'test publish', directory: 'out', 'signing-key': 'k' },
      'signing-key: is not for a step with test',
    ],
  ])('%j is refused', (given, message) => {
    expect(refused(given)).toContain(message)
  })
})

describe('refused', () => {
  it.each<[Record<string, string>, string]>([
    [{}, 'command: missing; add it: use one of lock, plan, build'],
    [{ command: 'bild' }, 'command: found "bild"; did you mean build?'],
    [{ command: 'build bild' }, 'command: found "bild"; did you mean build?'],
    [{ command: 'build test build' }, 'command: build is there twice; remove one'],
    [
      { command: 'build test', image: 'etcd', tag: 'x' },
      'tag: is not for build, test but for confirm, promote, demote, deploy; remove it',
    ],
    [{ command: 'build' }, 'image: missing; add it (text)'],
    [{ command: 'build', image: '../x' }, 'image: found "../x"; give lower-case letters'],
    [
      { command: 'build', image: 'etcd', storage: 'x' },
      'storage: is not for build but for deploy; remove it',
    ],
    [{ command: 'build', image: 'etcd', directory: 'a\nb' }, 'directory: give one folder'],
    [{ command: 'build', image: 'etcd', cache: 'no' }, 'cache: found "no"; use one of true, false'],
    [{ command: 'test' }, 'image: missing; give image or directory'],
    [{ command: 'test', image: 'etcd', directory: 'out' }, 'image: contradicts directory'],
    [
      { command: 'test', image: 'etcd', 'retention-days': '900' },
      'retention-days: found "900"; give a number',
    ],
    [
      { command: 'publish', image: 'etcd', unsigned: 'true', 'signing-key': 'k' },
      'signing-key: contradicts unsigned',
    ],
    [
      { command: 'test', image: 'etcd', 'known-exploited': 'kev.json' },
      'known-exploited: needs vulnerability-feed',
    ],
    [
      { command: 'test', directory: 'a\nb', 'vulnerability-feed': 'feed.json' },
      'vulnerability-feed: is for one image',
    ],
    [
      { command: 'build', image: 'etcd', 'vulnerability-feed': 'feed.json' },
      'vulnerability-feed: is not for build but for test',
    ],
    [
      {
        command: 'confirm',
        tag: 'etcd-3.6.1-1',
        digest: 'x',
        'lock-digest': 'a'.repeat(64),
        'signing-key': 'k',
      },
      'digest: found "x"; give a sha256, 64 hex digits',
    ],
    [{ command: 'confirm', tag: 'etcd-3.6.1-1' }, 'signing-key: missing; add it'],
    [{ command: 'promote', tag: 'etcd' }, 'tag: found "etcd"; give IMAGE-VERSION'],
    [
      { command: 'promote', tag: 'etcd-3.6.1-1', 'allow-unsigned': 'true', 'allowed-signers': 'f' },
      'allowed-signers: contradicts allow-unsigned',
    ],
    [{ command: 'deploy' }, 'image: missing; give image or tag'],
    [
      { command: 'deploy', image: 'etcd', version: 'newest' },
      'version: found "newest"; give promoted, candidate',
    ],
    [
      { command: 'deploy', tag: 'etcd-3.6.1-1', version: '3.6.1-2' },
      'version: 3.6.1-2 is not that of the tag',
    ],
    [{ command: 'status', repository: 'seeder' }, 'repository: found "seeder"; give OWNER/NAME'],
  ])('%j', (given, message) => {
    expect(refused(given)).toContain(message)
  })

  it('with every problem in one error', () => {
    expect(
      refused({ command: 'deploy', image: 'X', matrix: '{}', 'dry-run': 'maybe' }).split('\n'),
    ).toHaveLength(3)
  })

  it('except inputs that repeat each other without a contradiction', () => {
    const unsigned = { command: 'publish', image: 'etcd', unsigned: 'false', 'signing-key': 'k' }
    expect(readInputs(environment(unsigned))).toMatchObject([{ unsigned: false }])
    const twice = { command: 'deploy', tag: 'etcd-3.6.1-1', version: '3.6.1-1' }
    expect(readInputs(environment(twice))).toMatchObject([{ version: '3.6.1-1' }])
  })
})

test.each(['action.yml', '.github/actions/seeder/action.yml'])(
  '%s has these inputs, each described',
  async (file) => {
    const { inputs } = parse(await readFile(join(checkout, file), 'utf8'))
    const own = Object.keys(inputs).filter((name) => name !== 'attest')
    expect(own.sort()).toEqual([...inputNames].sort())
    for (const [name, { description }] of Object.entries<{ description: string }>(inputs)) {
      expect(description, name).toMatch(/\w{3}/)
    }
  },
)

test('docs/github.md has every input, and every output of the action', async () => {
  const docs = await readFile(join(checkout, 'docs/github.md'), 'utf8')
  const { outputs } = parse(await readFile(join(checkout, 'action.yml'), 'utf8'))
  for (const name of [...inputNames, ...Object.keys(outputs), 'attest']) {
    expect(docs, name).toMatch(new RegExp(`^\\|.*\`${name}\`.*\\|$`, 'm'))
  }
})
