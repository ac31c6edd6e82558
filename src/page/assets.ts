import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'

/** What every page has in it beside its content: text, as it was made by scripts/bundle.ts. */
export interface PageAssets {
  /** src/page/client, for a browser. */
  readonly script: string
  readonly style: string
}

/** Reads the assets of the checkout that the program belongs to. Throws SeederError when they are not there. */
export async function readPageAssets(checkout: string): Promise<PageAssets> {
  const folder = join(checkout, 'dist', 'cli')
  try {
    const [script, style] = await Promise.all([
      readFile(join(folder, 'page.js'), 'utf8'),
      readFile(join(folder, 'page.css'), 'utf8'),
    ])
    return { script, style }
  } catch (cause) {
    throw new SeederError(`${folder} has no page.js and page.css, which every page is made with`, {
      fix: 'run `npm run build`, or get a whole checkout',
      cause,
    })
  }
}
