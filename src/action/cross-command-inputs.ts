import { parseTag } from '../release/format/tag.ts'
import { artifact, type Command, type Inputs } from './input-schemas.ts'

// What the commands of one step mean for each other's inputs.

/** The tag that was pushed need not be given to what is about one release. Demoting is never implied. */
export function impliedTag(
  chosen: readonly Command[],
  given: Readonly<Record<string, string>>,
  { GITHUB_EVENT_NAME: event, GITHUB_REF_TYPE: kind, GITHUB_REF_NAME: pushed = '' }: NodeJS.ProcessEnv,
): Record<string, string> {
  const isNeeded =
    !chosen.includes('demote') &&
    (chosen.includes('promote') ||
      (chosen.includes('deploy') && (given.image === undefined || chosen.includes('publish'))))
  const isRelease = parseTag(pushed.replace(/^promote\//, '')) !== undefined
  return isNeeded && event === 'push' && kind === 'tag' && isRelease ? { tag: pushed } : {}
}

/** What a command gets that is other than the step's inputs, because of the commands beside it. */
export function ownInputs(
  command: Command,
  chosen: readonly Command[],
  given: Readonly<Record<string, string>>,
  { RUNNER_TEMP: temporary }: NodeJS.ProcessEnv,
): Record<string, string | undefined> {
  const beside = (other: Command) => chosen.includes(other)
  switch (command) {
    case 'build':
      // The image is uploaded once, when it is proven.
      return beside('test')
        ? Object.fromEntries(Object.keys(artifact).map((input) => [input, undefined]))
        : {}
    case 'test':
    case 'publish':
    case 'verify':
      return {
        // Only a build needs the image and the folder that it goes to.
        ...(beside('build') && given.directory !== undefined && { image: undefined }),
        // What this very step has made lies in the folder.
        ...(command === 'publish' && (beside('build') || beside('test')) && { artifact: undefined }),
      }
    case 'comment':
      // Where the test leaves what it needs.
      return beside('test') ? { directory: temporary } : {}
    case 'deploy':
      if (beside('demote')) return { version: given.version ?? 'promoted' }
      // The very release that this step is about, also where a higher one is promoted.
      return (beside('publish') || beside('promote')) && given.tag !== undefined ? { image: undefined } : {}
    default:
      return {}
  }
}

/** What the commands of a step have to agree about. */
export function disagreements(all: readonly Inputs[]): string[] {
  const find = <C extends Command>(command: C) =>
    all.find((one): one is Extract<Inputs, { command: C }> => one.command === command)
  const order = all.map(({ command }) => command)
  const [test, comment, publish] = [find('test'), find('comment'), find('publish')]
  const problems: string[] = []
  const builds = order.find((command) => command === 'build' || command === 'test')
  if (builds !== undefined && all.some((inputs) => 'signing-key' in inputs)) {
    problems.push(
      `signing-key: is not for a step with ${builds}, which runs what packages bring; use a job of its own`,
    )
  }
  if (test && comment) {
    if (order.indexOf('comment') < order.indexOf('test'))
      problems.push('command: comment comes after test; write them so')
    if (!test.artifact) problems.push('artifact: missing; the comment after a test needs artifact: true')
    if ((test.directory?.length ?? 1) > 1) problems.push('directory: the comment is for one image; give one')
  }
  const release = find('promote')?.tag ?? find('deploy')?.tag
  if (publish?.image !== undefined && release !== undefined && publish.image !== release.image) {
    problems.push(`tag: it is of ${release.image}, and ${publish.image} is published; give one image`)
  }
  return problems
}
