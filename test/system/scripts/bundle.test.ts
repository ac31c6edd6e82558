import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { expect, it, onTestFinished } from 'vitest'

const CHECKOUT = path.resolve(import.meta.dirname, '../../..')

/** A small checkout with the project's own bundler, compiler settings and packages, and an entry that uses one of them. */
async function makeCheckout(prefix: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), prefix))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await symlink(path.join(CHECKOUT, 'node_modules'), path.join(folder, 'node_modules'))
  const files = [
    'scripts/bundle.ts',
    'scripts/licenses.ts',
    'scripts/ncc.d.ts',
    'scripts/page-assets.ts',
    'src/report/error.ts',
    'src/report/printable.ts',
    'src/page/assets.ts',
    ...(await readdir(path.join(CHECKOUT, 'src/page/style'))).map((name) => `src/page/style/${name}`),
  ]
  for (const file of ['tsconfig.json', ...files]) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true })
    await copyFile(path.join(CHECKOUT, file), path.join(folder, file))
  }
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}')
  await mkdir(path.join(folder, 'src/page/client'))
  await writeFile(
    path.join(folder, 'src/page/client/main.ts'),
    `import { treemap } from 'd3-hierarchy'\nconst made: object = treemap()\ndocument.title = String(made)\n`,
  )
  await writeFile(path.join(folder, 'src/action.ts'), `import './cli.ts'\n`)
  await writeFile(path.join(folder, 'src/greeting.ts'), `export const greeting: string = 'hello'\n`)
  await writeFile(
    path.join(folder, 'src/cli.ts'),
    `import { stringify } from 'yaml'\nimport { greeting } from './greeting.ts'\n` +
      `process.stdout.write(stringify({ greeting, args: process.argv.slice(2) }))\n`,
  )
  return folder
}

const FILES = ['LICENSE', 'index.js', 'main.js', 'package.json', 'page.css', 'page.js']

function bundle(checkout: string, args: readonly string[] = [], cwd = checkout) {
  return execa(process.execPath, [path.join(checkout, 'scripts/bundle.ts'), ...args], { cwd, reject: false })
}

it('makes a bundle that runs without node_modules, with the licences of what is in it and nothing left over', async () => {
  const checkout = await makeCheckout('seeder-bundle-')
  const dist = path.join(checkout, 'dist/cli')
  await mkdir(dist, { recursive: true })
  await writeFile(path.join(dist, 'left-over.js'), 'from an older build')

  expect(await bundle(checkout)).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })

  expect((await readdir(dist)).sort()).toEqual(FILES)
  const script = await readFile(path.join(dist, 'page.js'), 'utf8')
  expect(script).toMatch(/^\/\*! d3-hierarchy\nCopyright .+ Mike Bostock/)
  expect(script).not.toMatch(/^import|: object/m)
  await rm(path.join(checkout, 'node_modules'))
  const { stdout } = await execa(process.execPath, [path.join(dist, 'index.js'), 'a b'], { cwd: tmpdir() })
  expect(stdout).toBe('greeting: hello\nargs:\n  - a b')
  expect(await readFile(path.join(dist, 'LICENSE'), 'utf8')).toContain('yaml\nISC')

  const version = `{...process.versions,node:'22.9.0'}`
  const older = `data:text/javascript,Object.defineProperty(process,'versions',{value:${version}})`
  const refused = await execa(process.execPath, ['--import', older, path.join(dist, 'index.js')], {
    reject: false,
  })
  expect(refused).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^seeder needs Node\.js 24 or newer; this is 22\.9\.0\n {2}→ /),
  })
})

it('makes the same bytes in another folder and from another working directory; --check names what is stale', async () => {
  const [here, there] = [await makeCheckout('seeder-bundle-'), await makeCheckout('seeder bundle elsewhere ')]
  await bundle(here)
  await bundle(there, [], tmpdir())
  for (const file of FILES) {
    const [a, b] = await Promise.all(
      [here, there].map((at) => readFile(path.join(at, 'dist/cli', file), 'utf8')),
    )
    expect(a === b, file).toBe(true)
  }
  expect(await bundle(there, ['--check'])).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })

  await writeFile(path.join(there, 'src/greeting.ts'), `export const greeting: string = 'goodbye'\n`)
  await writeFile(path.join(there, 'dist/cli/extra.js'), '')
  const check = await bundle(there, ['--check'])
  expect(check.exitCode).toBe(1)
  expect(check.stderr).toBe(
    'stale: dist/action/main.js\nstale: dist/cli/extra.js\nstale: dist/cli/main.js\n  → run `npm run build` and commit dist/',
  )
  expect(await readFile(path.join(there, 'dist/cli/extra.js'), 'utf8')).toBe('')
}, 120_000)

it('says in a few lines what is wrong with a source that does not compile', async () => {
  const checkout = await makeCheckout('seeder-bundle-')
  await writeFile(path.join(checkout, 'src/greeting.ts'), `export const greeting: string = 1\n`)
  const { exitCode, stderr } = await bundle(checkout)
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/src\/cli\.ts failed.*greeting\.ts/s)
  expect(stderr.length).toBeLessThan(2000)
})
