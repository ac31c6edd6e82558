import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { rolldown } from 'rolldown'
import type { PageAssets } from '../src/page/assets.ts'
import { SeederError } from '../src/report/error.ts'

/** The style's files, in the order of the cascade. */
const STYLES = ['base', 'overview', 'sections', 'tables', 'charts', 'map', 'wide', 'narrow', 'media']

/** Makes the assets of every page: src/page/client as one script for browsers, and src/page/style as one style. */
export async function makePageAssets(checkout: string): Promise<PageAssets> {
  const folder = path.join(checkout, 'src', 'page')
  const styles = STYLES.map((name) => readFile(path.join(folder, 'style', `${name}.css`), 'utf8'))
  return { script: await bundleScript(checkout, folder), style: (await Promise.all(styles)).join('\n') }
}

async function bundleScript(checkout: string, folder: string): Promise<string> {
  const build = await rolldown({
    input: path.join(folder, 'client', 'main.ts'),
    cwd: checkout,
    platform: 'browser',
  })
  try {
    const { output } = await build.generate({ format: 'iife', minify: true, comments: { legal: false } })
    const [chunk, ...more] = output
    if (more.length > 0) throw new SeederError('the script of the page became several files')
    return `${await licencesOf(checkout, chunk.moduleIds)}${chunk.code.trimEnd()}\n`
  } finally {
    await build.close()
  }
}

/** A page contains these packages, so their licences are at the top of its script. */
async function licencesOf(checkout: string, modules: readonly string[]): Promise<string> {
  const root = path.join(checkout, 'node_modules')
  const names = new Set(
    modules.flatMap((file) => /[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(file)?.[1] ?? []),
  )
  const texts = [...names].sort().map(async (name) => {
    const licence = await readFile(path.join(root, name, 'LICENSE'), 'utf8')
    return `/*! ${name}\n${licence.trim()}\n*/\n`
  })
  return (await Promise.all(texts)).join('')
}
