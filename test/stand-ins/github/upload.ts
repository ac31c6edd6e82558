import { type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

/** An upload as one without Octokit makes it, streaming. Throws when the connection breaks. */
export async function uploadAsset(
  uploadUrl: string,
  asset: {
    readonly name: string
    readonly size: number
    readonly bytes: Iterable<Buffer> | AsyncIterable<Buffer>
  },
  token: string,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const url = new URL(uploadUrl.replace('{?name,label}', `?name=${encodeURIComponent(asset.name)}`))
  const sent = request(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      'content-length': asset.size,
    },
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve)
    sent.once('error', reject)
  })
  await Promise.all([pipeline(Readable.from(asset.bytes), sent), answered])
  const response = await answered
  const body = await text(response)
  const isJson = response.headers['content-type']?.startsWith('application/json')
  return { status: response.statusCode ?? 0, body: isJson ? JSON.parse(body) : body }
}
