import { expect, test } from 'vitest'
import { parseBootStages } from '../../src/boot/guest.ts'

test('reads systemd’s account of a boot', () => {
  expect(
    parseBootStages(
      'Startup finished in 4.214s (firmware) + 210ms (loader) + 6.1s (kernel) + 1min 2.5s (initrd) + 31.072s (userspace) = 1min 44.1s \ngraphical.target reached after 30s in userspace.',
    ),
  ).toEqual({ firmware: 4214, loader: 210, kernel: 6100, initrd: 62_500, userspace: 31_072 })
  expect(parseBootStages('Bootup is not yet finished')).toEqual({})
})
