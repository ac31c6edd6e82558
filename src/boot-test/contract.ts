import type { Platform } from '../platform/schema.ts'
import type { Emulator } from '../vm/accelerator.ts'
import type { CheckPlan, CheckResult } from './checks.ts'
import type { BootTimes } from './image-checks.ts'
import type { ImageUnderTest } from './image-under-test.ts'

/** Tells a person how far a proof is. */
export interface TestProgress {
  phase(name: string): void
  note(text: string): void
}

/** Where any proof takes place. */
export interface TestSetting {
  readonly platform: Platform
  readonly emulator: Emulator
  /** A folder of its own for disks, drives and logs; the caller removes it. */
  readonly folder: string
  readonly progress: TestProgress
}

/** What a contract works with. */
export interface TestRun extends TestSetting {
  readonly candidate: ImageUnderTest
}

/** What was seen of roles at work, beside the checks. */
export interface Observations {
  boot: BootTimes
  /** The digest of the disk inside the image, if it could be read. */
  rawSha256: string | null
  /** Answers that came through the image, in order: who answered, and which address it saw. */
  balanced: readonly { readonly backend: string; readonly client: string }[]
  /** Measured durations in milliseconds, by name. */
  readonly measured: Record<string, number>
}

/** How a proof came out. */
export interface TestOutcome extends Readonly<Observations> {
  readonly checks: readonly CheckResult[]
}

/** What an image has to fulfil in its role, proven on clones of it. */
export interface Contract {
  readonly checks: readonly CheckPlan[]
  /** Runs inside namespaces of its own: it may make bridges and bind any address. */
  run(proof: TestRun): Promise<TestOutcome>
}
