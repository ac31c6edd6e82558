import { parseTag } from '../release/format/tag.ts'
import { artifact, type Command, type Inputs } from './input-schemas.ts'

// The inputs of a command depend on the other commands of the same step.

/** A pushed tag is the default of `tag` for promote and deploy. It never implies a demotion. */
export function impliedTag(
  chosen: readonly Command[],
  given: Readonly<Record<string, string>>,
  { GITHUB_EVENT_NAME: event, GITHUB_REF_TYPE: kind, GITHUB_REF_NAME: pushed = '' }: NodeJS.ProcessEnv,
): Record<string, string> {
  const usesTag =
    !chosen.includes('demote') &&
    (chosen.includes('promote') ||
      (chosen.includes('deploy') && (given.image === undefined || chosen.includes('publish'))))
  const isRelease = parseTag(pushed.replace(/^promote\//, '')) !== undefined
  return usesTag && event === 'push' && kind === 'tag' && isRelease ? { tag: pushed } : {}
}

/** The inputs that the other commands of the step change for a command; undefined removes an input. */
export function overriddenInputs(
  command: Command,
  chosen: readonly Command[],
  given: Readonly<Record<string, string>>,
  { RUNNER_TEMP: temporary }: NodeJS.ProcessEnv,
): Record<string, string | undefined> {
  const isWith = (other: Command) => chosen.includes(other)
  switch (command) {
    case 'build':
      // The image is uploaded once, after its test.
      return isWith('test')
        ? Object.fromEntries(Object.keys(artifact).map((input) => [input, undefined]))
        : {}
    case 'test':
    case 'publish':
    case 'verify':
      return {
        // Only a build takes both the image and the folder.
        ...(isWith('build') && given.directory !== undefined && { image: undefined }),
        // This step has made the build, so it is in the folder.
        ...(command === 'publish' && (isWith('build') || isWith('test')) && { artifact: undefined }),
      }
    case 'comment':
      // The test writes the entry for the comment there.
      return isWith('test') ? { directory: temporary } : {}
    case 'deploy':
      if (isWith('demote')) return { version: given.version ?? 'promoted' }
      // Deploys the release of this step, even when a higher version is promoted.
      return (isWith('publish') || isWith('promote')) && given.tag !== undefined ? { image: undefined } : {}
    default:
      return {}
  }
}

/** The conflicts between the commands of a step; a line each. */
export function findConflicts(all: readonly Inputs[]): string[] {
  const find = <C extends Command>(command: C) =>
    all.find((inputs): inputs is Extract<Inputs, { command: C }> => inputs.command === command)
  const order = all.map(({ command }) => command)
  const [test, comment, publish] = [find('test'), find('comment'), find('publish')]
  const problems: string[] = []
  const builds = order.find((command) => command === 'build' || command === 'test')
  if (builds !== undefined && all.some((inputs) => 'signing-key' in inputs)) {
    problems.push(
      `signing-key: is not for a step with ${builds}, which runs scripts of packages; use a separate job`,
    )
  }
  if (test && comment) {
    if (order.indexOf('comment') < order.indexOf('test'))
      problems.push('command: comment comes after test; change the order')
    if (!test.artifact) problems.push('artifact: missing; the comment after a test needs artifact: true')
    if ((test.directory?.length ?? 1) > 1) problems.push('directory: the comment is for one image; give one')
  }
  const release = find('promote')?.tag ?? find('deploy')?.tag
  if (publish?.image !== undefined && release !== undefined && publish.image !== release.image) {
    problems.push(`tag: is of ${release.image}, but the step publishes ${publish.image}; give one image`)
  }
  return problems
}
