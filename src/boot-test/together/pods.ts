import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { SeederError } from '../../report/error.ts'
import { IMAGE_NAME } from '../kubernetes/container-image.ts'
import type { PlacedClone } from '../test-bed.ts'

export const WEB_PORT = 8080
/** What a pod of the test prints when it is ready. */
export const SERVING_LINE = 'a pod of the test serves'

// Responds with the pod's name. ?get=URL requests the URL, ?resolve=NAME looks the name up,
// ?connect=HOST:PORT connects.
const PROGRAM = `
import http.server, json, os, socket, urllib.parse, urllib.request
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        answer = {'pod': os.environ['POD']}
        try:
            if 'resolve' in query:
                answer['found'] = sorted({entry[4][0] for entry in socket.getaddrinfo(query['resolve'], None)})
            if 'connect' in query:
                host, port = query['connect'].rsplit(':', 1)
                socket.create_connection((host, int(port)), timeout=15).close()
                answer['found'] = [query['connect']]
            if 'get' in query:
                with urllib.request.urlopen(query['get'], timeout=15) as response:
                    answer['found'] = [json.loads(response.read())['pod']]
        except OSError as error:
            answer['error'] = str(error)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('', ${WEB_PORT}), Answer)
print('${SERVING_LINE}', flush=True)
server.serve_forever()
`

const answerSchema = z.object({
  pod: z.string(),
  found: z.array(z.string()).default([]),
  error: z.string().optional(),
})
export type PodAnswer = z.output<typeof answerSchema>

/** Parses what a pod of the test responds. */
export function readAnswer(text: string): PodAnswer {
  return parseJson(text, answerSchema)
}

/**
 * A pod that serves HTTP. Its image has one small program; Python is the node's own.
 * @param node the one that it runs on, also if the node is a control plane; otherwise the scheduler chooses
 */
export function webPod(name: string, node?: string): object {
  // The node's folders that Python and its libraries are in.
  const folders = { usr: ['/usr', '/usr'], lib: ['/usr/lib', '/lib'], lib64: ['/usr/lib64', '/lib64'] }
  const entries = Object.entries(folders)
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      containers: [
        {
          name: 'web',
          image: IMAGE_NAME,
          imagePullPolicy: 'Never',
          command: ['/usr/bin/python3', '-c', PROGRAM],
          env: [{ name: 'POD', value: name }],
          readinessProbe: { httpGet: { path: '/', port: WEB_PORT }, timeoutSeconds: 15 },
          volumeMounts: entries.map(([volume, [, path]]) => ({
            name: volume,
            mountPath: path,
            readOnly: true,
          })),
        },
      ],
      volumes: entries.map(([volume, [path]]) => ({ name: volume, hostPath: { path, type: 'Directory' } })),
      terminationGracePeriodSeconds: 1,
      ...(node
        ? { nodeSelector: { 'kubernetes.io/hostname': node }, tolerations: [{ operator: 'Exists' }] }
        : {}),
    },
  }
}

/** A service of a pod of the test, also at a port of every node. */
export function webService(name: string, nodePort: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: {
      type: 'NodePort',
      selector: { app: name },
      ports: [{ port: 80, targetPort: WEB_PORT, nodePort }],
    },
  }
}

// argv: URL. Prints the body of the response.
const GET_PROGRAM =
  'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=45).read().decode())'

/**
 * Lets a pod do something, by a request from its node.
 * @throws SeederError with the pod's reason
 */
export async function requestPod(
  { clone, machine }: PlacedClone,
  address: string,
  query: Readonly<Record<string, string>>,
): Promise<PodAnswer> {
  const url = `http://${address}:${WEB_PORT}/?${new URLSearchParams(query)}`
  const answer = readAnswer(await clone.agent.output(['/usr/bin/python3', '-c', GET_PROGRAM, url]))
  if (answer.error === undefined) return answer
  throw new SeederError(`${answer.pod} on ${machine.hostname}, ${JSON.stringify(query)}: ${answer.error}`)
}
