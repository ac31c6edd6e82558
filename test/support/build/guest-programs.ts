import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { checkout } from '../seeder.ts'

/** What cloud-init's modules of our configuration call, each in a process of its own. */
const CLOUD_INIT_CALLS = ['useradd', 'usermod', 'passwd', 'ssh-keygen', 'hostname', 'ip', 'blkid', 'udevadm']

/** Trees of images whose scripts run in a machine. `check-values` beside a tree runs on the host. */
const treesOf = (image: string) => ['images/common/tree', join('images', image, 'tree')]

/** A node of a script's syntax tree, as shfmt writes it. */
interface Syntax {
  readonly Type?: string
  readonly Name?: { readonly Value: string }
  readonly Args?: readonly { readonly Parts: readonly { readonly Type: string; readonly Value?: string }[] }[]
}

/** The programs that the shell scripts of an image call by name, and those that cloud-init calls. */
export async function guestPrograms(image: string): Promise<string[]> {
  const called = new Set(CLOUD_INIT_CALLS)
  const functions = new Set<string>()
  for (const tree of treesOf(image)) {
    for (const entry of await readdir(join(checkout, tree), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
      if (!/^#!\/bin\/(ba)?sh|^# shellcheck shell=/.test(text)) continue
      await readCalls(text, called, functions)
    }
  }
  const { stdout: own } = await execa('bash', ['-c', 'compgen -bk'])
  const known = new Set([...own.split('\n'), ...functions])
  return [...called].filter((word) => !known.has(word)).sort()
}

/** The words that a shell script calls as commands, without its own functions, as shfmt's parser reads it. */
export async function commandsOf(script: string): Promise<string[]> {
  const [called, functions] = [new Set<string>(), new Set<string>()]
  await readCalls(script, called, functions)
  return [...called].filter((word) => !functions.has(word)).sort()
}

async function readCalls(script: string, called: Set<string>, functions: Set<string>): Promise<void> {
  const { stdout } = await execa('shfmt', ['--language-dialect=bash', '--to-json'], { input: script })
  visit(JSON.parse(stdout), called, functions)
}

function visit(node: unknown, called: Set<string>, functions: Set<string>): void {
  if (node === null || typeof node !== 'object') return
  const { Type, Name, Args } = node as Syntax
  if (Type === 'FuncDecl' && Name) functions.add(Name.Value)
  const [part, ...others] = Args?.[0]?.Parts ?? []
  if (Type === 'CallExpr' && part?.Type === 'Lit' && part.Value !== undefined && others.length === 0) {
    called.add(part.Value)
  }
  for (const child of Object.values(node)) visit(child, called, functions)
}
