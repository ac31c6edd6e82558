/** Words that the project does not use, with their replacements. */
export const RETIRED: Readonly<Record<string, string>> = {
  told: 'reported, printed, shown',
  tell: 'report, print, show',
  tells: 'reports, prints, shows',
  telling: 'reporting, printing, showing',
  ask: 'query, request',
  asks: 'queries, requests',
  asked: 'queried, requested',
  asking: 'querying, requesting',
  anew: 'again',
  'so many': 'the number',
  'as whom': 'with which credentials',
  'in its turn': 'then',
  proof: 'test',
  proofs: 'tests',
  prove: 'test',
  proves: 'tests',
  proved: 'tested',
  proven: 'tested',
  proving: 'testing',
}

/** Names of others that contain a retired word: options of sfdisk and systemctl, units of systemd. */
const FOREIGN = /--no-tell-kernel|--no-ask-password|systemd-ask-password/g

export interface Place {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly word: string
}

const pattern = new RegExp(`\\b(${Object.keys(RETIRED).join('|')})\\b`, 'gi')

/** The retired words of a text, in identifiers as well: `askReleases` has `ask`. */
export function retiredIn(file: string, text: string): Place[] {
  return text.split('\n').flatMap((content, index) => {
    const words = content
      .replace(FOREIGN, '')
      .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
      .replaceAll('_', ' ')
    return [...words.matchAll(pattern)].map(([word]) => ({ file, line: index + 1, word: word.toLowerCase() }))
  })
}
