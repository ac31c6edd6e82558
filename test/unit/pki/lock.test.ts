import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { execa } from 'execa'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withLock } from '../../../src/pki/lock.ts'
import { contentOf } from '../../support/pki/place.ts'
import { checkout, seeder } from '../../support/seeder.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-pki-lock-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('work runs one after the other, also in one process', async () => {
  const seen: string[] = []
  const work = (name: string) =>
    withLock(join(folder, 'lock'), async () => {
      seen.push(`${name} begins`)
      await setTimeout(50)
      seen.push(`${name} ends`)
    })
  await Promise.all(['a', 'b', 'c'].map(work))
  const order = seen.filter((_, index) => index % 2 === 0).map((line) => line.split(' ')[0])
  expect(order.sort()).toEqual(['a', 'b', 'c'])
  expect(seen).toEqual(
    seen.flatMap((line, index) => (index % 2 ? [] : [line, line.replace('begins', 'ends')])),
  )
})

test('work that fails releases the lock', async () => {
  const lock = join(folder, 'lock')
  await expect(withLock(lock, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expect(withLock(lock, async () => 'yes')).resolves.toBe('yes')
})

test('a killed process releases the lock', async () => {
  const lock = join(folder, 'lock')
  const holding = `
    import { withLock } from '${join(checkout, 'src/pki/lock.ts')}'
    await withLock('${lock}', async () => { console.log('held'); await new Promise((done) => setTimeout(done, 60_000)) })`
  const holder = execa(process.execPath, ['--input-type=module', '--eval', holding], { reject: false })
  await once(holder.stdout, 'data')
  const waiting = withLock(lock, async () => 'mine')
  expect(await Promise.race([waiting, setTimeout(300, 'not yet')])).toBe('not yet')
  holder.kill('SIGKILL')
  expect(await waiting).toBe('mine')
  await holder
})

test('two inits at once make the same CAs, and several parallel issues all succeed', async () => {
  const env = { SEEDER_PKI: join(folder, 'pki') }
  const inits = await Promise.all([1, 2, 3].map(() => seeder(['pki', 'init', '--json'], { env })))
  expect(inits.map(({ code, stderr }) => [code, stderr.includes('seeder:')])).toEqual([
    [0, false],
    [0, false],
    [0, false],
  ])
  const made = inits.flatMap(({ stdout }) =>
    JSON.parse(stdout).authorities.filter(({ outcome }: { outcome: string }) => outcome === 'made'),
  )
  expect(made).toHaveLength(3)
  const issues = await Promise.all(
    [1, 2, 2].map((n) => seeder(['pki', 'issue', 'etcd-client', `client${n}`], { env })),
  )
  expect(issues.map(({ code }) => code)).toEqual([0, 0, 0])
  const paths = Object.keys(await contentOf(env.SEEDER_PKI)).filter((path) => path.startsWith('issued/c'))
  expect(paths).toHaveLength(6)
  expect(await readFile(join(env.SEEDER_PKI, 'issued/client2/etcd-client.key'), 'utf8')).toContain('PRIVATE')
  expect((await seeder(['pki', 'check'], { env })).code).toBe(0)
})
