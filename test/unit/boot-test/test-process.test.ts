import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, expect, test } from 'vitest'

const root = await mkdtemp(join(tmpdir(), 'seeder test '))
afterAll(() => rm(root, { recursive: true }))

const source = (file: string) => new URL(`../../../src/${file}`, import.meta.url).pathname

/** Runs a program whose test is `body`, that of an async function, and returns the result in the outer process. */
async function runProgram(name: string, body: string) {
  const script = join(root, `${name}.ts`)
  await writeFile(
    script,
    `import { readlink, writeFile } from 'node:fs/promises'
     import { runInside, testFolder, runOutside } from '${source('boot-test/test-process.ts')}'
     import { SeederError, UsageError } from '${source('report/error.ts')}'
     const folder = testFolder()
     if (folder) await runInside(folder, async () => { ${body} })
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

test('the report comes from an inner process with the same arguments and a network of its own', async () => {
  const report = join(root, 'report.json')
  const outside = await execa('readlink', ['/proc/self/ns/net'])
  const result = await runProgram(
    'tests',
    `const seen = { argv: process.argv.slice(2), network: await readlink('/proc/self/ns/net') }
     await writeFile(${JSON.stringify(report)}, JSON.stringify({ passed: true, seen }))
     return { report: {}, reportFile: ${JSON.stringify(report)}, logs: undefined }`,
  )
  expect(result).toEqual({
    report: { passed: true, seen: { argv: ['haproxy', '--keep'], network: expect.stringMatching(/^net:/) } },
    reportFile: report,
  })
  expect(result.report.seen.network).not.toBe(outside.stdout)
})

test('an error of the test is thrown in the outer process, with its class, its fix and its cause', async () => {
  expect(
    await runProgram(
      'refuses',
      `throw new UsageError('no such zone', { fix: 'name one', cause: new Error('deep') })`,
    ),
  ).toEqual({
    type: 'UsageError',
    message: 'no such zone',
    fix: 'name one',
    cause: expect.stringContaining('deep'),
  })
  expect(await runProgram('breaks', `throw new TypeError('x is not a function')`)).toEqual({
    type: 'SeederError',
    message: 'x is not a function',
    cause: expect.stringContaining('breaks.ts'),
  })
})

test('an inner process that ends without an answer is an error', async () => {
  await mkdir(join(root, 'runs'), { recursive: true })
  expect(await runProgram('dies', `process.exit(137)`)).toMatchObject({
    type: 'SeederError',
    message: 'the test ended with exit status 137 before it had a result',
  })
})
