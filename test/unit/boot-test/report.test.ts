import { expect, test } from 'vitest'
import { Abandoned, Checks } from '../../../src/boot-test/checks.ts'
import { describeReport, makeReport, makeTogetherReport } from '../../../src/boot-test/report.ts'
import { SeederError } from '../../../src/report/error.ts'
import { published } from '../../support/schemas.ts'

const plan = [
  { name: 'a', group: 'image', title: 'boots' },
  { name: 'b', group: 'image', title: 'answers' },
  { name: 'c', group: 'role', title: 'balances' },
] as const
const tested = {
  name: 'haproxy',
  qcow2: '/out/haproxy-1-1.qcow2',
  manifest: undefined,
  reportFile: '/out/r.json',
}
const emulator = {
  binary: 'qemu-system-x86_64',
  version: '10.0.2',
  accelerator: 'tcg',
  reason: 'no /dev/kvm',
  firmware: { code: '/c', vars: '/v' },
} as const

async function report(work: (checks: Checks<'a' | 'b' | 'c'>) => Promise<void>) {
  const checks = new Checks(plan)
  await work(checks)
  return makeReport(
    tested,
    emulator,
    {
      checks: checks.results(),
      boot: { readyMs: 61_000, stages: { kernel: 1200 }, units: [] },
      rawSha256: null,
      balanced: [{ backend: 'w1', client: '10.0.0.75' }],
      measured: { failoverMs: 3400 },
    },
    { started: new Date('2026-11-22T17:00:00Z'), durationMs: 200_000 },
  )
}

test('every planned check is in the report, whether it was reached or not', async () => {
  const found = await report(async (checks) => {
    await checks.run('a', async () => 'after 61 s')
    await expect(
      checks.require('b', async () => {
        throw new SeederError('it is silent', { fix: 'start it' })
      }),
    ).rejects.toThrow(Abandoned)
  })
  expect(found.passed).toBe(false)
  expect(found.checks.map(({ name, status, detail }) => [name, status, detail])).toEqual([
    ['a', 'passed', 'after 61 s'],
    ['b', 'failed', 'it is silent   → start it'],
    ['c', 'skipped', 'not reached: b failed'],
  ])
  expect(describeReport(found)).toContain('b: it is silent')
  expect(describeReport(found)).toContain('FAILED: haproxy, 1 passed, 1 failed, 1 skipped, in 3 min 20 s')
})

test('a skipped check does not fail a test, and measurements are printed', async () => {
  const found = await report(async (checks) => {
    await checks.run('a', async () => 'x')
    await checks.run('b', async () => 'x'.repeat(200))
    checks.skip('c', 'no manifest')
  })
  expect(found).toMatchObject({
    schema: 1,
    passed: true,
    started: '2026-11-22T17:00:00.000Z',
    duration: 200_000,
  })
  const text = describeReport(found)
  expect(text).toContain(`${'x'.repeat(89)}…`)
  expect(text).toContain('answers in turn: w1')
  expect(text).toContain('measured: failover 3.4 s')
  expect(text).toContain('first boot: ready after 1 min 01 s (kernel 1.2 s)')
  expect(text).toContain('QEMU 10.0.2 with TCG, as KVM does not work: no /dev/kvm')
})

test('a test of several images names all of them', async () => {
  const images = ['haproxy', 'etcd'].map((name) => ({
    ...tested,
    name,
    qcow2: `/out/${name}-1-1.qcow2`,
  }))
  const checks = [{ ...plan[0], status: 'passed', detail: 'x', ms: 1 } as const]
  const outcome = {
    checks,
    boot: { readyMs: null, stages: {}, units: [] },
    rawSha256: null,
    balanced: [],
    measured: {},
  }
  const time = { started: new Date('2026-11-22T17:00:00Z'), durationMs: 2000 }
  const found = makeTogetherReport(images, emulator, outcome, time)
  expect(found.images).toEqual([
    { image: 'haproxy', version: null, qcow2: 'haproxy-1-1.qcow2' },
    { image: 'etcd', version: null, qcow2: 'etcd-1-1.qcow2' },
  ])
  expect(found.passed).toBe(true)
  await published('together-report', JSON.parse(JSON.stringify(found)))
  expect(describeReport(found)).toContain('PASSED: haproxy, etcd, 1 passed, 0 failed, 0 skipped, in 2.0 s')
})
