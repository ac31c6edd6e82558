import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fromPlatform } from '../../support/first-boot/node.ts'
import { Machine } from '../../support/host/machine.ts'

// The image's units under a real systemd, which has the image's files over those of this machine.
// As the machine sees this checkout.
const tree = '/checkout/images/common/tree/usr/lib'
const wanted = '/etc/seeder/firewall.nft'
const fallback = '/usr/lib/seeder/fallback.nft'

let machine: Machine
beforeAll(async () => {
  machine = await Machine.boot()
  const files = await fromPlatform('haproxy')
  await writeFile(join(machine.shared, 'wanted.nft'), files[wanted] ?? '')
  await writeFile(join(machine.shared, 'fallback.nft'), files[fallback] ?? '')
  await machine.read(
    `
    set -e
    mkdir -p /run/over/seeder /etc/seeder
    cp /shared/fallback.nft /run/over/seeder/
    mount -t overlay overlay -o "lowerdir=/run/over:$1:/usr/lib" /usr/lib
    systemctl stop systemd-networkd.socket systemd-networkd.service
    systemctl daemon-reload`,
    tree,
  )
})
afterAll(() => machine?.[Symbol.asyncDispose]())

const stateOf = async (unit: string) => (await machine.run(['systemctl', 'is-active', unit])).stdout
const restart = async (unit: string) => (await machine.run(['systemctl', 'restart', unit])).exitCode

test('with the firewall there is a network', async () => {
  await machine.read(`cp /shared/wanted.nft ${wanted}`)
  expect(await restart('seeder-firewall.service')).toBe(0)
  expect(await machine.read('nft list table inet seeder')).toContain('haproxy-vrrp')
  expect(await restart('systemd-networkd.service')).toBe(0)
  expect(await stateOf('systemd-networkd.service')).toBe('active')
})

test('a firewall that cannot be loaded is a failed unit, and ssh alone is open', async () => {
  await machine.read(`systemctl stop systemd-networkd; nft delete table inet seeder; : >${wanted}`)
  expect(await restart('seeder-firewall.service')).not.toBe(0)
  expect(await stateOf('seeder-firewall.service')).toBe('failed')
  expect(await machine.read('nft list chain inet seeder input')).toContain(
    'tcp dport 22 accept comment "ssh"',
  )
  expect(await restart('systemd-networkd.service')).toBe(0)
})

test('without any there is no network', async () => {
  await machine.read(`nft delete table inet seeder; mount --bind /dev/null ${fallback}`)
  expect(await restart('seeder-firewall.service')).not.toBe(0)
  expect(await restart('systemd-networkd.service')).not.toBe(0)
  expect(await stateOf('systemd-networkd.service')).toBe('inactive')
})
