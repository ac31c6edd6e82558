import { describe, expect, it } from 'vitest'
import { readLicences } from '../../../src/evidence/licences.ts'

const FORMAT = 'x\tFormat: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'

function licenceOf(...names: string[]) {
  return readLicences([FORMAT, ...names.map((name) => `x\tLicense: ${name}`)].join('\n')).get('x')
}

describe('the licence of a package', () => {
  it.each([
    ['Expat', 'MIT'],
    ['GPL-2+', 'GPL-2.0-or-later'],
    ['GPL-3', 'GPL-3.0-only'],
    ['LGPL-2.1+', 'LGPL-2.1-or-later'],
    ['BSD-3-clause', 'BSD-3-Clause'],
    ['Apache-2', 'Apache-2.0'],
    ['GPL-2 or Artistic', '(GPL-2.0-only OR Artistic-1.0-Perl)'],
    ['GPL-2+ and Expat or ISC', '((GPL-2.0-or-later AND MIT) OR ISC)'],
    ['BSD-2-Clause-NetBSD', 'BSD-2-Clause'],
    ['Artistic-dist or GPL-1+', '(LicenseRef-debian-artistic-dist OR GPL-1.0-or-later)'],
    ['GPL-2+ with OpenSSL exception', 'LicenseRef-debian-gpl-2-or-later-with-openssl-exception'],
  ])('%s is %s', (name, expression) => {
    expect(licenceOf(name)?.expression).toBe(expression)
  })

  it('is all that its copyright file has, each once', () => {
    expect(licenceOf('Expat', 'GPL-2+ and Expat', 'GPL-2+', '')?.expression).toBe('GPL-2.0-or-later AND MIT')
  })

  it('names what SPDX does not know as Debian does', () => {
    expect(licenceOf('Inner-Net (C)')).toEqual({
      expression: 'LicenseRef-debian-inner-net-c',
      references: new Map([['LicenseRef-debian-inner-net-c', 'Inner-Net (C)']]),
    })
  })

  it('is not known when its file is prose', () => {
    expect(readLicences('y\tLicense: GPL-2')).toEqual(new Map())
    expect(readLicences(`${FORMAT}\n`)).toEqual(new Map())
  })
})
