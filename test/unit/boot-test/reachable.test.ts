import { expect, test } from 'vitest'
import { mayConnect } from '../../../src/boot-test/reachable.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

test('who may connect is what the platform file opens', async () => {
  const platform = await loadPlatform('platform.yaml')
  expect(mayConnect(platform, 'haproxy', '192.168.3.40', 22)).toBe(true)
  expect(mayConnect(platform, 'haproxy', '10.0.0.40', 22)).toBe(false)
  expect(mayConnect(platform, 'haproxy', '10.0.0.104', 6443)).toBe(true)
  expect(mayConnect(platform, 'haproxy', '10.0.0.120', 6443)).toBe(false)
  expect(mayConnect(platform, 'haproxy', '203.0.113.9', 30080)).toBe(true)
  expect(mayConnect(platform, 'haproxy', '10.0.0.104', 8405)).toBe(false)
})
