import { expect, test } from 'vitest'
import { aptComplaint } from '../../../src/image/apt.ts'

test('an unmet dependency is more useful than the error after it', () => {
  const output = [
    'Some packages could not be installed. This may mean that you have',
    'requested an impossible situation.',
    'The following packages have unmet dependencies:',
    ' haproxy : Depends: liblua5.4-0 (>= 5.4.0) but it is not installable',
    'E: Unable to correct problems, you have held broken packages.',
  ].join('\n')
  expect(aptComplaint(output)).toBe('haproxy : Depends: liblua5.4-0 (>= 5.4.0) but it is not installable')
})

test('the newer solver’s explanation is understood as well', () => {
  const output = [
    'E: Unable to satisfy dependencies. Reached two conflicting assignments:',
    '   1. haproxy:amd64 is selected for install',
    '   2. haproxy:amd64 Depends liblua5.4-0 (>= 5.4.0)',
    '      but none of the choices are installable:',
    '      [no choices]',
  ].join('\n')
  expect(aptComplaint(output)).toBe('haproxy:amd64 Depends liblua5.4-0 (>= 5.4.0) is not installable')
})

test('otherwise it is the first error, or undefined', () => {
  expect(aptComplaint('W: no\nE: Unable to locate package x\nE: more')).toBe('Unable to locate package x')
  expect(aptComplaint('all is well')).toBeUndefined()
})
