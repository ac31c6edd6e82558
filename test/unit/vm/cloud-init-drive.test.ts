import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { type CloudInit, driveFiles, makeDrive } from '../../../src/vm/cloud-init-drive.ts'

const config: CloudInit = {
  hostname: 'lb1',
  user: 'seeder',
  sshKeys: ['ssh-ed25519 AAAA operator'],
  nics: [
    { mac: 'BC:24:11:00:00:01', address: '10.0.0.11/26', gateway: '10.0.0.40' },
    { mac: 'BC:24:11:00:00:02', address: 'dhcp', gateway: undefined },
  ],
  nameservers: ['9.9.9.9'],
  searchDomain: 'example.internal',
  files: [{ path: '/etc/seeder/node.env', permissions: '0640', content: 'A="b"\nC="d"\n' }],
}

test('writes the files as Proxmox does', () => {
  const files = driveFiles(config)
  expect(files['user-data']).toMatch(/^#cloud-config\n/)
  expect(parse(files['user-data'])).toMatchObject({
    hostname: 'lb1',
    manage_etc_hosts: true,
    fqdn: 'lb1.example.internal',
    user: 'seeder',
    ssh_authorized_keys: ['ssh-ed25519 AAAA operator'],
    package_upgrade: false,
  })
  expect(parse(files['network-config'])).toEqual({
    version: 1,
    config: [
      {
        type: 'physical',
        name: 'eth0',
        mac_address: 'bc:24:11:00:00:01',
        subnets: [{ type: 'static', address: '10.0.0.11', netmask: '255.255.255.192', gateway: '10.0.0.40' }],
      },
      { type: 'physical', name: 'eth1', mac_address: 'bc:24:11:00:00:02', subnets: [{ type: 'dhcp4' }] },
      { type: 'nameserver', address: ['9.9.9.9'], search: ['example.internal'] },
    ],
  })
  expect(parse(files['vendor-data'])).toEqual({ write_files: config.files })
})

test('the instance changes with every edit of the tab, but not with the vendor data', () => {
  const instance = (change: Partial<CloudInit>) => driveFiles({ ...config, ...change })['meta-data']
  expect(instance({})).toMatch(/^instance-id: [0-9a-f]{40}\n$/)
  expect(
    instance({ nics: [{ mac: 'bc:24:11:00:00:01', address: '10.0.0.12/26', gateway: undefined }] }),
  ).not.toBe(instance({}))
  expect(instance({ files: [] })).toBe(instance({}))
})

test('the drive is an ISO 9660 labelled cidata that holds the four files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seeder drive,'))
  const iso = join(folder, 'ci.iso')
  const files = driveFiles(config)
  await makeDrive(files, iso)
  const info = await execa('isoinfo', ['-d', '-i', iso])
  expect(info.stdout).toContain('Volume id: cidata')
  for (const [name, content] of Object.entries(files)) {
    expect(
      (await execa('isoinfo', ['-R', '-x', `/${name}`, '-i', iso], { stripFinalNewline: false })).stdout,
    ).toBe(content)
  }
  await rm(folder, { recursive: true })
})
