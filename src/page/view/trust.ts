import type { Manifest } from '../../build/manifest.ts'
import type { Provenance } from '../../evidence/provenance.ts'
import type { Verification } from '../../release/verify/finding.ts'
import type { PageFacts } from '../facts.ts'
import type { BootTest } from './boot-test.ts'
import type { Answer, Mark } from './mark.ts'
import { formatTime } from './time.ts'

/** A link of the chain from the source to the signature. */
export interface Link {
  readonly name: string
  readonly mark: Mark
  /** A digest, a commit, a name. */
  readonly value: string | undefined
  readonly url: string | undefined
  readonly text: string
}

/** The origin of an image, and which claims about it were checked. */
export interface Origin {
  readonly signed: Answer
  readonly intact: Answer
  readonly chain: readonly Link[]
  readonly findings: readonly Verification[]
}

/** The origin of an image. Nothing is called right that was not checked when the page was written. */
export function trustOf(facts: PageFacts, { answer }: BootTest): Origin {
  const { findings, finished, hasSignature } = facts
  const { manifest, provenance } = finished
  const signed = signatureOf(findings, hasSignature)
  return {
    signed,
    intact: intactOf(findings),
    chain: [
      sourceOf(manifest, provenance),
      lockOf(manifest),
      builderOf(provenance),
      diskOf(manifest, findings),
      {
        name: 'Boot test',
        mark: answer.mark,
        value: undefined,
        url: undefined,
        text: `${answer.text}. The report is written after SHA256SUMS, so the signature does not cover it.`,
      },
      {
        name: 'Signature',
        mark: signed.mark,
        value: undefined,
        url: undefined,
        text: `${signed.text}. ${signed.reason}`,
      },
    ],
    findings,
  }
}

function signatureOf(findings: readonly Verification[], hasSignature: boolean): Answer {
  const answer = (mark: Mark, text: string, reason: string) => ({ question: 'Signed', mark, text, reason })
  if (!hasSignature) {
    return answer(
      'missing',
      'Not signed',
      'There is no SHA256SUMS.sig. `seeder publish` signs what it publishes.',
    )
  }
  const finding = findings.find(({ what }) => what === 'signature')
  if (finding?.result === 'right') {
    const reason =
      'SHA256SUMS is signed by a key of the allowed signers; it has the digest of every file except the report.'
    return answer('right', `Signed ${finding.found}`, reason)
  }
  if (finding?.result === 'wrong') return answer('wrong', 'Wrong signature', `${finding.found}.`)
  return answer(
    'missing',
    'Signature not checked',
    'There is a signature, but there was no list of allowed signers where this page was written.',
  )
}

/** The answer about digests and contents. The signature has an answer of its own. */
function intactOf(findings: readonly Verification[]): Answer {
  const own = findings.filter(({ what }) => what !== 'signature')
  const wrong = own.filter(({ result }) => result === 'wrong')
  const right = own.filter(({ result }) => result === 'right')
  if (wrong.length === 0) {
    const reason = `${right.length} findings: the files have the digests of SHA256SUMS, and agree about the image.`
    return { question: 'Intact', mark: 'right', text: 'All in order', reason }
  }
  return {
    question: 'Intact',
    mark: 'wrong',
    text: 'Do not use',
    reason: `${wrong.map(({ what, found }) => `${what}: ${found}`).join('; ')}.`,
  }
}

function sourceOf({ source }: Manifest, provenance: Provenance | undefined): Link {
  const repository = provenance?.predicate.buildDefinition.externalParameters.repository
  const link = { name: 'Source', value: source.commit ?? undefined }
  const commitUrl =
    repository !== undefined && source.commit !== null ? `${repository}/commit/${source.commit}` : undefined
  if (source.commit === null) return { ...link, mark: 'open', url: undefined, text: 'No git checkout.' }
  if (!source.dirty)
    return { ...link, mark: 'open', url: commitUrl, text: 'The commit, according to the build.' }
  return { ...link, mark: 'wrong', url: commitUrl, text: 'This commit, with uncommitted changes.' }
}

function lockOf({ lock, packages, artifacts, containers }: Manifest): Link {
  const counts = [
    [packages, 'packages'],
    [artifacts, 'upstream tarballs'],
    [containers, 'container images'],
  ] as const
  const of = counts
    .map(([files, kind]) => [Object.keys(files).length, kind] as const)
    .filter(([count]) => count > 0)
    .map(([count, kind]) => `${count} ${kind}`)
    .join(', ')
  return {
    name: 'Lock',
    mark: 'open',
    value: lock.sha256,
    url: undefined,
    text: `${of}, each by its sha256. The archives’ signatures were checked when the lock was written, not here.`,
  }
}

function builderOf(provenance: Provenance | undefined): Link {
  const name = 'Builder'
  if (provenance === undefined) {
    const text = 'There is no provenance, so the builder is unknown.'
    return { name, mark: 'open', value: undefined, url: undefined, text }
  }
  const { builder, metadata } = provenance.predicate.runDetails
  const when = `from ${formatTime(metadata.startedOn)} to ${formatTime(metadata.finishedOn).slice(11)}`
  const local = builder.id === 'urn:seeder:builder:local'
  return {
    name,
    mark: 'open',
    value: builder.id,
    url: metadata.invocationId,
    text: local
      ? `A local machine, ${when}. Only the signer vouches for it.`
      : `According to the provenance, ${when}. Trust it as far as the signature.`,
  }
}

function diskOf({ qcow2, raw }: Manifest, findings: readonly Verification[]): Link {
  const mark = markOf(findings, [qcow2.file, 'qcow2', 'content of the manifest'])
  const text =
    mark === 'right'
      ? `${qcow2.file} is the file that SHA256SUMS and the manifest name. This is the digest of the disk inside, the image’s identity; deploy.sh compares it with the imported disk.`
      : `${qcow2.file} was not found to be the file that SHA256SUMS and the manifest name.`
  return { name: 'Disk', mark, value: raw.sha256, url: undefined, text }
}

/** The worst mark of the findings with these names. */
function markOf(findings: readonly Verification[], names: readonly string[]): Mark {
  const results = names.map((name) => findings.find(({ what }) => what === name)?.result)
  if (results.includes('wrong')) return 'wrong'
  return results.every((result) => result === 'right') ? 'right' : 'open'
}
