import { expect, test } from 'vitest'
import { parseBootStages, parseUnitTimes } from '../../../src/boot-test/boot-times.ts'

test('reads the stages of a boot from systemd', () => {
  expect(
    parseBootStages(
      'Startup finished in 4.214s (firmware) + 210ms (loader) + 6.1s (kernel) + 1min 2.5s (initrd) + 31.072s (userspace) = 1min 44.1s \ngraphical.target reached after 30s in userspace.',
    ),
  ).toEqual({ firmware: 4214, loader: 210, kernel: 6100, initrd: 62_500, userspace: 31_072 })
  expect(parseBootStages('Bootup is not yet finished')).toEqual({})
})

test('reads the slowest units, in the order in which they began to start', () => {
  const unit = (id: string, began: number, active: number, ended = 0) =>
    `Id=${id}\nInactiveExitTimestampMonotonic=${began}\nActiveEnterTimestampMonotonic=${active}\nInactiveEnterTimestampMonotonic=${ended}`
  const quick = Array.from({ length: 20 }, (_, index) => unit(`quick${index}.service`, 100, 200))
  const found = parseUnitTimes(
    [
      unit('cloud-init.service', 9_000_000, 14_500_400),
      unit('once.service', 2_000_000, 0, 5_000_000),
      unit('never.service', 0, 0),
      unit('runs-on.service', 8_000_000, 0),
      ...quick,
      '',
    ].join('\n\n'),
  )
  expect(found).toHaveLength(15)
  expect(found.filter(({ ms }) => ms > 0)).toEqual([
    { name: 'once.service', startMs: 2000, ms: 3000 },
    { name: 'cloud-init.service', startMs: 9000, ms: 5500 },
  ])
  expect(found.map(({ name }) => name)).not.toContain('never.service')
})
