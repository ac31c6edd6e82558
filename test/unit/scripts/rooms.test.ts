import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { roomRows, rooms } from '../../../scripts/rooms.ts'

const checkout = path.resolve(import.meta.dirname, '../../..')
const names = rooms.map(({ name }) => name)

it('has every folder and every entry of src', async () => {
  expect([...names].sort()).toEqual((await readdir(path.join(checkout, 'src'))).sort())
})

it('lets a room import only rooms below it', () => {
  for (const [index, { name, imports }] of rooms.entries())
    expect(names.slice(index + 1), name).toEqual(expect.arrayContaining([...imports]))
})

it('is the table of CONTRIBUTING.md', async () => {
  const text = await readFile(path.join(checkout, 'CONTRIBUTING.md'), 'utf8')
  expect(text.split('\n').filter((line) => line.startsWith('| `src/'))).toEqual(roomRows())
})

it('leads to files that exist', async () => {
  const text = await readFile(path.join(checkout, 'CONTRIBUTING.md'), 'utf8')
  const named = [...text.matchAll(/`((?:src|scripts|images|test)\/[a-z\d./-]+)`/g)].map(
    ([, file = '']) => file,
  )
  expect(named.length).toBeGreaterThan(30)
  expect(named.filter((file) => !existsSync(path.join(checkout, file)))).toEqual([])
})
