import { expect, test } from 'vitest'
import { comparableRules } from '../../../src/boot-test/firewall.ts'

const rule = (handle: number, packets: number, port = 22) => ({
  rule: {
    family: 'inet',
    table: 'seeder',
    chain: 'input',
    handle,
    expr: [
      { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: port } },
      { counter: { packets, bytes: packets * 60 } },
      { accept: null },
    ],
  },
})
const listing = (...entries: object[]) =>
  JSON.stringify({
    nftables: [{ metainfo: { version: '1.1.3' } }, { table: { name: 'seeder', handle: 4 } }, ...entries],
  })

test('handles and counted packets make no difference, a port does', () => {
  const expected = comparableRules(listing(rule(3, 0)))
  expect(comparableRules(listing(rule(17, 240)))).toEqual(expected)
  expect(comparableRules(listing(rule(3, 0, 23)))).not.toEqual(expected)
  expect(comparableRules(listing())).not.toEqual(expected)
  expect(expected).toHaveLength(2)
})
