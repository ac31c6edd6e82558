import { afterEach, expect, test } from 'vitest'
import { checkValues } from '../../../src/host/node/check-values.ts'
import { makeNode } from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'
import { checkout } from '../../support/seeder.ts'

// What has been in values that made a shell stumble: no index, no number, no pattern, no word, an operator of its own.
const words = [
  '/',
  '/26',
  '@',
  '=',
  ':',
  '::',
  '-',
  '-1',
  '--',
  '+',
  '!',
  '~',
  '.',
  ',',
  '%s',
  '$$',
  '(',
  '{1..3}',
  '#',
  '0',
  '08',
  '010',
  '1/1',
  '0x10',
  '16#ff',
  '1e3',
  '1+1',
  'a[0]',
  '99999999999999999999',
  '1.2.3',
  '1.2.3.08',
  '1.2.3.4/08',
  '1.2.3.4/99',
  '256.1.1.1/24',
  '10.0.0.51/',
  '10.0.0.51/26',
  'a=',
  '=1.2.3.4',
  'a=b',
  'a=1.2.3.4:',
  'a=1.2.3.4:08',
  'x=$(id)',
  '`id`',
  '$(reboot)',
  'node',
  'problems',
  'new',
  'existing',
  'init',
  'join',
  'a b',
]

let node: Node
afterEach(() => node.dispose())

test.each([
  ['haproxy', 'haproxy'],
  ['etcd', 'etcd'],
  ['kubernetes-node', 'worker'],
] as const)(
  '%s names each value that it refuses, as the check on the host does',
  { timeout: 300_000 },
  async (image, role) => {
    node = await makeNode(image)
    const [unknown] = await checkValues(checkout, role, { X: '1' }, 'node1')
    const keys = unknown?.reason.split('it has: ')[1]?.split(' ') ?? []
    for (const word of words) {
      await node.write('/etc/seeder/node.env', keys.map((key) => `${key}='${word}'\n`).join(''))
      const { status } = await node.boot()
      const values = Object.fromEntries(keys.map((key) => [key, word]))
      const [problem] = await checkValues(checkout, role, values, 'node1')
      expect(status.state, word).toBe('failed')
      expect(status.reason, word).toMatch(/^[A-Z_]+: /)
      expect(status.reason, word).toContain(`${problem?.key}: ${problem?.reason}`)
      expect(status.reason, word).not.toContain('first-boot: ')
    }
  },
)
