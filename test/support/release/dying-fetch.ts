/**
 * Downloads the only release of a local GitHub, in a process of its own that kills itself with SIGKILL right before its
 * n-th change of the file system, n being `DIE_BEFORE`, or right before its n-th note of how far a part has come, n being
 * `DIE_BEFORE_MARK`:
 *
 *   node dying-fetch.ts API-URL TOKEN FOLDER
 *
 * Prints the number of changes when it comes to its end.
 */
import { connect } from '../../../src/github/client.ts'
import { fetchRelease } from '../../../src/release/download/fetch.ts'
import { watchChanges } from '../watch-changes.ts'

const last = Number(process.env.DIE_BEFORE)
const lastMark = Number(process.env.DIE_BEFORE_MARK)
let changes = 0
let marks = 0

await watchChanges(['mkdir', 'rename', 'rm', 'open'], ['write', 'truncate', 'datasync'], ([first]) => {
  changes += 1
  if (/^[1-9]\d* \S+\n$/.test(String(first).slice(0, 200))) marks += 1
  if (changes === last || (lastMark > 0 && marks === lastMark)) process.kill(process.pid, 'SIGKILL')
})

const [, , apiUrl = '', token = '', folder = ''] = process.argv
const { signal } = new AbortController()
const { releases } = connect({ apiUrl, token, repository: 'operator/platform', signal })
const [release] = await releases.list()
if (!release) throw new Error('there is no release')
const progress = { note: () => {}, bytes: () => {} }
await fetchRelease({ releases, release }, folder, { progress, signal }, async () => {})
process.stdout.write(String(changes))
