/**
 * Counts violations of the rules of the house in a checkout: lines, small files, circles, retired words, and more. `--words`
 * lists each retired word with its place instead.
 *
 *   node scripts/house.ts [--words] [CHECKOUT]
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

async function main(argv: readonly string[]): Promise<void> {
  const checkout = path.resolve(
    argv.find((word) => !word.startsWith('--')) ?? path.join(import.meta.dirname, '..'),
  )
  const all = await tracked(checkout)
  const texts = all.filter((file) => /\.(ts|md|sh|yml|yaml)$|^images\/.*\/usr\/lib\/seeder\//.test(file))
  const retired = (
    await Promise.all(
      texts.map(async (file) => retiredIn(file, await readFile(path.join(checkout, file), 'utf8'))),
    )
  ).flat()
  if (argv.includes('--words')) {
    for (const { file, line, word } of retired) console.log(`${file}:${line}: ${word}`)
    return
  }
  const modules = await parse(
    checkout,
    all.filter((file) => file.endsWith('.ts')),
  )
  const src = modules.filter(({ file }) => file.startsWith('src/'))
  const test = modules.filter(({ file }) => file.startsWith('test/'))
  const graph = importsOf(src)
  const rooms: Graph = new Map()
  for (const [file, imported] of graph) {
    const room = folderOf(file)
    const others = [...imported].map(folderOf).filter((one) => one !== room)
    rooms.set(room, new Set([...(rooms.get(room) ?? []), ...others]))
  }
  const sum = (some: readonly Module[], count: (one: Module) => number) =>
    String(some.reduce((total, one) => total + count(one), 0))
  const counts = [
    ['lines of src', sum(src, lines)],
    ['lines of test', sum(test, lines)],
    [`files of src under ${SMALL_LINES} lines`, String(src.filter((one) => lines(one) < SMALL_LINES).length)],
    ['circles of files', String(circlesOf(graph).length)],
    [
      'circles of folders',
      circlesOf(rooms)
        .map((circle) => circle.join(' '))
        .join('; ') || '0',
    ],
    ['literal spreads in src', sum(src, literalSpreads)],
    ['literal spreads in test', sum(test, literalSpreads)],
    [`functions of src with more than ${MOST_PARAMETERS} parameters`, sum(src, longSignatures)],
    ['exported types with two meanings', String(repeated(src.flatMap(exportedTypes)).length)],
    ['retired words', String(retired.length)],
  ]
  console.log(formatTable(['what', 'count'], counts))
}

await main(process.argv.slice(2))
