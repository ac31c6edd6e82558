import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { expect, it, onTestFinished } from 'vitest'
import { findShellScripts } from '../../../scripts/shell-scripts.ts'

it('finds scripts by name and by shebang, committed or new, and no ignored, deleted or other files', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'seeder shell '))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const files: Record<string, string> = {
    'committed.sh': '#!/bin/sh\n',
    'env-bash': '#!/usr/bin/env bash\n',
    'plain dash': '#! /bin/dash -e\n',
    'library.sh': '# shellcheck shell=bash\n',
    'deleted.sh': '#!/bin/sh\n',
    'ignored.sh': '#!/bin/sh\n',
    python: '#!/usr/bin/env python3\n',
    'text.md': 'about #!/bin/sh\n',
    empty: '',
    '.gitignore': 'ignored.sh\n',
  }
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder, name), content)
  await execa('git', ['init', '-q'], { cwd: folder })
  await execa('git', ['add', 'committed.sh', 'deleted.sh'], { cwd: folder })
  await rm(path.join(folder, 'deleted.sh'))

  expect(await findShellScripts(folder)).toEqual(['committed.sh', 'env-bash', 'library.sh', 'plain dash'])
})
