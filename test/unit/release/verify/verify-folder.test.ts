import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyFolder } from '../../../../src/release/verify/verify-folder.ts'
import { testFolder } from '../../../support/builds.ts'
import { makeSigner, type SmallImage, sha256, sign } from '../../../support/deploy/image.ts'
import { makeTestedBuild, reportOf, tamper, writeReport } from '../../../support/release/tested-build.ts'

const root = await testFolder('verify folder')
let image: SmallImage
let allowed: string
let count = 0

beforeAll(async () => {
  image = await makeTestedBuild(join(root, 'image'), null, { evidence: true })
  const signer = await makeSigner(join(root, 'keys'))
  await sign(image.folder, signer)
  allowed = join(root, 'allowed')
  await writeFile(allowed, signer.allowed)
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** What is not right after a change of a copy, by what it is about. */
async function findings(change: (folder: string) => Promise<unknown>, signers: string | undefined = allowed) {
  const folder = join(root, `copy-${count++}`)
  await cp(image.folder, folder, { recursive: true })
  await change(folder)
  const found = await verifyFolder(folder, signers)
  return Object.fromEntries(
    found
      .filter(({ result }) => result !== 'right')
      .map(({ what, result, found }) => [what, `${result}: ${found}`]),
  )
}

const unchecked = { 'content of the disk': expect.stringMatching(/^not checked: deploy\.sh compares/) }
const disk = 'haproxy-3.0.11-1.qcow2'

/** Changes a text in a file, and the digests with it. */
async function edit(folder: string, name: string, from: string | RegExp, to: string): Promise<void> {
  const file = join(folder, name)
  await writeFile(file, (await readFile(file, 'utf8')).replace(from, to))
  const sums = join(folder, 'SHA256SUMS')
  const digest = sha256(await readFile(file))
  await writeFile(
    sums,
    (await readFile(sums, 'utf8')).replace(new RegExp(`^.{64}(?=  ${name}$)`, 'm'), digest),
  )
}

describe('a folder', () => {
  it('as it was signed has nothing wrong, and the disk’s content is not checked', async () => {
    expect(await findings(async () => {})).toEqual(unchecked)
  })

  it('without a required signature, or with that of a changed file', async () => {
    const unsigned = await findings((folder) => rm(join(folder, 'SHA256SUMS.sig')))
    expect(unsigned.signature).toMatch(/^wrong: .* is not signed/)
    const without = await verifyFolder(image.folder, undefined)
    expect(without[0]).toMatchObject({ what: 'signature', result: 'not checked' })
    const changed = await findings((folder) => edit(folder, 'template.conf', /^CORES=.*$/m, 'CORES=64'))
    expect(changed).toEqual({
      ...unchecked,
      signature: expect.stringMatching(/^wrong: the signature of SHA256SUMS/),
      'content of haproxy-3.0.11-1.provenance.json': 'wrong: it is not of this template.conf',
    })
  })

  it('with a file that was changed, is missing, or is a link', async () => {
    expect(await findings((folder) => tamper(join(folder, 'template.conf')))).toMatchObject({
      'template.conf': expect.stringMatching(/^wrong: /),
    })
    expect((await findings((folder) => rm(join(folder, disk))))[disk]).toBe('wrong: it is not there')
    const linked = await findings(async (folder) => {
      await rm(join(folder, disk))
      await symlink(join(image.folder, disk), join(folder, disk))
    })
    expect(linked[disk]).toBe('wrong: it is not a plain file')
  })

  it('of two builds', async () => {
    const found = await findings(
      (folder) => edit(folder, 'template.conf', /^RAW_SHA256=.*$/m, `RAW_SHA256=${'0'.repeat(64)}`),
      undefined,
    )
    expect(found['content of template.conf']).toBe('wrong: RAW_SHA256 is not the manifest’s')
  })

  it('whose disk a host may not take', async () => {
    const backed = async (folder: string) => {
      const content = await readFile(join(folder, disk))
      content.writeBigUInt64BE(512n, 8)
      await writeFile(join(folder, disk), content)
    }
    expect((await findings(backed)).qcow2).toBe('wrong: it wants another image as its backing file')
    expect((await findings((folder) => writeFile(join(folder, disk), 'short'))).qcow2).toMatch(/no qcow2/)
  })

  it('whose test was red, about another image, or is missing', async () => {
    const report = reportOf(image.manifest)
    const red = await findings((folder) => writeReport(folder, { ...report, passed: false }))
    expect(red['test-report.json']).toMatch(/^wrong: haproxy 3\.0\.11-1 did not pass/)
    const other = await findings((folder) => writeReport(folder, { ...report, raw: { sha256: null } }))
    expect(other['test-report.json']).toMatch(/^wrong: .* another disk/)
    const none = await findings((folder) => rm(join(folder, 'test-report.json')))
    expect(none['test-report.json']).toMatch(/^not checked: /)
  })

  it('with a file that is not listed, or with lines that are no digests', async () => {
    const more = await findings((folder) => writeFile(join(folder, 'notes'), ''))
    expect(more.notes).toBe('not checked: SHA256SUMS does not name it')
    const evil = (folder: string) =>
      writeFile(join(folder, 'SHA256SUMS'), `${'0'.repeat(64)}  ../../etc/passwd\n`)
    await expect(findings(evil)).rejects.toThrow('SHA256SUMS has an invalid line')
    await expect(verifyFolder(root, undefined)).rejects.toThrow('does not hold a build')
  })

  it('of which any file was changed by one byte, names that file', async () => {
    const sums = (await readFile(join(image.folder, 'SHA256SUMS'), 'utf8')).split('\n').filter(Boolean)
    const names = sums.map((line) => line.slice(66))
    expect(names).toEqual([
      'haproxy-3.0.11-1.manifest.json',
      'haproxy-3.0.11-1.qcow2',
      'template.conf',
      ...['files', 'spdx', 'cdx', 'bundle', 'provenance'].map((kind) => `haproxy-3.0.11-1.${kind}.json`),
    ])
    for (const name of names) {
      const found = await findings((folder) => tamper(join(folder, name)))
      expect([name, found[name]]).toEqual([name, expect.stringMatching(/^wrong: its sha256 is/)])
    }
    for (const name of ['SHA256SUMS', 'SHA256SUMS.sig']) {
      const found = await findings((folder) => tamper(join(folder, name))).catch((error: Error) => ({
        signature: `wrong: ${error.message}`,
      }))
      expect([name, found.signature]).toEqual([name, expect.stringMatching(/^wrong: .*SHA256SUMS/)])
    }
  })

  it.each([
    ['files', '"path":"/usr', '"pth":"/usr', 'files[0].path: missing; add it (text)'],
    ['files', '"haproxy"', '"etcd"', 'it is of etcd 3.0.11-1'],
    ['spdx', '"versionInfo":"3.0.11-1"', '"versionInfo":"3.0.12-1"', 'it is of haproxy 3.0.12-1'],
    ['spdx', /"checksumValue":"\w+"/, `"checksumValue":"${'0'.repeat(64)}"`, 'it is of another disk'],
    ['cdx', '3.0.11-1', '3.0.12-1', 'it is of haproxy 3.0.12-1'],
    ['cdx', /^/, '{', 'it is no JSON: at line 1, column 2 it has '],
    [
      'provenance',
      /"sha256":"\w+"/,
      `"sha256":"${'0'.repeat(64)}"`,
      'it is not of this haproxy-3.0.11-1.manifest.json',
    ],
    [
      'provenance',
      /("name":"lock","digest":{"sha256":)"\w+"/,
      `$1"${'0'.repeat(64)}"`,
      'it names another lock',
    ],
    ['bundle', '"commit": null', `"commit": "${'1'.repeat(40)}"`, 'it names another commit'],
    ['bundle', /("raw": {\s+"sha256": )"\w+"/, `$1"${'0'.repeat(64)}"`, 'it is of another disk'],
    ['bundle', /("lock": {\s+"sha256": )"\w+"/, `$1"${'0'.repeat(64)}"`, 'it names another lock'],
    ['bundle', 'project/', '../', 'files[0].path: found "../platform.yaml"; write it as '],
    ['bundle', 'project/', 'store/', 'store/platform.yaml is not named by its digest'],
    ['provenance', 'slsa.dev', 'slsb.dev', 'predicateType: found "https://slsb.dev/provenance/v1"; '],
  ])('whose %s.json contradicts the others (%s)', async (kind, from, to, problem) => {
    const name = `haproxy-3.0.11-1.${kind}.json`
    const found = await findings((folder) => edit(folder, name, from, to), undefined)
    expect(found[`content of ${name}`]?.startsWith(`wrong: ${problem}`)).toBe(true)
  })

  it('without evidence, as of an older version, says so', async () => {
    const older = await makeTestedBuild(join(root, 'older'), null)
    const found = await verifyFolder(older.folder, undefined)
    expect(
      found.filter(({ what }) => what.startsWith('content of haproxy')).map(({ result }) => result),
    ).toEqual(Array(5).fill('not checked'))
  })
})
