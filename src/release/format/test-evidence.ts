import { type Manifest, manifestSchema } from '../../build/manifest.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import type { Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { CONTENTS_FILE, type Contents } from './contents.ts'
import { formatTag } from './tag.ts'
import { requireGreenReport } from './test-report.ts'

/** The texts of a release's manifest and of its test report. */
export interface TestEvidence {
  readonly manifest: string
  readonly report: string
}

type Place = Pick<Release, 'tag' | 'url'>

/**
 * Checks that the manifest and the test report of a release are about the disk that `release.json` names, and that the
 * report is green. Throws SeederError with the first that is not so.
 */
export function requireTested(release: Place, contents: Contents, proof: TestEvidence): Manifest {
  const manifest = parseManifest(release, proof.manifest)
  if (formatTag(manifest) !== release.tag) {
    throw notAsPublished(release, `its manifest is of ${formatTag(manifest)}`)
  }
  if (manifest.raw.sha256 !== contents.raw.sha256) {
    throw notAsPublished(release, `its manifest and its ${CONTENTS_FILE} are about different disks`)
  }
  requireGreenReport(proof.report, manifest)
  return manifest
}

function parseManifest(release: Place, text: string): Manifest {
  try {
    return parseJson(text, manifestSchema)
  } catch (cause) {
    throw notAsPublished(release, `its manifest cannot be read: ${whyNot(cause)}`, cause)
  }
}

/** That something about a release is not what `publish` would have made. */
export function notAsPublished({ tag, url }: Place, found: string, cause?: unknown): SeederError {
  return new SeederError(`the release ${tag} is not as it was published: ${found}`, {
    fix: `do not use it (${url}): raise the revision in image.yaml, lock, build, test and publish that`,
    cause,
  })
}
