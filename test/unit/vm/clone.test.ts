import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Clone } from '../../../src/vm/clone.ts'
import { driveFiles } from '../../../src/vm/cloud-init-drive.ts'
import type { Emulator } from '../../../src/vm/emulator.ts'

/** Clones whose emulator is a script: it prints the text for each start, and runs until it is killed. */
let folder: string
let emulator: Emulator
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder clone '))
  const binary = join(folder, 'emulator')
  await writeFile(
    binary,
    `#!/bin/bash
cd ${JSON.stringify(folder)}
echo start >>starts
cat "output-$(wc -l <starts)" 2>/dev/null || true
exec sleep 60
`,
    { mode: 0o755 },
  )
  const vars = join(folder, 'vars.fd')
  await writeFile(vars, '')
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', join(folder, 'image.qcow2'), '1M'])
  emulator = { binary, version: '10.0', accelerator: 'tcg', reason: '', firmware: { code: vars, vars } }
})
afterEach(() => rm(folder, { recursive: true }))

const printAt = (start: number, line: string) => writeFile(join(folder, `output-${start}`), `${line}\n`)
const lostTimer = "Kernel panic - not syncing: IO-APIC + timer doesn't work!"
const drive = driveFiles({
  hostname: 'a',
  user: 'u',
  sshKeys: [],
  nics: [],
  nameservers: [],
  searchDomain: 'example.internal',
  files: [],
})

function makeClone(): Promise<Clone> {
  const spec = { name: 'a', uuid: 'u', memoryMiB: 512, cpus: 1, diskBytes: 2 ** 21, nics: [] }
  return Clone.make(join(folder, 'image.qcow2'), folder, emulator, { ...spec, dataDiskBytes: 2 ** 20 })
}

test('a guest whose kernel lost its timer is started again, and its output stays in the log', async () => {
  await printAt(1, lostTimer)
  await printAt(2, lostTimer)
  await printAt(3, 'ready')
  const clone = await makeClone()
  const { console } = await clone.start(drive)
  expect((await console.waitFor(/ready/, 'it', 10_000)).text).toBe('ready')
  expect(console.lines).toHaveLength(1)
  await clone.kill()
  expect(await readFile(join(folder, 'starts'), 'utf8')).toBe('start\n'.repeat(3))
  expect(await readFile(join(folder, 'a/console-1.log'), 'utf8')).toBe(`${lostTimer}\n${lostTimer}\nready\n`)
  expect((await execa('stat', ['--format=%s', join(folder, 'a/data.raw')])).stdout).toBe(String(2 ** 20))
})

test('a guest that loses its timer at every start is not started again for ever', async () => {
  for (const start of [1, 2, 3, 4, 5]) await printAt(start, lostTimer)
  const clone = await makeClone()
  const { console, ended } = await clone.start(drive)
  await expect(console.waitFor(/ready/, 'it', 10_000)).rejects.toThrow(
    'the VM ended; its last line: Kernel panic',
  )
  await ended
  expect(await readFile(join(folder, 'starts'), 'utf8')).toBe('start\n'.repeat(4))
})

test('a clone that was killed is not started again', async () => {
  await printAt(1, 'up')
  const clone = await makeClone()
  const { console } = await clone.start(drive)
  await console.waitFor(/up/, 'it', 10_000)
  await clone.kill()
  await expect(console.waitFor(/ready/, 'it', 10_000)).rejects.toThrow('the VM ended')
  expect(await readFile(join(folder, 'starts'), 'utf8')).toBe('start\n')
})
