import { UsageError } from '../report/error.ts'
import type { YamlFile, YamlProblem } from '../yaml/yaml-file.ts'
import type { ImageDefinition } from './schema.ts'

/** A version of an upstream file in an image: a tarball, or any other file as a whole. */
export interface Artifact {
  readonly name: string
  readonly version: string
  readonly urls: readonly string[]
  /** URL of upstream's own list of digests. */
  readonly checksums: string | undefined
  /** The digest in the definition. */
  readonly sha256: string | undefined
  /** Path in the tarball → path in the image; for a whole file its path in the image. */
  readonly files: Readonly<Record<string, string>> | string
}

type Artifacts = ImageDefinition['artifacts']

/**
 * Checks what the schema cannot: each artifact has a version for each line, and a digest or a list of digests.
 * @throws UsageError with the place of every problem
 */
export function checkArtifacts(yaml: YamlFile<ImageDefinition>): void {
  const { artifacts, lines, version, repositories } = yaml.value
  const problems: YamlProblem[] = []
  for (const [name, artifact] of Object.entries(artifacts)) {
    const path = ['artifacts', name]
    const versions = lines?.map((line) => artifact.versions?.[line]) ?? [artifact.version]
    if (lines && artifact.version === undefined) {
      for (const line of lines.filter((other) => artifact.versions?.[other] === undefined)) {
        problems.push({
          path,
          found: `${name} has no version for the line ${line}`,
          fix: 'add it to versions',
          onKey: true,
        })
      }
    } else if (!lines && artifact.version === undefined) {
      problems.push({ path, found: `${name} has no version`, fix: 'add version: "1.2.3"', onKey: true })
    }
    if ((artifact.file === undefined) === (artifact.files === undefined)) {
      problems.push({
        path,
        found: `${name} has ${artifact.file === undefined ? 'neither files nor file' : 'both files and file'}`,
        fix: 'give files: of a tarball, or file: for the whole file',
        onKey: true,
      })
    }
    const unpinned = versions.filter(
      (each) => each !== undefined && pinnedDigest(artifact.sha256, each) === undefined,
    )
    if (artifact.checksums === undefined && unpinned.length > 0) {
      problems.push({
        path,
        found: `${name} ${unpinned.join(', ')} has no sha256`,
        fix: 'add sha256:, or checksums: with the URL of upstream’s own list',
        onKey: true,
      })
    }
  }
  if ('artifact' in version && artifacts[version.artifact] === undefined) {
    problems.push({
      path: ['version', 'artifact'],
      found: `there is no artifact ${version.artifact}`,
      fix: `use one of: ${Object.keys(artifacts).join(', ') || '(none)'}`,
    })
  }
  if (!lines) {
    for (const [name, repository] of Object.entries(repositories)) {
      if (!repository.url.includes('{line}')) continue
      problems.push({
        path: ['repositories', name, 'url'],
        found: 'the URL has {line} in it',
        fix: 'add lines: to the image',
      })
    }
  }
  yaml.rejectAny(problems)
}

/** The artifacts of an image for a line. */
export function artifactsOf(artifacts: Artifacts, line: string | undefined): Artifact[] {
  return Object.entries(artifacts).map(([name, artifact]) => {
    const version = (line === undefined ? undefined : artifact.versions?.[line]) ?? artifact.version
    if (version === undefined) throw new UsageError(`the artifact ${name} has no version`)
    const fill = (text: string) => fillIn(text, { version, line: line ?? '' })
    return {
      name,
      version,
      urls: artifact.urls.map(fill),
      checksums: artifact.checksums === undefined ? undefined : fill(artifact.checksums),
      sha256: pinnedDigest(artifact.sha256, version),
      files:
        artifact.file ??
        Object.fromEntries(Object.entries(artifact.files ?? {}).map(([from, to]) => [fill(from), to])),
    }
  })
}

/** A text with `{name}` replaced by its value. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
}

function pinnedDigest(sha256: Artifacts[string]['sha256'], version: string): string | undefined {
  return typeof sha256 === 'object' ? sha256[version] : sha256
}
