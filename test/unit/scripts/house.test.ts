import { expect, test } from 'vitest'
import { circlesOf, folderOf } from '../../../scripts/imports.ts'
import { retiredIn } from '../../../scripts/retired-words.ts'

test('a retired word is found in prose, in identifiers, and once for each time', () => {
  const text = 'The host is asked anew.\nconst askedHosts = told_by(tasks, stellar)\n'
  expect(retiredIn('a.ts', text).map(({ line, word }) => `${line} ${word}`)).toEqual([
    '1 asked',
    '1 anew',
    '2 asked',
    '2 told',
  ])
})

test('circles are found, also long ones, and a file that is only imported is none', () => {
  const graph = new Map(
    Object.entries({ a: ['b'], b: ['c', 'd'], c: ['a'], d: ['e'], e: ['d', 'outside'], f: ['a'] }).map(
      ([from, to]) => [from, new Set(to)] as const,
    ),
  )
  expect(circlesOf(graph).sort()).toEqual([
    ['a', 'b', 'c'],
    ['d', 'e'],
  ])
})

test('a file lies in the first folder below src', () => {
  expect(['src/boot-test/etcd/client.ts', 'src/cli.ts'].map(folderOf)).toEqual(['boot-test', 'cli.ts'])
})
