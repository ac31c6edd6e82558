import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { beforeEach, expect, it, onTestFinished } from 'vitest'

const LAUNCHER = path.resolve(import.meta.dirname, '../../../scripts/seeder')
let folder: string
let checkout: string

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'seeder launcher ')))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  checkout = path.join(folder, 'check out')
  await mkdir(path.join(checkout, 'scripts'), { recursive: true })
  await copyFile(LAUNCHER, path.join(checkout, 'scripts/seeder'))
  await chmod(path.join(checkout, 'scripts/seeder'), 0o755)
})

async function install(entry: string): Promise<void> {
  await mkdir(path.join(checkout, 'node_modules/node/bin'), { recursive: true })
  await symlink(process.execPath, path.join(checkout, 'node_modules/node/bin/node'))
  await mkdir(path.join(checkout, 'dist/cli'), { recursive: true })
  await writeFile(path.join(checkout, 'dist/cli/index.js'), entry)
}

it('runs through a symlink, in the folder of the caller, with the arguments as they are and the exit status back', async () => {
  await install('console.log(JSON.stringify([process.cwd(), process.argv.slice(2)])); process.exitCode = 2')
  const link = path.join(folder, 'a link')
  await symlink(path.join(checkout, 'scripts/seeder'), link)

  const { stdout, exitCode } = await execa(link, ['build', 'a  b', '*', ''], { cwd: folder, reject: false })
  expect(JSON.parse(stdout)).toEqual([folder, ['build', 'a  b', '*', '']])
  expect(exitCode).toBe(2)
})

it('hands signals to Node itself', async () => {
  await install(
    `process.on('SIGTERM', () => { console.log('stopping'); process.exit(7) }); setInterval(() => {}, 1e6); console.log('up')`,
  )
  const running = execa(path.join(checkout, 'scripts/seeder'), { reject: false })
  await once(running.stdout, 'data')
  running.kill('SIGTERM')
  expect(await running).toMatchObject({ exitCode: 7, stdout: 'up\nstopping' })
})

it('says what to run when the checkout is not set up, or has lost its bundle', async () => {
  const run = () => execa(path.join(checkout, 'scripts/seeder'), ['lock'], { reject: false })
  expect(await run()).toMatchObject({
    exitCode: 1,
    stderr: `seeder: ${checkout}/node_modules/node/bin/node is missing\n  → run ${checkout}/scripts/setup.sh`,
  })
  await install('')
  await rm(path.join(checkout, 'dist'), { recursive: true })
  expect(await run()).toMatchObject({
    exitCode: 1,
    stderr: `seeder: ${checkout}/dist/cli/index.js is missing\n  → run npm run build in ${checkout}`,
  })
})
