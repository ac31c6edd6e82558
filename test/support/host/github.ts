/**
 * GitHub as the runner's installation sees it: api.github.com with the runners of one repository and one organization,
 * and github.com with the runner's releases, in one HTTPS server. Started as a program inside a machine of the tests:
 *
 *   node github.ts FOLDER
 *
 * FOLDER has server.key, server.crt and the archives; `refusals` in it (a JSON array of Refusal) is taken from its front,
 * one for each request to make a runner; `requests` (a JSON object a line) gets every request.
 */
import { appendFileSync, createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { z } from 'zod'

export const TOKEN = 'github_pat_11AAAAAAA0abcdefghijklmnopqrstuvwxyz'

const refusalSchema = z.enum([
  'bad-credentials',
  'no-permission',
  'not-found',
  'name-taken',
  'invalid',
  'rate-limit',
  'secondary-rate-limit',
  'server-error',
  'reset',
  'not-json',
  'second-line',
])
export type Refusal = z.infer<typeof refusalSchema>

/** A request as it is recorded. */
export const requestSchema = z.object({
  method: z.string(),
  host: z.string(),
  url: z.string(),
  authorization: z.string(),
  body: z.string(),
})

const registrationSchema = z.strictObject({
  name: z.string().min(1).max(64),
  runner_group_id: z.int().positive(),
  labels: z.array(z.string().min(1)).min(1).max(100),
  work_folder: z.string().optional(),
})

const SCOPES = ['/repos/acme/platform', '/orgs/acme']
const GROUPS = [1, 7]

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

function message(status: number, words: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = { message: words, documentation_url: 'https://docs.github.com/rest', status: String(status) }
  return { status, headers, body }
}

/** What GitHub says when it does not make a runner. */
function refuse(refusal: Refusal): Answer {
  switch (refusal) {
    case 'bad-credentials':
      return message(401, 'Bad credentials')
    case 'no-permission':
      return message(403, 'Resource not accessible by personal access token', {
        'x-accepted-github-permissions': 'administration=write',
      })
    case 'not-found':
      return message(404, 'Not Found')
    case 'name-taken':
      return message(409, 'Already exists - A runner with the name *** already exists.')
    case 'invalid':
      return message(422, 'Invalid request.\n\nInvalid input: object is missing required key: labels')
    case 'rate-limit':
      return message(403, 'API rate limit exceeded for user ID 1.', {
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 90),
      })
    case 'secondary-rate-limit':
      return message(429, 'You have exceeded a secondary rate limit.', { 'retry-after': '61' })
    case 'server-error':
      return message(502, 'Server Error')
    case 'not-json':
      return { status: 201, body: undefined }
    case 'second-line':
      return { status: 201, body: { runner: { id: 9 }, encoded_jit_config: 'AAAA\nLD_PRELOAD=/tmp/evil.so' } }
    case 'reset':
      throw new Error('a reset is no answer')
  }
}

class GitHub {
  readonly #folder: string
  readonly #runners = new Map<number, string>()
  #next = 41

  constructor(folder: string) {
    this.#folder = folder
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const { host = '', authorization = '' } = request.headers
    const body = await text(request)
    const record: z.infer<typeof requestSchema> = { method, host, url, authorization, body }
    appendFileSync(path.join(this.#folder, 'requests'), `${JSON.stringify(record)}\n`)
    if (host !== 'api.github.com') return this.#download(host, url, response)
    const makesRunner = method === 'POST' && url.endsWith('/actions/runners/generate-jitconfig')
    const refusal = makesRunner ? this.#nextRefusal() : undefined
    if (refusal === 'reset') {
      request.socket.destroy()
      return
    }
    const answer =
      authorization !== `Bearer ${TOKEN}`
        ? refuse('bad-credentials')
        : refusal === undefined
          ? this.#answer(method, url, body)
          : refuse(refusal)
    const content = answer.body === undefined ? undefined : JSON.stringify(answer.body)
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers }).end(content)
  }

  #nextRefusal(): Refusal | undefined {
    const file = path.join(this.#folder, 'refusals')
    if (!existsSync(file)) return undefined
    const [first, ...rest] = z.array(refusalSchema).parse(JSON.parse(readFileSync(file, 'utf8')))
    writeFileSync(file, JSON.stringify(rest))
    return first
  }

  #answer(method: string, url: string, body: string): Answer {
    const { pathname } = new URL(url, 'https://api.github.com')
    const scope = SCOPES.find((known) => pathname === known || pathname.startsWith(`${known}/`))
    if (scope === undefined) return refuse('not-found')
    const rest = pathname.slice(scope.length)
    if (method === 'GET' && rest === '') return { status: 200, body: { visibility: 'public' } }
    if (method === 'GET' && rest === '/actions/runners') {
      return { status: 200, body: { total_count: this.#runners.size, runners: [] } }
    }
    if (method === 'POST' && rest === '/actions/runners/generate-jitconfig') return this.#register(body)
    const id = /^\/actions\/runners\/(\d+)$/.exec(rest)?.[1]
    if (method !== 'DELETE' || id === undefined) return refuse('not-found')
    return this.#runners.delete(Number(id)) ? { status: 204 } : refuse('not-found')
  }

  #register(body: string): Answer {
    const parsed = registrationSchema.safeParse(JSON.parse(body))
    if (!parsed.success) return refuse('invalid')
    const { name, labels, runner_group_id: group } = parsed.data
    if (!GROUPS.includes(group)) return refuse('not-found')
    if ([...this.#runners.values()].includes(name)) return refuse('name-taken')
    const id = this.#next++
    this.#runners.set(id, name)
    const config = {
      '.runner': Buffer.from(JSON.stringify({ AgentId: id, Ephemeral: true })).toString('base64'),
    }
    const runner = {
      id,
      name,
      os: 'unknown',
      status: 'offline',
      busy: false,
      runner_group_id: group,
      labels: labels.map((label, index) => ({ id: index, name: label, type: 'custom' })),
    }
    const encoded = Buffer.from(JSON.stringify(config)).toString('base64')
    return { status: 201, body: { runner, encoded_jit_config: encoded } }
  }

  #download(host: string, url: string, response: ServerResponse): void {
    const file = path.join(this.#folder, path.basename(url))
    if (!existsSync(file)) {
      response.writeHead(404).end()
    } else if (host === 'github.com') {
      response
        .writeHead(302, { location: `https://release-assets.githubusercontent.com/${path.basename(url)}` })
        .end()
    } else {
      createReadStream(file).pipe(response)
    }
  }
}

if (import.meta.main) {
  const folder = process.argv[2] ?? '.'
  const github = new GitHub(folder)
  const [key, cert] = ['server.key', 'server.crt'].map((name) => readFileSync(path.join(folder, name)))
  createServer({ key, cert }, (request, response) => {
    github.serve(request, response).catch((error: unknown) => {
      console.error(error)
      response.destroy()
    })
  }).listen(443, '127.0.0.1', () => writeFileSync(path.join(folder, 'ready'), ''))
}
