import type { Platform } from '../platform/schema.ts'
import type { Emulator } from '../vm/emulator.ts'
import type { CheckResult, Observations } from './checks.ts'
import type { ImageUnderTest } from './image-under-test.ts'

/** Shows how far a test is. */
export interface TestProgress {
  phase(name: string): void
  note(text: string): void
}

/** What every test needs. */
export interface TestSetting {
  readonly platform: Platform
  readonly emulator: Emulator
  /** A folder of its own for disks, drives and logs; the caller removes it. */
  readonly folder: string
  readonly progress: TestProgress
}

/** What the test of one image needs. */
export interface TestRun extends TestSetting {
  readonly image: ImageUnderTest
}

/** The results of a test. */
export interface TestOutcome extends Readonly<Observations> {
  readonly checks: readonly CheckResult[]
}

/**
 * Tests what an image has to fulfil in its role on clones of it. Runs inside namespaces of its own: it may make bridges
 * and bind any address.
 */
export type Contract = (run: TestRun) => Promise<TestOutcome>
