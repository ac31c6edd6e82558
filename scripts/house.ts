/**
 * Counts violations of the rules of the house in a checkout: lines, small files, circles, retired words, and more.
 *
 *   node scripts/house.ts [CHECKOUT]            prints the counts
 *   node scripts/house.ts --check [CHECKOUT]    exits with 1 when a count that has to be 0 is not, and lists the places
 *   node scripts/house.ts --words [CHECKOUT]    lists the retired words with their places
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import ts from 'typescript'
import { formatTable } from '../src/report/table.ts'
import { circlesOf, folderOf, type Graph } from './imports.ts'
import { retiredIn } from './retired-words.ts'

const SMALL_LINES = 50
const MOST_PARAMETERS = 4

/** A file of TypeScript, parsed. */
interface Module {
  readonly file: string
  readonly source: ts.SourceFile
}

async function tracked(checkout: string): Promise<string[]> {
  const { stdout } = await execa('git', ['ls-files', '-z'], { cwd: checkout })
  return stdout.split('\0').filter((file) => file !== '' && !/^(dist|node_modules)\//.test(file))
}

async function parse(checkout: string, files: readonly string[]): Promise<Module[]> {
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(path.join(checkout, file), 'utf8')
      return { file, source: ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true) }
    }),
  )
}

function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  for (const child of node.getChildren()) yield* nodesOf(child)
}

function lines({ source }: Module): number {
  return source.text.split('\n').length - 1
}

/** `...{ a, b }` and `...[a, b]`: a way to pack lines. */
function literalSpreads({ source }: Module): number {
  return [...nodesOf(source)].filter(
    (node) =>
      (ts.isSpreadAssignment(node) || ts.isSpreadElement(node)) &&
      (ts.isObjectLiteralExpression(node.expression) || ts.isArrayLiteralExpression(node.expression)),
  ).length
}

function longSignatures({ source }: Module): number {
  return [...nodesOf(source)].filter(
    (node) => ts.isFunctionLike(node) && node.parameters.length > MOST_PARAMETERS,
  ).length
}

/** The names of the types that a module exports. */
function exportedTypes({ source }: Module): string[] {
  return source.statements.flatMap((statement) => {
    const isType =
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement) ||
      ts.isClassDeclaration(statement)
    if (!isType || !statement.name) return []
    const isExported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    return isExported ? [statement.name.text] : []
  })
}

/** Which modules each module imports, for types as well. */
function importsOf(modules: readonly Module[]): Graph {
  return new Map(
    modules.map(({ file, source }) => {
      const found = source.statements.flatMap((statement) => {
        if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return []
        const { moduleSpecifier: from } = statement
        if (!from || !ts.isStringLiteral(from) || !from.text.startsWith('.')) return []
        return [path.join(path.dirname(file), from.text)]
      })
      return [file, new Set(found)]
    }),
  )
}

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].sort()
}

/** The words themselves, and the test of their search. */
const WORD_LISTS = ['scripts/retired-words.ts', 'test/unit/scripts/house.test.ts']

/** The lines `FILE:LINE: WORD` of the retired words in texts and sources. */
async function retiredWords(checkout: string, files: readonly string[]): Promise<string[]> {
  const texts = files.filter(
    (file) =>
      /\.(ts|md|sh|yml|yaml)$|^images\/.*\/usr\/s?(lib\/seeder|bin)\/|check-values$/.test(file) &&
      !WORD_LISTS.includes(file),
  )
  const found = await Promise.all(
    texts.map(async (file) => retiredIn(file, await readFile(path.join(checkout, file), 'utf8'))),
  )
  return found.flat().map(({ file, line, word }) => `${file}:${line}: ${word}`)
}

function roomGraph(graph: Graph): Graph {
  const rooms: Graph = new Map()
  for (const [file, imported] of graph) {
    const room = folderOf(file)
    const others = [...imported].map(folderOf).filter((other) => other !== room)
    rooms.set(room, new Set([...(rooms.get(room) ?? []), ...others]))
  }
  return rooms
}

/** A line of the table. With `places` it has to be 0. */
interface Count {
  readonly what: string
  readonly count: number
  readonly places?: readonly string[]
}

async function countAll(checkout: string): Promise<Count[]> {
  const all = await tracked(checkout)
  const modules = await parse(
    checkout,
    all.filter((file) => file.endsWith('.ts')),
  )
  const src = modules.filter(({ file }) => file.startsWith('src/'))
  const test = modules.filter(({ file }) => file.startsWith('test/'))
  const graph = importsOf(src)
  const lineCount = (some: readonly Module[]) => some.reduce((sum, module) => sum + lines(module), 0)
  const places = (what: string, found: readonly string[]) => ({ what, count: found.length, places: found })
  const perFile = (what: string, some: readonly Module[], count: (module: Module) => number) => {
    const found = some.flatMap((module) => {
      const number = count(module)
      return number === 0 ? [] : [`${module.file}: ${number}`]
    })
    return { what, count: some.reduce((sum, module) => sum + count(module), 0), places: found }
  }
  return [
    { what: 'lines of src', count: lineCount(src) },
    { what: 'lines of test', count: lineCount(test) },
    {
      what: `files of src under ${SMALL_LINES} lines`,
      count: src.filter((module) => lines(module) < SMALL_LINES).length,
    },
    places(
      'circles of files',
      circlesOf(graph).map((circle) => circle.join(' ')),
    ),
    places(
      'circles of folders',
      circlesOf(roomGraph(graph)).map((circle) => circle.join(' ')),
    ),
    perFile('literal spreads in src', src, literalSpreads),
    perFile('literal spreads in test', test, literalSpreads),
    perFile(`functions of src with more than ${MOST_PARAMETERS} parameters`, src, longSignatures),
    places('exported types with two meanings', repeated(src.flatMap(exportedTypes))),
    places('retired words', await retiredWords(checkout, all)),
  ]
}

async function main(argv: readonly string[]): Promise<number> {
  const checkout = path.resolve(
    argv.find((word) => !word.startsWith('--')) ?? path.join(import.meta.dirname, '..'),
  )
  if (argv.includes('--words')) {
    for (const line of await retiredWords(checkout, await tracked(checkout))) console.log(line)
    return 0
  }
  const counts = await countAll(checkout)
  if (!argv.includes('--check')) {
    console.log(
      formatTable(
        ['what', 'count'],
        counts.map(({ what, count }) => [what, String(count)]),
      ),
    )
    return 0
  }
  const wrong = counts.filter(({ places = [] }) => places.length > 0)
  for (const { what, places = [] } of wrong) console.error(`${what}:\n  ${places.join('\n  ')}`)
  return wrong.length === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
