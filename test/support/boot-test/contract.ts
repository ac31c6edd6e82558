import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { BuiltImage } from '../build/ubuntu-images.ts'
import { published } from '../schemas.ts'
import { seeder } from '../seeder.ts'

/** Runs the boot test of a finished image, which has to pass with every check, and returns its report. */
export async function passContract(built: BuiltImage | undefined) {
  if (!built) throw new Error('nothing was built')
  const { out, manifest } = built
  const { code, stdout, stderr } = await seeder(['test', out])
  const text = await readFile(join(out, 'test-report.json'), 'utf8')
  const report = await published('test-report', JSON.parse(text))
  const others = report.checks.filter((check: { status: string }) => check.status !== 'passed')
  expect(others, `${stdout}\n${stderr}`).toEqual([])
  expect(code).toBe(0)
  const { image, version } = manifest
  expect(report).toMatchObject({ image, version, passed: true, raw: { sha256: manifest.raw.sha256 } })
  return report
}
