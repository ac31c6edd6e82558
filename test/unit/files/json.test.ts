import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { jsonOf, parseJson, readJson } from '../../../src/files/json.ts'
import { jsonFault } from '../../../src/files/json-fault.ts'
import { readText } from '../../../src/files/text-file.ts'
import { UsageError } from '../../../src/report/error.ts'

let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-json-'))
  file = join(folder, 'some.json')
})
afterEach(() => rm(folder, { recursive: true }))

describe('text that is no JSON', () => {
  it.each([
    ['', 'at line 1, column 1 it ends, and not a value'],
    ['{"a": abc}', 'at line 1, column 7 it has abc}, and not a value'],
    ['{"a": 1,\n  }', 'at line 2, column 3 it has }, and not a name in double quotes'],
    ['{a: 1}', 'at line 1, column 2 it has a: 1}, and not a name in double quotes or }'],
    ['{"a" 1}', 'at line 1, column 6 it has 1}, and not a colon'],
    ['[1 2]', 'at line 1, column 4 it has 2], and not a comma or ]'],
    ['{"a": [1', 'at line 1, column 9 it ends, and not a comma or ]'],
    ['{"a": "x\ny"}', 'at line 1, column 7 it has "x\\ny"}, and not a value'],
    ['{} \u001b[2J', 'at line 1, column 4 it has \\x1b[2J, and not its end'],
    ['[01]', 'at line 1, column 2 it has 01], and not a value or ]'],
  ])('%j: it is said where, what, and what would do', (text, fault) => {
    expect(jsonFault(text)).toBe(fault)
    expect(() => jsonOf(text)).toThrow(`it is no JSON: ${fault}`)
  })

  it('is found where it is behind a thousand values, and text that is JSON is passed through', () => {
    const whole = JSON.stringify({
      list: Array.from({ length: 1000 }, (_, id) => ({ id, 'a"\u007f': [null, -1.5e3] })),
    })
    expect(jsonOf(whole)).toEqual(JSON.parse(whole))
    expect(jsonFault(whole.slice(0, -2))).toBe(
      `at line 1, column ${whole.length - 1} it ends, and not a comma or ]`,
    )
  })
})

describe('a file of JSON', () => {
  const schema = z.object({ name: z.string(), sizes: z.array(z.int()) })
  const read = () =>
    readJson(file, schema, { what: 'a list of sizes', fix: 'make it again', error: UsageError })

  it('is read through its schema', async () => {
    await writeFile(file, '\ufeff{"name": "x", "sizes": [1, 2]}')
    await expect(read()).resolves.toEqual({ name: 'x', sizes: [1, 2] })
  })

  it('that has another form is refused with the fields and what was found in them', async () => {
    await writeFile(file, '{"name": 7, "sizes": [1, "\\u001b[31m"]}')
    await expect(read()).rejects.toMatchObject({
      name: 'UsageError',
      message: `${file} is not a list of sizes: name: found 7, a number; put it in quotes; sizes[1]: found "\\u001b[31m"; give a number`,
      fix: 'make it again',
    })
  })

  it('with very many faults is refused with the first', () => {
    const text = JSON.stringify({ name: 'x', sizes: Array(5000).fill('x'.repeat(5000)) })
    expect(() => parseJson(text, schema)).toThrow(/^sizes\[0\]: .*; and 4997 more$/)
  })

  it('that is not there, is cut short, or is no text, is named', async () => {
    await expect(read()).rejects.toThrow(`${file} is not a list of sizes: it cannot be read (ENOENT)`)
    await writeFile(file, '{"name"')
    await expect(read()).rejects.toThrow(
      `${file} is not a list of sizes: it is no JSON: at line 1, column 8 it ends`,
    )
    await writeFile(file, Buffer.from([0x7b, 0xff, 0x7d]))
    await expect(read()).rejects.toThrow(`${file} is not text in UTF-8: see its byte 1`)
  })

  it('that is huge is not taken into memory', async () => {
    await writeFile(file, '')
    await truncate(file, 5 * 1024 ** 3)
    await expect(read()).rejects.toThrow(/some\.json is too big: such a file has at most 67 MB/)
  })

  it('in whose place there is a pipe, a device or a folder is refused, and not waited for', async () => {
    execFileSync('mkfifo', [file])
    await expect(read()).rejects.toThrow('some.json is not a plain file')
    await expect(readText('/dev/zero')).rejects.toThrow('/dev/zero is not a plain file')
    await expect(readText(folder)).rejects.toMatchObject({ code: 'EISDIR' })
  })

  it('that a shell gives as a pipe is read where a person names it', async () => {
    const text = execFileSync(
      'bash',
      ['-c', 'exec "$0" --input-type=module -e "$1" <(echo \'{"a": 1}\')', process.execPath, program],
      { encoding: 'utf8' },
    )
    expect(text).toBe('{"a": 1}\n')
  })
})

const program = `
  import { readText } from ${JSON.stringify(join(import.meta.dirname, '../../../src/files/text-file.ts'))}
  process.stdout.write(await readText(process.argv[1], { pipes: true }))`
