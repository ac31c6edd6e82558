import { z } from 'zod'
import { jsonOf } from '../../files/json.ts'
import { expect } from '../checks.ts'
import { CLIENT_PORT } from '../etcd/client.ts'
import { memberOf } from '../etcd/configuration.ts'
import { API_NAME } from '../haproxy/configuration.ts'
import { API_PORT } from '../kubernetes/configuration.ts'
import type { TogetherTestBed } from './test-bed.ts'

const FOLDER = '/run/test'

// Python is in every image, because cloud-init needs it.
const SERVER_PROGRAM = `
import http.server, ssl
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = b'ok' if self.path == '/readyz' else b'{"server": "cp1"}'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('', ${API_PORT}), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('${FOLDER}/api.crt', '${FOLDER}/api.key')
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
`

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

/** Starts a simulated API server in the control plane's clone: TLS, `/readyz` and `/version`. */
export async function startApiServer({ controlPlane, apiServer, clusterCa }: TogetherTestBed): Promise<void> {
  const { agent } = controlPlane.clone
  const files = {
    'api.crt': apiServer.cert,
    'api.key': apiServer.key,
    'ca.crt': clusterCa,
    'api.py': SERVER_PROGRAM,
  }
  for (const [name, content] of Object.entries(files)) {
    const script = 'umask 077; mkdir -p "$1"; cat >"$1/$0"'
    await agent.output(['/bin/bash', '-euc', script, name, FOLDER], content)
  }
  const run = ['--unit=test-api-server', '--collect', '/usr/bin/python3', `${FOLDER}/api.py`]
  await agent.output(['/usr/bin/systemd-run', ...run])
}

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
  const ca = `${FOLDER}/ca.crt`
  return controlPlane.clone.agent.output(['/usr/bin/python3', '-c', API_PROGRAM, address, API_NAME, ca])
}
