import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findImage } from '../../../src/boot-test/image-under-test.ts'
import { reportFileOf, subjectOf } from '../../../src/boot-test/run.ts'

const digest = 'a'.repeat(64)
const manifest = {
  image: 'haproxy',
  version: '3.0.11-1',
  raw: { sha256: digest, size: 10 },
  usr: { roothash: digest, size: 1 },
  qcow2: { file: 'haproxy-3.0.11-1.qcow2', sha256: digest, size: 5 },
}
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder out '))
})
afterEach(() => rm(folder, { recursive: true }))
const put = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))

test('the folder of a build holds one image and its manifest', async () => {
  await put('haproxy-3.0.11-1.manifest.json', { ...manifest, more: 1 })
  await put('haproxy-3.0.11-1.qcow2', 'disk')
  expect(await findImage(folder)).toEqual({
    name: 'haproxy',
    qcow2: join(folder, 'haproxy-3.0.11-1.qcow2'),
    manifest,
    reportFile: join(folder, 'test-report.json'),
  })
  expect((await findImage(join(folder, 'haproxy-3.0.11-1.qcow2'))).manifest).toEqual(manifest)
})

test('a file without a manifest is identified by its name', async () => {
  await put('kubernetes-node-1.37.1-1.qcow2', 'disk')
  expect(await findImage(join(folder, 'kubernetes-node-1.37.1-1.qcow2'))).toEqual({
    name: 'kubernetes-node',
    qcow2: join(folder, 'kubernetes-node-1.37.1-1.qcow2'),
    manifest: undefined,
    reportFile: join(folder, 'kubernetes-node-1.37.1-1.test-report.json'),
  })
})

test('an image that cannot be tested is refused with what was found', async () => {
  await expect(findImage(join(folder, 'nothing'))).rejects.toThrow('there is nothing')
  await expect(findImage(folder)).rejects.toThrow('it has no *.manifest.json')
  await put('haproxy.manifest.json', manifest)
  await expect(findImage(folder)).rejects.toThrow('names haproxy-3.0.11-1.qcow2; it is not there')
  await put('other.manifest.json', manifest)
  await expect(findImage(folder)).rejects.toThrow('holds more than one image')
  await put('other.manifest.json', { ...manifest, raw: { sha256: 'zz', size: 1 } })
  await expect(findImage(folder)).rejects.toThrow(
    /other\.manifest\.json is not the manifest of an image: raw\.sha256: found "zz"; write it as /,
  )
  await put('other.manifest.json', '{"image":')
  await expect(findImage(folder)).rejects.toThrow(
    'other.manifest.json is not the manifest of an image: it is no JSON: at line 1, column',
  )
})

test('an image without a contract is refused', async () => {
  await mkdir(join(folder, 'x'))
  await put('x/debian-13.qcow2', 'disk')
  const unknown = await findImage(join(folder, 'x/debian-13.qcow2'))
  expect(() => subjectOf([unknown])).toThrow('there is no contract for the image debian (debian-13.qcow2)')
})

test('one image is tested alone, one of each kind together, and any other selection is refused', () => {
  const image = (name: string) => ({
    name,
    qcow2: `/${name}/${name}-1.qcow2`,
    manifest: undefined,
    reportFile: `/${name}/test-report.json`,
  })
  const all = ['etcd', 'kubernetes-node', 'haproxy'].map(image)
  const [etcd, node] = all
  expect(subjectOf([image('etcd')])).toEqual({ kind: 'image', image: etcd })
  expect(reportFileOf(subjectOf([image('etcd')]))).toBe('/etcd/test-report.json')
  expect(subjectOf(all)).toMatchObject({ kind: 'together', images: { etcd, 'kubernetes-node': node } })
  expect(reportFileOf(subjectOf(all))).toBe('/haproxy/together-report.json')
  expect(() => subjectOf(all.slice(1))).toThrow('kubernetes-node, haproxy cannot be tested together')
  expect(() => subjectOf([...all, image('etcd')])).toThrow('cannot be tested together')
  expect(() => subjectOf(['etcd', 'etcd', 'haproxy'].map(image))).toThrow('cannot be tested together')
  expect(() => subjectOf([...all, image('debian')])).toThrow('no contract for the image debian')
})
