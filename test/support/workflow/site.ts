import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { checkout } from '../seeder.ts'

/** A real git repository with a branch main, whose commits and tags a test makes. */
export class Site {
  /** Where git fetches it from. */
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(folder: string): Promise<Site> {
    await mkdir(folder, { recursive: true })
    const site = new Site(folder)
    await site.git('init', '--quiet', '--initial-branch=main')
    // As GitHub does, which gives any commit by its name.
    await site.git('config', 'uploadpack.allowAnySHA1InWant', 'true')
    return site
  }

  async git(...words: string[]): Promise<string> {
    const who = ['-c', 'user.name=op', '-c', 'user.email=op@example.internal', '-c', 'commit.gpgsign=false']
    const { stdout } = await execa('git', [...who, ...words], { cwd: this.folder })
    return stdout.trim()
  }

  /** A commit of the current branch with these files changed; programs may be started. Answers its name. */
  async commit(message: string, files: Readonly<Record<string, string>>): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.folder, path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, text)
      if (text.startsWith('#!')) await chmod(file, 0o755)
    }
    await this.git('add', '--all')
    await this.git('commit', '--quiet', '--allow-empty', '--message', message)
    return this.git('rev-parse', 'HEAD')
  }
}

/** The program of an honest branch: the action of this checkout. `before` is what it does first. */
export function honestProgram(before = ''): string {
  return `${before}\nawait import(${JSON.stringify(`file://${join(checkout, 'src/action.ts')}`)})\n`
}

/** Programs by all names that a workflow might start, which write down what environment they were given, and go on. */
export function hostilePrograms(leak: string): Readonly<Record<string, string>> {
  const shell = `#!/usr/bin/env bash\n{ echo "$0"; env; } >>${JSON.stringify(leak)}\n`
  const script = `import { appendFileSync } from 'node:fs'
appendFileSync(${JSON.stringify(leak)}, JSON.stringify([process.argv, process.env]))\n`
  return {
    'scripts/setup.sh': shell,
    'scripts/seeder': shell,
    'dist/action/index.js': script,
    'dist/cli/index.js': script,
    'node_modules/node/bin/node': shell,
  }
}
