import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseSshKeys } from '../../../src/guest/ssh-keys.ts'

const blob = 'AAAAC3NzaC1lZDI1NTE5AAAAIO0sLxB2JT229G7/XhX72Z8enPxvJrFURkVXoxq4UsAy'
const key = `ssh-ed25519 ${blob}`

describe('a file of ssh keys', () => {
  it.each([
    ['a key', `${key} op@host\n`, `${key} op@host`],
    ['a key without a comment', key, key],
    ['a byte order mark', `\uFEFF${key} op@host\n`, `${key} op@host`],
    ['Windows line ends', `${key} op@host\r\n\r\n`, `${key} op@host`],
    ['comments and blank lines', `# mine\n\n  # indented\n${key}\n   \n`, key],
    ['blanks at the ends and tabs', `  ${key}\top  \n`, `${key} op`],
    ['a comment with a colon', `${key} op: laptop:\n`, `${key} op laptop`],
    ['a comment with a #', `${key} op@host # work: laptop\n`, `${key} op@host work laptop`],
    ['a comment of other letters', `${key} Jürgen\n`, `${key} Jürgen`],
    ['a comment with a control character', `${key} a\u0007b\n`, `${key} ab`],
    [
      'options',
      `from="10.0.0.0/8,192.168.3.0/24",no-agent-forwarding ${key} op\n`,
      `from="10.0.0.0/8,192.168.3.0/24",no-agent-forwarding ${key} op`,
    ],
    [
      'options with blanks and quotes in their values',
      `command="echo \\"hello world\\"",restrict,pty ${key}\n`,
      `command="echo \\"hello world\\"",restrict,pty ${key}`,
    ],
    ['a CA', `cert-authority,principals="ops" ${key}\n`, `cert-authority,principals="ops" ${key}`],
  ])('with %s is accepted', (_, text, expected) => {
    expect(parseSshKeys(text)).toEqual({ keys: [expected], problems: [] })
    // As Proxmox VE writes it.
    expect(parse(`ssh_authorized_keys:\n  - ${expected}\n`)).toEqual({ ssh_authorized_keys: [expected] })
  })

  it.each([
    [
      'another text',
      `# keys\nhello\n`,
      2,
      expect.stringContaining('has no type of key that sshd knows: ssh-ed25519'),
    ],
    [
      'a key of a retired type',
      `ssh-dss AAAAB3NzaC1kc3M= x\n`,
      1,
      expect.stringContaining('has no type of key'),
    ],
    [
      'a key that is cut short',
      `${key}\nssh-ed25519 ${blob.slice(0, 40)} op\n`,
      2,
      'has a key that is cut short',
    ],
    ['no blob', 'ssh-ed25519\n', 1, 'has no key in base64 after its type'],
    ['a blob of another type', `ssh-rsa ${blob}\n`, 1, 'is a key of another type than ssh-rsa'],
    ['an unknown option', `no-fun ${key}\n`, 1, 'has an option that sshd does not know: no-fun'],
    ['an option without its value', `from ${key}\n`, 1, 'has an option that sshd does not know: from'],
    ['an option without quotes', `from=10.0.0.1 ${key}\n`, 1, 'has no quotes around the value of from'],
    [
      'an option that YAML would cut',
      `environment="A=b: c" ${key}\n`,
      1,
      'has ": " or " #" in its options, which Proxmox VE cannot write on the drive',
    ],
  ])('with %s is refused with its line', (_, text, line, reason) => {
    expect(parseSshKeys(text).problems).toEqual([{ line, reason }])
  })
})

it('is accepted and refused as by ssh-keygen itself, for every type of key that it makes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-ssh-keys-'))
  try {
    for (const type of ['ed25519', 'rsa', 'ecdsa']) {
      const file = join(folder, type)
      await execa('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'op', '-f', file])
      const { stdout } = await execa('cat', [`${file}.pub`])
      expect(parseSshKeys(stdout)).toEqual({ keys: [stdout], problems: [] })
      const [name = '', made = ''] = stdout.split(' ')
      for (const size of [20, 30, made.length - 8, made.length - 4]) {
        const cut = `${name} ${made.slice(0, size)}`
        await writeFile(`${file}.cut`, `${cut}\n`)
        const { exitCode } = await execa('ssh-keygen', ['-l', '-f', `${file}.cut`], { reject: false })
        expect([cut, parseSshKeys(cut).problems.length > 0]).toEqual([cut, exitCode !== 0])
      }
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
