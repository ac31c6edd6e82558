import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'

/** The script and the style that every page embeds, as scripts/bundle.ts makes them. */
export interface PageAssets {
  /** src/page/client, for a browser. */
  readonly script: string
  readonly style: string
}

/**
 * Reads the assets of the checkout that the program belongs to.
 * @throws SeederError when a file is missing
 */
export async function readPageAssets(checkout: string): Promise<PageAssets> {
  const folder = join(checkout, 'dist', 'cli')
  try {
    const [script, style] = await Promise.all([
      readFile(join(folder, 'page.js'), 'utf8'),
      readFile(join(folder, 'page.css'), 'utf8'),
    ])
    return { script, style }
  } catch (cause) {
    throw new SeederError(`read the script and style of pages: ${folder} has no page.js and page.css`, {
      fix: 'run `npm run build`, or get a whole checkout',
      cause,
    })
  }
}
