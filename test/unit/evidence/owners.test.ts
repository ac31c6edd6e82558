import { describe, expect, it } from 'vitest'
import type { FileEntry } from '../../../src/evidence/inventory.ts'
import { type Claims, readPackageLists, withOwners } from '../../../src/evidence/owners.ts'

const file = (path: string): FileEntry => ({ path, type: 'file', mode: '0644', ids: '0:0' })
const link = (path: string, target: string): FileEntry => ({ ...file(path), type: 'link', target })

const lists = [
  'bash.list\t/.',
  'bash.list\t/bin/bash',
  'libc6:amd64.list\t/lib/x86_64-linux-gnu/libc.so.6',
  'haproxy.list\t/etc/init.d/haproxy',
  'haproxy.list\t/usr/lib/systemd/system/haproxy.service',
  'netcat.list\t/bin/nc.openbsd',
  'cloud-init.list\t/usr/lib/python3/dist-packages/cloudinit/main.py',
  'linux-image-6.12.list\t/boot/config-6.12',
  'old.list\t/usr/bin/tool',
  'new.list\t/usr/bin/tool',
  'ca-certificates.list\t/usr/share/ca-certificates/mozilla/X.crt',
].join('\n')

const claims: Claims = {
  packages: readPackageLists(lists, '/usr/bin/tool\n/usr/bin/tool.old\nnew\n'),
  upstream: new Map([
    ['/usr/bin/etcd', 'artifact:etcd'],
    ['/usr/lib/seeder/images/blobs/sha256/aa', 'container:pause'],
  ]),
  definition: new Set(['/etc/haproxy/haproxy.cfg']),
  installed: new Set(['dpkg', 'base-passwd', 'linux-image-6.12', 'bash', 'libc6']),
}

function ownersOf(...entries: FileEntry[]): Record<string, string | null | undefined> {
  return Object.fromEntries(withOwners(entries, claims).map(({ path, owner }) => [path, owner]))
}

describe('a file belongs to', () => {
  it.each([
    ['the package that ships it', '/usr/bin/bash', 'package:bash'],
    ['a package with an architecture in its list', '/usr/lib/x86_64-linux-gnu/libc.so.6', 'package:libc6'],
    ['the package that diverted another one’s', '/usr/bin/tool', 'package:new'],
    ['the package whose file was diverted', '/usr/bin/tool.old', 'package:old'],
    ['the artifact it was taken from', '/usr/bin/etcd', 'artifact:etcd'],
    ['the container image it is a blob of', '/usr/lib/seeder/images/blobs/sha256/aa', 'container:pause'],
    ['the definition', '/etc/haproxy/haproxy.cfg', 'definition'],
    [
      'the package whose source it was compiled from',
      '/usr/lib/python3/dist-packages/cloudinit/__pycache__/main.cpython-313.pyc',
      'package:cloud-init',
    ],
    ['the package that dpkg keeps it for', '/var/lib/dpkg/info/libc6:amd64.postinst', 'package:libc6'],
    ['dpkg, when it is its own', '/var/lib/dpkg/status', 'package:dpkg'],
    ['the package whose script makes it', '/etc/passwd', 'package:base-passwd'],
    ['the kernel whose configuration is copied', '/usr/lib/modules/6.12/config', 'package:linux-image-6.12'],
    ['the kernel, when depmod made it', '/usr/lib/modules/6.12/modules.dep', 'package:linux-image-6.12'],
    ['nobody, when the package that would make it is not there', '/etc/ssh/sshd_config', null],
    ['nobody', '/opt/something', null],
  ])('%s', (_whom, path, owner) => {
    expect(ownersOf(file(path))).toEqual({ [path]: owner })
  })
})

describe('a link belongs to', () => {
  it('the owner of what it leads to, over several links', () => {
    expect(
      ownersOf(
        link('/usr/bin/nc', '/etc/alternatives/nc'),
        link('/etc/alternatives/nc', '/bin/nc.openbsd'),
        link('/etc/rc2.d/S01haproxy', '../init.d/haproxy'),
        link(
          '/etc/systemd/system/multi-user.target.wants/haproxy.service',
          '/usr/lib/systemd/system/haproxy.service',
        ),
        link('/etc/ssl/certs/0a1b.0', 'X.pem'),
        link('/etc/ssl/certs/X.pem', '/usr/share/ca-certificates/mozilla/X.crt'),
      ),
    ).toMatchObject({
      '/usr/bin/nc': 'package:netcat',
      '/etc/rc2.d/S01haproxy': 'package:haproxy',
      '/etc/systemd/system/multi-user.target.wants/haproxy.service': 'package:haproxy',
      '/etc/ssl/certs/0a1b.0': 'package:ca-certificates',
    })
  })

  it('the definition, when it masks a unit', () => {
    expect(ownersOf(link('/etc/systemd/system/x.service', '/dev/null'))).toEqual({
      '/etc/systemd/system/x.service': 'definition',
    })
  })

  it('nobody, when it leads nowhere or in a circle', () => {
    expect(ownersOf(link('/opt/a', 'b'), link('/opt/b', 'a'), link('/opt/c', '/nowhere'))).toEqual({
      '/opt/a': null,
      '/opt/b': null,
      '/opt/c': null,
    })
  })
})

it('a folder has no owner, as several may share it', () => {
  expect(withOwners([{ ...file('/usr/bin'), type: 'directory' }], claims)[0]).not.toHaveProperty('owner')
})
