import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, expect, test } from 'vitest'

const root = await mkdtemp(join(tmpdir(), 'seeder proof '))
afterAll(() => rm(root, { recursive: true }))

const source = (file: string) => new URL(`../../../src/${file}`, import.meta.url).pathname

/** A program that proves by `prove`, the body of an async function, and prints what the one outside got of it. */
async function proveBy(name: string, prove: string) {
  const script = join(root, `${name}.ts`)
  await writeFile(
    script,
    `import { readlink, writeFile } from 'node:fs/promises'
     import { runInside, testFolder, runOutside } from '${source('boot-test/test-process.ts')}'
     import { SeederError, UsageError } from '${source('report/error.ts')}'
     const folder = testFolder()
     if (folder) await runInside(folder, async () => { ${prove} })
     else {
       const show = (value) => console.log(JSON.stringify(value))
       await runOutside('${join(root, 'runs')}').then(show, (error) => show({
         type: error.constructor.name, message: error.message, fix: error.fix, cause: error.cause?.message,
       }))
     }`,
  )
  const { stdout } = await execa(process.execPath, [script, 'haproxy', '--keep'])
  expect(await readdir(join(root, 'runs'))).toEqual([])
  return JSON.parse(stdout)
}

test('the report comes out of a copy of this program that has the same arguments and a network of its own', async () => {
  const report = join(root, 'report.json')
  const outside = await execa('readlink', ['/proc/self/ns/net'])
  const proof = await proveBy(
    'proves',
    `const seen = { argv: process.argv.slice(2), network: await readlink('/proc/self/ns/net') }
     await writeFile(${JSON.stringify(report)}, JSON.stringify({ passed: true, seen }))
     return { report: {}, reportFile: ${JSON.stringify(report)}, logs: undefined }`,
  )
  expect(proof).toEqual({
    report: { passed: true, seen: { argv: ['haproxy', '--keep'], network: expect.stringMatching(/^net:/) } },
    reportFile: report,
  })
  expect(proof.report.seen.network).not.toBe(outside.stdout)
})

test('what the proof throws is thrown outside, with its kind, its fix and what led to it', async () => {
  expect(
    await proveBy(
      'refuses',
      `throw new UsageError('no such zone', { fix: 'name one', cause: new Error('deep') })`,
    ),
  ).toEqual({
    type: 'UsageError',
    message: 'no such zone',
    fix: 'name one',
    cause: expect.stringContaining('deep'),
  })
  expect(await proveBy('breaks', `throw new TypeError('x is not a function')`)).toEqual({
    type: 'SeederError',
    message: 'x is not a function',
    cause: expect.stringContaining('breaks.ts'),
  })
})

test('a copy that dies without an answer is an error, not a pass', async () => {
  await mkdir(join(root, 'runs'), { recursive: true })
  expect(await proveBy('dies', `process.exit(137)`)).toMatchObject({
    type: 'SeederError',
    message: 'the proof ended with exit status 137 before it had a result',
  })
})
