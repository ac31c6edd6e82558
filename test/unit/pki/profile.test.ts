import { describe, expect, test } from 'vitest'
import { alternativeNames, commonNameOf, leafExtensions, parseRequest } from '../../../src/pki/profile.ts'

test('a member is requested by name and address', () => {
  const request = parseRequest({ kind: 'etcd-member', name: 'etcd1', address: '10.0.0.129' })
  expect(request).toEqual({ kind: 'etcd-member', name: 'etcd1', address: '10.0.0.129' })
  expect(commonNameOf(request)).toBe('etcd1')
  expect(alternativeNames(request)).toEqual(['etcd1', 'localhost', '10.0.0.129', '127.0.0.1'])
  expect(leafExtensions(request)).toEqual([
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid:always',
    'subjectAltName=DNS:etcd1,DNS:localhost,IP:10.0.0.129,IP:127.0.0.1',
  ])
})

test('the API servers’ certificate needs no name, and has the common name of kubeadm', () => {
  const request = parseRequest({ kind: 'apiserver-etcd-client' })
  expect(request).toEqual({ kind: 'apiserver-etcd-client', name: 'apiserver-etcd-client' })
  expect(commonNameOf(request)).toBe('kube-apiserver-etcd-client')
})

test('a client’s certificate has no address, and no server usage', () => {
  const extensions = leafExtensions(parseRequest({ kind: 'etcd-client', name: 'operator' }))
  expect(extensions).toContain('extendedKeyUsage=clientAuth')
  expect(extensions.join()).not.toContain('subjectAltName')
})

describe('refused', () => {
  const member = { kind: 'etcd-member', name: 'etcd1', address: '10.0.0.129' }
  const noName = (shown: string) =>
    `${shown} is no name for a certificate: a name is a DNS label of lower-case letters, digits and hyphens`
  test.each([
    ['an unknown kind', { kind: 'etcd-peer', name: 'x' }, 'there is no kind of certificate "etcd-peer"'],
    ['no name', { kind: 'etcd-client' }, 'etcd-client: no name given'],
    ['an underscore', { ...member, name: 'etcd_1' }, noName('"etcd_1"')],
    ['capitals', { ...member, name: 'Etcd1' }, noName('"Etcd1"')],
    ['dots', { ...member, name: 'etcd1.example.org' }, noName('"etcd1.example.org"')],
    ['a path', { ...member, name: '../etcd-ca' }, noName('"../etcd-ca"')],
    ['nothing', { ...member, name: '' }, noName('""')],
    ['a hyphen at the end', { ...member, name: 'etcd-' }, noName('"etcd-"')],
    ['64 characters', { ...member, name: 'a'.repeat(64) }, noName(`"${'a'.repeat(56)}...`)],
    ['digits alone, an address to some', { ...member, name: '10' }, noName('"10"')],
    ['a line of its own', { ...member, name: 'a\nCN=b' }, noName('"a\\nCN=b"')],
    [
      'this machine’s',
      { ...member, name: 'localhost' },
      '"localhost" is no name for a certificate: it is another’s',
    ],
    ['a CA’s', { ...member, name: 'etcd-ca' }, '"etcd-ca" is no name for a certificate: it is another’s'],
    ['no address', { kind: 'etcd-member', name: 'etcd1' }, 'etcd-member etcd1: no address given'],
    [
      'an address of a client',
      { kind: 'etcd-client', name: 'operator', address: '10.0.0.1' },
      'etcd-client operator: it is for a client, which may be at any address',
    ],
    ...['10.0.0', '10.0.0.256', '010.0.0.1', '::1', 'etcd1', '10.0.0.1/26', '', '0.0.0.0', '127.0.0.1'].map(
      (address): [string, typeof member, string] => [
        `the address "${address}"`,
        { ...member, address },
        `"${address}" is not the IPv4 address of a machine`,
      ],
    ),
    [
      'a multicast address',
      { ...member, address: '224.0.0.1' },
      '"224.0.0.1" is not the IPv4 address of a machine',
    ],
  ])('%s', (_, input, message) => {
    expect(() => parseRequest(input)).toThrow(
      expect.objectContaining({ name: 'UsageError', message, fix: expect.stringMatching(/\w/) }),
    )
  })
})
