import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { UsageError } from '../../../src/report/error.ts'
import { loadYaml, parseYaml } from '../../../src/yaml/yaml-file.ts'

const schema = z.strictObject({
  name: z.string(),
  size: z.int().min(2).max(9),
  kind: z.enum(['alpha', 'beta']),
  parts: z.array(z.strictObject({ path: z.string(), mode: z.string().optional() })).optional(),
  source: z.union([z.int(), z.strictObject({ url: z.string() })]).optional(),
  roles: z.partialRecord(z.enum(['haproxy', 'etcd']), z.boolean()).optional(),
})
const good = 'name: a\nsize: 3\nkind: beta\n'

function errorOf(text: string): string {
  try {
    parseYaml(text, 'file.yaml', schema)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as UsageError).message
  }
  throw new Error('the text was accepted')
}

describe('parseYaml', () => {
  it('returns the value the schema makes of the text', () => {
    expect(parseYaml(good, 'file.yaml', schema).value).toEqual({ name: 'a', size: 3, kind: 'beta' })
  })

  it.each([
    ['unknown key', `${good}siez: 3\n`, 'file.yaml:4:1: siez: unknown key; did you mean size?'],
    [
      'unknown key like no other',
      `${good}zzz: 3\n`,
      'file.yaml:4:1: zzz: unknown key; use one of name, size, kind, parts, source, roles',
    ],
    [
      'nested unknown key',
      `${good}parts:\n  - path: x\n    mod: y\n`,
      'file.yaml:6:5: parts[0].mod: unknown key; did you mean mode?',
    ],
    [
      'unknown key of a record',
      `${good}roles:\n  haprxy: true\n`,
      'file.yaml:5:3: roles.haprxy: unknown key; did you mean haproxy?',
    ],
    [
      'number for text',
      'name: 1.30\nsize: 3\nkind: beta\n',
      'file.yaml:1:7: name: found 1.3, a number; put it in quotes',
    ],
    [
      'text for a number',
      'name: a\nsize: big\nkind: beta\n',
      'file.yaml:2:7: size: found "big"; give a number',
    ],
    ['a number too small', 'name: a\nsize: 1\nkind: beta\n', 'file.yaml:2:7: size: found 1; give at least 2'],
    ['a number too big', 'name: a\nsize: 10\nkind: beta\n', 'file.yaml:2:7: size: found 10; give at most 9'],
    [
      'wrong choice',
      'name: a\nsize: 3\nkind: gamma\n',
      'file.yaml:3:7: kind: found "gamma"; use one of alpha, beta',
    ],
    ['near choice', 'name: a\nsize: 3\nkind: bta\n', 'file.yaml:3:7: kind: found "bta"; did you mean beta?'],
    ['missing key', 'name: a\nkind: beta\n', 'file.yaml:1:1: size: missing; add it (a number)'],
    [
      'nested missing key',
      `${good}parts:\n  - mode: x\n`,
      'file.yaml:5:5: parts[0].path: missing; add it (text)',
    ],
    ['nothing after a key', 'name:\nsize: 3\nkind: beta\n', 'file.yaml:1:1: name: found nothing; give text'],
    [
      'nearest branch of a union',
      `${good}source: { url: 3 }\n`,
      'file.yaml:4:16: source.url: found 3, a number; put it in quotes',
    ],
    ['empty file', '', 'file.yaml:1:1: the file: found nothing; give a map of keys'],
    ['list for a map', '- 3\n', 'file.yaml:1:1: the file: found [3]; give a map of keys'],
    ['duplicate key', `${good}name: b\n`, 'file.yaml:4:1: Map keys must be unique; keep one of the two'],
    [
      'tab',
      'parts:\n\t- path: x\n',
      'file.yaml:2:1: Tabs are not allowed as indentation; indent with spaces',
    ],
    [
      'unclosed list',
      'parts: [a, b\n',
      'file.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]; align it with its siblings',
    ],
    [
      'unknown alias',
      'name: *other\n',
      'file.yaml: Unresolved alias (the anchor must be set before the alias): other; write the repeated values out',
    ],
  ])('reports %s with line, column, what was found and what would do', (_, text, message) => {
    expect(errorOf(text)).toBe(message)
  })

  it('reports all schema errors together, in the order of the file', () => {
    expect(errorOf('size: 1\nnme: a\nkind: no\nname: a\n').split('\n')).toEqual([
      'file.yaml:1:7: size: found 1; give at least 2',
      'file.yaml:2:1: nme: unknown key; did you mean name?',
      'file.yaml:3:7: kind: found "no"; use one of alpha, beta',
    ])
  })

  it('survives an alias that contains itself', () => {
    expect(errorOf('name: &loop [*loop]\nsize: 3\nkind: beta\n')).toBe(
      'file.yaml:1:1: name: found a value that contains itself; give text',
    )
  })
})

describe('a parsed file', () => {
  const yaml = parseYaml(`${good}parts:\n  - path: x\n    mode: y\n`, 'file.yaml', schema)

  it('knows where values are: scalars by value, maps and lists by key, missing ones by parent', () => {
    expect(yaml.locate(['size'])).toBe('file.yaml:2:7')
    expect(yaml.locate(['parts'])).toBe('file.yaml:4:1')
    expect(yaml.locate(['parts', 0, 'mode'])).toBe('file.yaml:6:11')
    expect(yaml.locate(['parts', 0, 'owner'])).toBe('file.yaml:5:5')
    expect(yaml.locate([])).toBe('file.yaml:1:1')
  })

  it('follows aliases', () => {
    const aliased = parseYaml('first: &x { a: 1 }\nsecond: *x\n', 'a.yaml', z.unknown())
    expect(aliased.locate(['second', 'a'])).toBe('a.yaml:1:16')
  })

  it('fails at a path', () => {
    expect(() => yaml.fail(['parts', 0, 'path'], 'parts[0].path: found x', 'write an absolute path')).toThrow(
      new UsageError('file.yaml:5:11: parts[0].path: found x; write an absolute path'),
    )
  })

  it('rejects several problems at once, in the order of the file, and none silently', () => {
    expect(() =>
      yaml.rejectAny([
        { path: ['kind'], found: 'b', fix: 'c', onKey: true },
        { path: ['name'], found: 'a', fix: 'b' },
      ]),
    ).toThrow(new UsageError('file.yaml:1:7: a; b\nfile.yaml:3:1: b; c'))
    expect(yaml.rejectAny([])).toBeUndefined()
  })
})

describe('loadYaml', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seeder yaml '))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('reads a file, also from a path with spaces', async () => {
    await writeFile(join(folder, 'a.yaml'), good)
    expect((await loadYaml(join(folder, 'a.yaml'), schema)).value.name).toBe('a')
  })

  it('says that a file is missing or a directory', async () => {
    const missing = join(folder, 'none.yaml')
    await expect(loadYaml(missing, schema)).rejects.toMatchObject({
      name: 'UsageError',
      message: `${missing}: no such file`,
      fix: 'check the path, or create the file',
    })
    await expect(loadYaml(folder, schema)).rejects.toMatchObject({
      message: `${folder}: is a directory`,
      fix: 'name the YAML file in it',
    })
  })
})
