import { z } from 'zod'
import { jsonOf } from '../../files/json.ts'
import { expect } from '../checks.ts'
import { CLIENT_PORT } from '../etcd/client.ts'
import { memberOf } from '../etcd/configuration.ts'
import { API_NAME } from '../haproxy/configuration.ts'
import { API_PORT } from '../kubernetes/configuration.ts'
import type { TogetherTestBed } from './test-bed.ts'

// argv: address:port, CA, certificate, key; the last two may be empty. Prints the response's body.
const HEALTH_PROGRAM = `
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
if sys.argv[3]: context.load_cert_chain(sys.argv[3], sys.argv[4])
print(urllib.request.urlopen('https://' + sys.argv[1] + '/health', context=context, timeout=15).read().decode())
`

// argv: address, name, CA. Connects to an API server by its address and verifies its name. Prints the response's body.
const API_PROGRAM = `
import http.client, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[3])
raw = socket.create_connection((sys.argv[1], ${API_PORT}), timeout=15)
connection = http.client.HTTPConnection(sys.argv[2])
connection.sock = context.wrap_socket(raw, server_hostname=sys.argv[2])
connection.request('GET', '/version')
print(connection.getresponse().read().decode())
`

/** The control plane reaches etcd with the API server's certificate for it, and not without one. */
export async function checkDatabase({ controlPlane, etcd }: TogetherTestBed): Promise<string> {
  const { agent } = controlPlane.clone
  const address = `${memberOf(etcd.machine).address}:${CLIENT_PORT}`
  const ca = '/etc/seeder/trust/etcd-ca.crt'
  const pair = ['crt', 'key'].map((ending) => `/etc/seeder/tls/apiserver-etcd-client.${ending}`)
  const health = await agent.output(['/usr/bin/python3', '-c', HEALTH_PROGRAM, address, ca, ...pair])
  const answer = z.object({ health: z.literal('true') }).safeParse(jsonOf(health))
  expect(answer.success, `etcd says ${health.trim()}`)
  const without = await agent.exec(['/usr/bin/python3', '-c', HEALTH_PROGRAM, address, ca, '', ''])
  expect(without.exitCode !== 0, 'etcd also responds without a certificate')
  return `https://${address}/health: ${health.trim()}; without a certificate it is refused`
}

/** The control plane requests its own API through the load balancer, as with kubeadm's configuration. */
export async function requestOwnApi({ controlPlane }: TogetherTestBed, address: string): Promise<string> {
  const ca = '/etc/kubernetes/pki/ca.crt'
  return controlPlane.clone.agent.output(['/usr/bin/python3', '-c', API_PROGRAM, address, API_NAME, ca])
}
