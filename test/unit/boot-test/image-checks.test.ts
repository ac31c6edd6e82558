import { expect, test } from 'vitest'
import { verityRootHash } from '../../../src/boot-test/image-checks.ts'

test('reads the root hash from the kernel’s table', () => {
  const hash = 'ab'.repeat(32)
  const table = `0 355240 verity 1 8:2 8:3 4096 4096 44405 1 sha256 ${hash} ${'cd'.repeat(32)}`
  expect(verityRootHash(table)).toBe(hash)
  expect(verityRootHash('0 355240 linear 8:2 0')).toBeUndefined()
})
