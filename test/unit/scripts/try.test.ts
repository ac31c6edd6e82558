import path from 'node:path'
import { execa } from 'execa'
import { expect, it } from 'vitest'

const TRY = path.resolve(import.meta.dirname, '../../../scripts/try.sh')

it.each([['--help'], ['one', 'two']])('try.sh %s installs and builds nothing', async (...argv) => {
  const { exitCode, stdout, stderr } = await execa(TRY, argv, { reject: false, timeout: 5000 })
  expect({ exitCode, stdout, stderr }).toEqual({
    exitCode: 2,
    stdout: '',
    stderr: 'usage: scripts/try.sh [FOLDER]',
  })
})
