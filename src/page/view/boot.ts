import { scaleLinear } from 'd3-scale'
import type { TestRecord } from '../../release/format/test-report.ts'

/** A span of the first boot. Milliseconds since the machine was switched on. */
export interface Span {
  readonly name: string
  readonly kind: 'stage' | 'unit' | 'ready'
  readonly startMs: number
  readonly ms: number
}

/** The course of a first boot. */
export interface BootCourse {
  readonly spans: readonly Span[]
  /** The end of the axis, and where its marks are. */
  readonly endMs: number
  readonly ticksMs: readonly number[]
  readonly emulated: boolean
}

const STAGES = ['firmware', 'loader', 'kernel', 'initrd', 'userspace']

/** The course of the boot that a test has measured; undefined when it has measured none. */
export function bootOf({ boot, accelerator }: TestRecord): BootCourse | undefined {
  const spans: Span[] = []
  let startMs = 0
  for (const name of STAGES) {
    const ms = boot.stages?.[name]
    if (ms === undefined) continue
    spans.push({ name, kind: 'stage', startMs, ms })
    startMs += ms
  }
  // systemd counts from the start of the kernel.
  const kernelMs = (boot.stages?.firmware ?? 0) + (boot.stages?.loader ?? 0)
  for (const unit of boot.units ?? []) {
    if (unit.ms > 0)
      spans.push({ name: unit.name, kind: 'unit', startMs: kernelMs + unit.startMs, ms: unit.ms })
  }
  if (boot.readyMs !== null) {
    spans.push({ name: 'role is ready', kind: 'ready', startMs: boot.readyMs, ms: 0 })
  }
  if (spans.length === 0) return undefined
  const scale = scaleLinear([0, Math.max(...spans.map(({ startMs, ms }) => startMs + ms))], [0, 1]).nice(5)
  return {
    spans,
    endMs: scale.domain()[1] ?? 1,
    ticksMs: scale.ticks(5),
    emulated: accelerator.kind === 'tcg',
  }
}
