import { expect, test } from 'vitest'
import { leaseAnswer, parseRequest } from '../../../src/vm/dhcp.ts'

const lease = {
  mac: 'bc:24:11:5e:00:02',
  address: '192.168.3.10',
  netmask: '255.255.255.0',
  broadcast: '192.168.3.255',
  server: '192.168.3.40',
  router: '192.168.3.1',
}

function message(type: number, more: number[] = []): Buffer {
  const packet = Buffer.alloc(240)
  packet.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef])
  packet.set([0xbc, 0x24, 0x11, 0x5e, 0, 2], 28)
  packet.set([0x63, 0x82, 0x53, 0x63], 236)
  return Buffer.concat([packet, Buffer.from([0, 53, 1, type, ...more, 255])])
}

test('reads a client’s request and its identifier', () => {
  expect(parseRequest(message(1, [61, 7, 255, 1, 2, 3, 4, 0, 2]))).toEqual({
    type: 'discover',
    xid: 0xdeadbeef,
    mac: lease.mac,
    clientId: 'ff010203040002',
  })
  expect(parseRequest(message(3))).toMatchObject({ type: 'request', clientId: '' })
})

test('a message that is no request gets no answer', () => {
  expect(parseRequest(message(7))).toBeUndefined()
  expect(parseRequest(Buffer.from('short'))).toBeUndefined()
  const answer = message(1)
  answer[0] = 2
  expect(parseRequest(answer)).toBeUndefined()
})

test('a discovery is answered with an offer, a request with an acknowledgement', () => {
  for (const [requested, answered] of [
    [1, 2],
    [3, 5],
  ] as const) {
    const request = parseRequest(message(requested))
    if (!request) throw new Error('not read')
    const answer = leaseAnswer(request, lease)
    expect(answer.subarray(0, 8).toString('hex')).toBe('02010600deadbeef')
    expect([...answer.subarray(16, 20)]).toEqual([192, 168, 3, 10])
    expect(answer.subarray(28, 34).toString('hex')).toBe('bc24115e0002')
    const options = [
      [53, 1, answered],
      [54, 4, 192, 168, 3, 40],
      [51, 4, 0, 0, 14, 16],
      [1, 4, 255, 255, 255, 0],
      [3, 4, 192, 168, 3, 1],
      [255],
    ]
    expect([...answer.subarray(240)]).toEqual(options.flat())
  }
})
