import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type MakeFlags, publicKeys, requestOf } from '../../../src/commands/node-options.ts'

let folder = ''
const at = (name: string) => join(folder, name)
const flags = (more: Partial<MakeFlags> = {}): MakeFlags => ({
  set: [],
  vmidRange: '200-999',
  wait: 900,
  ...more,
})

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder options '))
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ops; reboot', '-f', at('id')])
  await writeFile(at('values.env'), '# secret\nJOIN_TOKEN=abcdef.0123456789abcdef\nNODEPORTS="30080 30443"\n')
  await writeFile(at('bad.env'), 'export A=1\nB="\n')
  await writeFile(at('empty'), '\n# nothing\n')
})
afterAll(() => rm(folder, { recursive: true }))

describe('the options of `seeder node`', () => {
  it('make a request', async () => {
    const set = ['BOOTSTRAP=join', 'CLUSTER_NAME= a=b ', 'POD_CIDR=']
    const more = { set, env: at('values.env'), sshKeys: at('id.pub'), vmidRange: '300-310' }
    expect(
      await requestOf(['w1'], 'worker', flags(more), { BOOTSTRAP: 'none', KUBE_PROXY_MODE: 'nftables' }),
    ).toEqual({
      names: ['w1'],
      role: 'worker',
      newCluster: false,
      vmids: { first: 300, last: 310 },
      full: false,
      storage: undefined,
      dataDisk: undefined,
      sshKeys: at('id.pub'),
      user: undefined,
      values: {
        KUBE_PROXY_MODE: 'nftables',
        JOIN_TOKEN: 'abcdef.0123456789abcdef',
        NODEPORTS: '30080 30443',
        BOOTSTRAP: 'join',
        CLUSTER_NAME: 'a=b',
        POD_CIDR: '',
      },
    })
  })

  it.each([
    [{ set: ['NODEPORTS'] }, '--set: "NODEPORTS" is not KEY=VALUE'],
    [{ set: ['A B=1'] }, '--set: "A B=1" is not KEY=VALUE'],
    [
      { set: ['JOIN_TOKEN=abcdef.0123456789abcdef'] },
      '--set JOIN_TOKEN: every user of this host can read a command line',
    ],
    [{ env: 'none.env' }, '--env: none.env cannot be read'],
    [{ sshKeys: 'none.pub' }, '--ssh-keys: none.pub cannot be read'],
    [{ vmidRange: '1-2' }, '"1-2" is not a range of VM ids'],
  ])('are refused when they cannot be meant', async (more, message) => {
    await expect(requestOf(['w1'], 'worker', flags(more))).rejects.toMatchObject({
      name: 'UsageError',
      message,
    })
  })

  it('report every line of a file that is not KEY=value', async () => {
    await expect(requestOf(['w1'], 'worker', flags({ env: at('bad.env') }))).rejects.toThrow(
      /bad\.env: line 1: is not KEY=value\n.*bad\.env: B: has a quote/,
    )
  })

  it('accept public keys and nothing else', async () => {
    await expect(requestOf(['w1'], 'worker', flags({ sshKeys: at('id') }))).rejects.toMatchObject({
      message: `${at('id')} is a private key`,
      fix: `name the public one: ${at('id')}.pub`,
    })
    await expect(requestOf(['w1'], 'worker', flags({ sshKeys: at('empty') }))).rejects.toThrow(
      `${at('empty')} has no key in it`,
    )
    await expect(requestOf(['w1'], 'worker', flags({ sshKeys: at('values.env') }))).rejects.toThrow(
      `${at('values.env')}: line 2: has no type of key that sshd knows`,
    )
  })

  it('give Proxmox VE a copy of keys that it would refuse', async () => {
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0sLxB2JT229G7/XhX72Z8enPxvJrFURkVXoxq4UsAy'
    await writeFile(at('plain.pub'), `${key} op\n`)
    expect(await publicKeys(at('plain.pub'), at('copies'))).toBe(at('plain.pub'))
    await writeFile(at('keys'), `\uFEFF# mine\r\n${key} op: laptop\r\n`)
    const copy = await publicKeys(at('keys'), at('copies'))
    expect(copy).toMatch(/copies\/ssh-keys-[0-9a-f]{16}\.pub$/)
    expect(await readFile(copy, 'utf8')).toBe(`${key} op laptop\n`)
    expect(await publicKeys(at('keys'), at('copies'))).toBe(copy)
    await writeFile(at('marked'), `\uFEFF${key} op laptop\n`)
    expect(await publicKeys(at('marked'), at('copies'))).toBe(copy)
  })
})
