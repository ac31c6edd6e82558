import { execa } from 'execa'
import { expect, it } from 'vitest'
import { compareDebianVersions } from '../../../src/scan/debian-version.ts'

const versions = [
  '0',
  '1',
  '1.0',
  '1.0-1',
  '1.0-1~bpo1',
  '1.0~rc1-1',
  '1.0+dfsg-1',
  '1.0-1+deb13u1',
  '1.0-1+deb13u10',
  '1.0-1+deb13u2',
  '1:0.5',
  '2:1.0-1',
  '1.00',
  '1.0a',
  '1.0.a',
  '1.0+',
  '1.0~',
  '1.0~~',
  '1.0~~a',
  '1.0.0',
  '10.0',
  '9.9',
  '1.0-1ubuntu1',
  '1.0-1build2',
  '2.41-12+deb13u4',
  '2.41-12',
  '6.12.117-1',
  '6.12.9-1',
  '7.0~really3.6.1-1',
  '3.11.0~rc1-1',
  'a1',
  '1.2-3-4',
  '1.000000000000000000001',
  '1.99999999999999999999',
  '1.100000000000000000000',
]

it('orders versions as dpkg does', async () => {
  const pairs = versions.flatMap((left, at) => versions.slice(at).map((right) => [left, right] as const))
  const script = `while read -r a b; do
  if dpkg --compare-versions "$a" lt "$b"; then echo -1
  elif dpkg --compare-versions "$a" gt "$b"; then echo 1
  else echo 0; fi
done 2> /dev/null`
  const { stdout } = await execa('bash', ['-c', script], {
    input: `${pairs.map((pair) => pair.join(' ')).join('\n')}\n`,
  })
  const dpkg = stdout.split('\n').map(Number)
  expect(dpkg).toHaveLength(pairs.length)
  for (const [at, [left, right]] of pairs.entries()) {
    expect([left, right, Math.sign(compareDebianVersions(left, right))]).toEqual([left, right, dpkg[at]])
    expect([right, left, Math.sign(compareDebianVersions(right, left)) + 0]).toEqual([
      right,
      left,
      -(dpkg[at] ?? 0) + 0,
    ])
  }
})
