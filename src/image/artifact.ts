import { UsageError } from '../report/error.ts'
import type { YamlFile, YamlProblem } from '../yaml/yaml-file.ts'
import type { ImageDefinition } from './schema.ts'

/** An upstream file that is part of an image, of one version: a tarball, or a file that is taken as it is. */
export interface Artifact {
  readonly name: string
  readonly version: string
  readonly urls: readonly string[]
  /** URL of upstream's own list of digests. */
  readonly checksums: string | undefined
  /** The digest that the definition itself pins. */
  readonly sha256: string | undefined
  /** Path in the tarball → path in the image; or, for a whole file, its path in the image. */
  readonly files: Readonly<Record<string, string>> | string
}

type Artifacts = ImageDefinition['artifacts']

/**
 * Checks what a schema cannot say: each artifact has a version for each line, and a digest it can be held to.
 * Throws one UsageError with the place of each problem.
 */
export function checkArtifacts(yaml: YamlFile<ImageDefinition>): void {
  const { artifacts, lines, version, repositories } = yaml.value
  const problems: YamlProblem[] = []
  for (const [name, one] of Object.entries(artifacts)) {
    const path = ['artifacts', name]
    const versions = lines?.map((line) => one.versions?.[line]) ?? [one.version]
    if (lines && one.version === undefined) {
      for (const line of lines.filter((each) => one.versions?.[each] === undefined)) {
        problems.push({
          path,
          found: `${name} has no version for the line ${line}`,
          fix: 'add it to versions',
          onKey: true,
        })
      }
    } else if (!lines && one.version === undefined) {
      problems.push({ path, found: `${name} has no version`, fix: 'add version: "1.2.3"', onKey: true })
    }
    if ((one.file === undefined) === (one.files === undefined)) {
      problems.push({
        path,
        found: `${name} has ${one.file === undefined ? 'neither files nor file' : 'both files and file'}`,
        fix: 'give files: of a tarball, or file: for the whole file',
        onKey: true,
      })
    }
    const bare = versions.filter((each) => each !== undefined && pinned(one.sha256, each) === undefined)
    if (one.checksums === undefined && bare.length > 0) {
      problems.push({
        path,
        found: `${name} ${bare.join(', ')} has no sha256`,
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
    for (const [name, one] of Object.entries(repositories)) {
      if (!one.url.includes('{line}')) continue
      problems.push({
        path: ['repositories', name, 'url'],
        found: 'the URL has {line} in it',
        fix: 'add lines: to the image',
      })
    }
  }
  yaml.rejectAny(problems)
}

/** The artifacts of an image in one of its lines. */
export function artifactsOf(artifacts: Artifacts, line: string | undefined): Artifact[] {
  return Object.entries(artifacts).map(([name, one]) => {
    const version = (line === undefined ? undefined : one.versions?.[line]) ?? one.version
    if (version === undefined) throw new UsageError(`the artifact ${name} has no version`)
    const fill = (text: string) => fillIn(text, { version, line: line ?? '' })
    return {
      name,
      version,
      urls: one.urls.map(fill),
      checksums: one.checksums === undefined ? undefined : fill(one.checksums),
      sha256: pinned(one.sha256, version),
      files:
        one.file ?? Object.fromEntries(Object.entries(one.files ?? {}).map(([from, to]) => [fill(from), to])),
    }
  })
}

/** A text with `{name}` replaced by its value. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
}

function pinned(sha256: Artifacts[string]['sha256'], version: string): string | undefined {
  return typeof sha256 === 'object' ? sha256[version] : sha256
}
