import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { childEnvironment, execa } from '../../../src/process/child-process.ts'

const source = join(import.meta.dirname, '../../../src')

describe('what a program that Seeder starts gets of the environment', () => {
  it('is what it needs to run, and no key and no token', () => {
    const needed = {
      PATH: '/bin',
      HOME: '/root',
      LC_ALL: 'C',
      https_proxy: 'http://proxy:3128',
      GIT_DIR: '/x',
      TMPDIR: '/var/tmp',
      SEEDER_MIRROR_DEBIAN: 'http://mirror',
    }
    const secrets = {
      SEEDER_SIGNING_KEY: 'k',
      GITHUB_TOKEN: 't',
      GH_TOKEN: 't',
      'INPUT_SIGNING-KEY': 'k',
      INPUT_TOKEN: 't',
      ACTIONS_RUNTIME_TOKEN: 't',
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't',
      NODE_OPTIONS: '--require x',
      LD_PRELOAD: 'x',
      AWS_SECRET_ACCESS_KEY: 's',
    }
    expect(childEnvironment({ ...needed, ...secrets })).toEqual(needed)
  })

  it('is all that one gets which is started', async () => {
    process.env.SEEDER_SIGNING_KEY = 'a key'
    const { stdout } = await execa('env', [], { env: { MORE: 'x' } }).finally(() => {
      delete process.env.SEEDER_SIGNING_KEY
    })
    expect(stdout).toContain('MORE=x')
    expect(stdout).toContain('PATH=')
    expect(stdout).not.toContain('a key')
  })

  it('is said wherever one is started', async () => {
    const files = (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))
    for (const name of files) {
      const text = await readFile(join(source, name), 'utf8')
      const calls = [...text.matchAll(/\bspawn\(/g)].length
      expect([...text.matchAll(/^\s+env: |, env: /gm)].length, name).toBeGreaterThanOrEqual(calls)
      if (text.includes("from 'execa'") && name !== 'process/child-process.ts')
        expect(text, name).toContain('HOST_ENVIRONMENT')
      // The copy of this program that boots an image is no stranger.
      if (name !== 'vm/namespace.ts') expect(text, name).not.toMatch(/extendEnv: true|\.\.\.process\.env/)
    }
  })
})
