import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { describe, expect, it } from 'vitest'
import { builderOf, provenanceStatement } from '../../../src/evidence/provenance.ts'
import { lock } from '../../support/evidence/facts.ts'
import { checkout } from '../../support/seeder.ts'

const runner = {
  GITHUB_ACTIONS: 'true',
  GITHUB_SERVER_URL: 'https://github.example.internal',
  GITHUB_REPOSITORY: 'acme/platform',
  GITHUB_RUN_ID: '42',
  GITHUB_RUN_ATTEMPT: '2',
  GITHUB_WORKFLOW_REF: 'acme/platform/.github/workflows/release.yml@refs/tags/etcd-3.7.2-1',
}

const statement = (env: NodeJS.ProcessEnv, commit: string | null = 'c'.repeat(40)) =>
  provenanceStatement({
    image: 'etcd',
    version: '3.7.2-1',
    base: 'ubuntu-resolute',
    line: '3.7',
    subjects: [{ name: 'etcd-3.7.2-1.qcow2', sha256: 'b'.repeat(64) }],
    lock,
    lockSha256: 'e'.repeat(64),
    source: { commit, dirty: false },
    builder: builderOf(env),
    versions: { seeder: '1.2.3', node: '24.0.0' },
    startedMs: 0,
    finishedMs: 1500,
  })

describe('the provenance of a build', () => {
  it('says on GitHub which workflow and run it was, and of which repository', () => {
    const { predicate } = statement(runner)
    expect(predicate.runDetails).toEqual({
      builder: {
        id: 'https://github.example.internal/acme/platform/.github/workflows/release.yml@refs/tags/etcd-3.7.2-1',
        version: { seeder: '1.2.3', node: '24.0.0' },
      },
      metadata: {
        invocationId: 'https://github.example.internal/acme/platform/actions/runs/42/attempts/2',
        startedOn: '1970-01-01T00:00:00.000Z',
        finishedOn: '1970-01-01T00:00:01.500Z',
      },
    })
    expect(predicate.buildDefinition.resolvedDependencies[0]).toEqual({
      name: 'source',
      uri: `git+https://github.example.internal/acme/platform@${'c'.repeat(40)}`,
      digest: { gitCommit: 'c'.repeat(40) },
    })
  })

  it('says that nobody answers for one that was made by hand', () => {
    expect(statement({}).predicate.runDetails.builder.id).toBe('urn:seeder:builder:local')
  })

  it('names everything that was locked', () => {
    const names = statement({}, null).predicate.buildDefinition.resolvedDependencies.map(({ name }) => name)
    expect(names).toEqual([
      'lock',
      'artifact/etcd/3.7.2',
      'container/kube-proxy/v1.37.1',
      'package/linux-image-6.12/6.12.1',
      'package/dracut/106-6',
      'package/libc6/2:2.41-12+deb13u4',
      'package/kubelet/1.37.1-1.1',
      'tool/mmdebstrap/1.5',
      'tool/systemd-boot-efi/257.1-1',
    ])
  })

  it('is valid by its published schema', async () => {
    const schema = JSON.parse(await readFile(join(checkout, 'docs/schemas/provenance.schema.json'), 'utf8'))
    const ajv = new Ajv2020()
    formats.default(ajv)
    const validate = ajv.compile(schema)
    for (const env of [runner, {}])
      expect(validate(statement(env)), JSON.stringify(validate.errors)).toBe(true)
    expect(validate({ ...statement({}), subject: [] })).toBe(false)
  })
})
