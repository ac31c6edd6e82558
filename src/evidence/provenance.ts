import { z } from 'zod'
import type { Lock } from '../image/lock.ts'
import { foreignLine, sha256Hex } from '../report/text-schemas.ts'

const sha256 = z.object({ sha256: sha256Hex })

/** `IMAGE-VERSION.provenance.json`: an in-toto statement (v1) with SLSA's provenance (v1) of one build. */
export const provenanceSchema = z.object({
  _type: z.literal('https://in-toto.io/Statement/v1'),
  /** Every file of the build except this one and SHA256SUMS. */
  subject: z.array(z.object({ name: foreignLine, digest: sha256 })).min(1),
  predicateType: z.literal('https://slsa.dev/provenance/v1'),
  predicate: z.object({
    buildDefinition: z.object({
      buildType: z.literal('urn:seeder:image-build:v1'),
      /** The request for the build. */
      externalParameters: z.object({
        image: foreignLine,
        version: foreignLine,
        base: foreignLine,
        line: foreignLine.optional(),
        repository: z.url().optional(),
      }),
      internalParameters: z.object({
        /** Seconds since 1970: the time of every file in the image. */
        epoch: z.int(),
        uncommittedChanges: z.boolean(),
      }),
      /** `source` (a git commit), `lock`, and the lock's files: `artifact/…`, `container/…`, `package/…`,
       * `tool/…`. */
      resolvedDependencies: z.array(
        z.object({
          name: foreignLine,
          uri: foreignLine.optional(),
          digest: z.union([sha256, z.object({ gitCommit: foreignLine.regex(/^[0-9a-f]{40}$/) })]),
        }),
      ),
    }),
    runDetails: z.object({
      builder: z.object({ id: foreignLine, version: z.record(foreignLine, foreignLine) }),
      metadata: z.object({
        invocationId: foreignLine.optional(),
        startedOn: z.iso.datetime(),
        finishedOn: z.iso.datetime(),
      }),
    }),
  }),
})

export type Provenance = z.output<typeof provenanceSchema>

/** The builder of an image. */
export interface Builder {
  /** A URI of the builder. */
  readonly id: string
  /** A URI of this run, where there is one. */
  readonly invocation: string | undefined
  /** A URI of the repository, where it is known. */
  readonly repository: string | undefined
}

/** The input of a provenance statement. Times in milliseconds since 1970. */
export interface ProvenanceFacts {
  readonly image: string
  readonly version: string
  /** The files that the statement is about, with their SHA-256. */
  readonly subjects: readonly { readonly name: string; readonly sha256: string }[]
  readonly lock: Lock
  readonly lockSha256: string
  readonly base: string
  readonly line: string | undefined
  readonly source: { readonly commit: string | null; readonly dirty: boolean }
  readonly builder: Builder
  /** Names and versions of seeder, node and the tools. */
  readonly versions: Readonly<Record<string, string>>
  readonly startedMs: number
  readonly finishedMs: number
}

/** A build on a local machine. */
const LOCAL = 'urn:seeder:builder:local'

/** The builder according to the environment of GitHub's runner. */
export function builderOf(env: NodeJS.ProcessEnv): Builder {
  const {
    GITHUB_ACTIONS,
    GITHUB_SERVER_URL,
    GITHUB_REPOSITORY,
    GITHUB_RUN_ID,
    GITHUB_RUN_ATTEMPT,
    GITHUB_WORKFLOW_REF,
  } = env
  if (GITHUB_ACTIONS !== 'true' || !GITHUB_SERVER_URL || !GITHUB_REPOSITORY) {
    return { id: LOCAL, invocation: undefined, repository: undefined }
  }
  const repository = `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}`
  return {
    id: GITHUB_WORKFLOW_REF ? `${GITHUB_SERVER_URL}/${GITHUB_WORKFLOW_REF}` : repository,
    invocation: GITHUB_RUN_ID
      ? `${repository}/actions/runs/${GITHUB_RUN_ID}/attempts/${GITHUB_RUN_ATTEMPT ?? '1'}`
      : undefined,
    repository,
  }
}

/** The provenance of a build. */
export function provenanceStatement(facts: ProvenanceFacts): Provenance {
  const { lock, source, builder } = facts
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: facts.subjects.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:seeder:image-build:v1',
        externalParameters: {
          image: facts.image,
          version: facts.version,
          base: facts.base,
          ...(facts.line === undefined ? {} : { line: facts.line }),
          ...(builder.repository === undefined ? {} : { repository: builder.repository }),
        },
        internalParameters: { epoch: lock.epoch, uncommittedChanges: source.dirty },
        resolvedDependencies: [
          ...(source.commit === null
            ? []
            : [
                {
                  name: 'source',
                  ...(builder.repository === undefined
                    ? {}
                    : { uri: `git+${builder.repository}@${source.commit}` }),
                  digest: { gitCommit: source.commit },
                },
              ]),
          { name: 'lock', digest: { sha256: facts.lockSha256 } },
          ...lock.artifacts.map(({ name, version, urls: [uri], sha256 }) => ({
            name: `artifact/${name}/${version}`,
            ...(uri === undefined ? {} : { uri }),
            digest: { sha256 },
          })),
          ...lock.containers.map((file) => locked('container', file)),
          ...lock.packages.map((file) => locked('package', file)),
          ...lock.tools.map((file) => locked('tool', file)),
        ],
      },
      runDetails: {
        builder: { id: builder.id, version: facts.versions },
        metadata: {
          ...(builder.invocation === undefined ? {} : { invocationId: builder.invocation }),
          startedOn: new Date(facts.startedMs).toISOString(),
          finishedOn: new Date(facts.finishedMs).toISOString(),
        },
      },
    },
  }
}

function locked(
  kind: 'container' | 'package' | 'tool',
  { name, version, sha256 }: Pick<Lock['packages'][number], 'name' | 'version' | 'sha256'>,
) {
  return { name: `${kind}/${name}/${version}`, digest: { sha256 } }
}
