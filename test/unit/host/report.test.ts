import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseDeployResult, parseTemplateList } from '../../../src/host/deploy-result.ts'
import type { NodeEntry } from '../../../src/host/node/ledger.ts'
import { isDeployHost, makeHostReport, readReportFile } from '../../../src/host/report.ts'
import { testFolder } from '../../support/builds.ts'

const root = await testFolder('report')
afterAll(() => rm(root, { recursive: true, force: true }))

const template = {
  image: 'haproxy',
  version: '3.0.11-1',
  vmid: 9000,
  node: 'pve1',
  storage: 'local',
  current: true,
  deployed: '2026-11-28T12:00:00Z',
  sha256: 'a'.repeat(64),
  clones: [201],
}

const node = (name: string, vmid: number, of: number, state: NodeEntry['state'] = 'created'): NodeEntry => ({
  schema: 1,
  name,
  role: 'haproxy',
  state,
  vmid,
  token: '0'.repeat(32),
  cloned: true,
  joins: false,
  template: { vmid: of, version: '3.0.11-1' },
  addresses: {},
  values: {},
  snippet: { volume: 'local:snippets/x', file: '/x' },
})

const taken = new Date('2026-11-28T12:00:00Z')

describe('the report of a host', () => {
  it('has linked clones, the nodes made of a template, and names where they are known', () => {
    const nodes = [
      node('lb1', 201, 9000),
      node('lb2', 200, 9000),
      node('lb3', 202, 9001),
      node('lb4', 203, 9000, 'reserved'),
    ]
    expect(makeHostReport([template], nodes, taken)).toEqual({
      schema: 1,
      host: 'pve1',
      taken: '2026-11-28T12:00:00.000Z',
      templates: [
        {
          image: 'haproxy',
          version: '3.0.11-1',
          vmid: 9000,
          storage: 'local',
          current: true,
          deployed: '2026-11-28T12:00:00Z',
          sha256: 'a'.repeat(64),
          clones: [
            { vmid: 200, name: 'lb2' },
            { vmid: 201, name: 'lb1' },
          ],
        },
      ],
    })
    expect(makeHostReport([template], [], taken).templates[0]?.clones).toEqual([{ vmid: 201, name: null }])
  })

  it('is read from a file; other files are refused', async () => {
    const report = makeHostReport([template], [], taken)
    const file = join(root, 'report.json')
    await writeFile(file, JSON.stringify(report))
    expect(await readReportFile(file)).toEqual(report)
    await writeFile(file, JSON.stringify({ ...report, schema: 2 }))
    await expect(readReportFile(file)).rejects.toThrow('is not the report of a host')
    await expect(readReportFile(join(root, 'none'))).rejects.toThrow('is not the report of a host')
  })

  it('is available on a Proxmox VE host, and in the sandbox of a runner, which has only deploy.sh', () => {
    expect(isDeployHost((path) => path === '/etc/pve/local')).toBe(true)
    expect(isDeployHost((path) => path === '/usr/local/lib/seeder/deploy.sh')).toBe(true)
    expect(isDeployHost(() => false)).toBe(false)
  })
})

it('the output of deploy.sh is parsed, or refused', () => {
  expect(parseTemplateList(JSON.stringify({ templates: [template] }))).toEqual([template])
  expect(parseDeployResult('{"templates":[]}')).toEqual([])
  for (const text of ['', '{}', '{"templates":[{"image":"haproxy"}]}']) {
    expect(() => parseDeployResult(text)).toThrow('cannot be read as its result')
  }
})
