/**
 * `npm run schemas`: writes docs/schemas, a JSON Schema for each file of a build or a release and for the output of commands
 * with `--json`, from the program's own schemas.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { testReportSchema, togetherReportSchema } from '../src/boot-test/report.ts'
import { bundleSchema } from '../src/build/bundle/format.ts'
import { manifestSchema } from '../src/build/manifest.ts'
import { diffSchema } from '../src/commands/diff.ts'
import { inspectedBuildSchema, inspectedImageSchema } from '../src/commands/inspect.ts'
import { lockResultSchema } from '../src/commands/lock.ts'
import { madeNodeSchema } from '../src/commands/node.ts'
import { platformCheckedSchema, rulesetSchema } from '../src/commands/platform.ts'
import { imageScanSchema } from '../src/commands/scan.ts'
import { statusSchema } from '../src/commands/status.ts'
import { inventorySchema } from '../src/evidence/inventory.ts'
import { provenanceSchema } from '../src/evidence/provenance.ts'
import { driftReportSchema, driftResultSchema } from '../src/guest/drift-result.ts'
import { nodeRowSchema } from '../src/host/node/list.ts'
import { shownPlanSchema } from '../src/host/node/plan-text.ts'
import { hostReportSchema } from '../src/host/report.ts'
import { matrixSchema } from '../src/image/affected.ts'
import { lockSchema } from '../src/image/lock.ts'
import {
  checkedSchema,
  exportedSchema,
  initializedSchema,
  issuedSchema,
  listedSchema,
} from '../src/pki/records.ts'
import { networkRowSchema, portRowSchema } from '../src/platform/tables.ts'
import { deployResultSchema } from '../src/release/deploy/deploy.ts'
import { contentsSchema } from '../src/release/format/contents.ts'
import { confirmResultSchema } from '../src/release/promote/confirm.ts'
import { promoteResultSchema } from '../src/release/promote/promote.ts'
import { publishResultSchema } from '../src/release/publish/publish.ts'
import { findingSchema } from '../src/release/verify/finding.ts'

const folder = join(import.meta.dirname, '..', 'docs', 'schemas')

/** File name → its text. */
export const schemas: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    // Files.
    // A lock without tarballs is written without an empty list of them.
    lock: [lockSchema.partial({ artifacts: true, containers: true }), 'image.lock.json'],
    manifest: [manifestSchema, 'IMAGE-VERSION.manifest.json'],
    files: [inventorySchema, 'IMAGE-VERSION.files.json'],
    provenance: [provenanceSchema, 'IMAGE-VERSION.provenance.json'],
    bundle: [bundleSchema, 'IMAGE-VERSION.bundle.json, and seeder bundle --json'],
    drift: [driftResultSchema, 'seeder-drift check'],
    'drift-report': [driftReportSchema, 'seeder status --drift --json'],
    release: [contentsSchema, 'release.json'],
    'test-report': [testReportSchema, 'test-report.json, and seeder test --json'],
    'together-report': [
      togetherReportSchema,
      'together-report.json, and seeder test --json of several images',
    ],
    // Output of commands. `build --json` prints the manifest.
    'printed/lock': [lockResultSchema, 'seeder lock --json'],
    'printed/inspect': [inspectedBuildSchema, 'seeder inspect DIR --json'],
    'printed/inspect-image': [inspectedImageSchema, 'seeder inspect IMAGE --json'],
    'printed/plan': [matrixSchema, 'seeder plan --json'],
    'printed/verify': [z.array(findingSchema), 'seeder verify --json'],
    'printed/diff': [diffSchema, 'seeder diff --json'],
    'printed/scan': [imageScanSchema, 'seeder scan --json'],
    'printed/publish': [publishResultSchema, 'seeder publish --json'],
    'printed/confirm': [confirmResultSchema, 'seeder confirm --json'],
    'printed/promote': [promoteResultSchema, 'seeder promote --json'],
    'printed/deploy': [deployResultSchema, 'seeder deploy --json'],
    'printed/status': [statusSchema, 'seeder status --json'],
    'printed/host-report': [hostReportSchema, 'seeder status --host-only --json'],
    'printed/node-plan': [z.array(shownPlanSchema), 'seeder node plan --json'],
    'printed/node-create': [z.array(madeNodeSchema), 'seeder node create --json'],
    'printed/node-list': [z.array(nodeRowSchema), 'seeder node list --json'],
    'printed/pki-init': [initializedSchema, 'seeder pki init --json'],
    'printed/pki-issue': [issuedSchema, 'seeder pki issue --json'],
    'printed/pki-renew': [z.array(issuedSchema), 'seeder pki renew --json'],
    'printed/pki-list': [listedSchema, 'seeder pki list --json'],
    'printed/pki-check': [checkedSchema, 'seeder pki check --json'],
    'printed/pki-export': [exportedSchema, 'seeder pki export --json'],
    'printed/platform-check': [platformCheckedSchema, 'seeder platform check --json'],
    'printed/platform-network': [z.array(networkRowSchema), 'seeder platform network --json'],
    'printed/platform-ports': [z.array(portRowSchema), 'seeder platform ports --json'],
    'printed/platform-ruleset': [rulesetSchema, 'seeder platform ports --nft --json'],
  } as const).map(([name, [schema, title]]) => {
    // The schema of written files: a field with a default always exists. Later versions may add fields.
    const json = { title, ...z.toJSONSchema(schema, { io: 'output' }) }
    return [`${name}.schema.json`, `${JSON.stringify(opened(json), null, 2)}\n`]
  }),
)

/**
 * Removes `additionalProperties: false`, because a reader must accept fields of later versions, and `readOnly`, which means
 * nothing for a reader.
 */
function opened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(opened)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(
    ([key, one]) =>
      !(key === 'additionalProperties' && one === false) && !(key === 'readOnly' && one === true),
  )
  return Object.fromEntries(kept.map(([key, one]) => [key, opened(one)]))
}

if (import.meta.main) {
  await mkdir(join(folder, 'printed'), { recursive: true })
  for (const [name, text] of Object.entries(schemas)) await writeFile(join(folder, name), text)
}
