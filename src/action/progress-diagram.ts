/** The way of an image, in order. */
export const STAGES = ['built', 'tested', 'candidate', 'promoted', 'deployed'] as const
export type Stage = (typeof STAGES)[number]

/** How far a version has come, and where it stopped if it did. */
export interface Way {
  readonly reached: Stage | undefined
  /** The stage that was tried and not reached. */
  readonly failed?: Stage
  /** A stage that was left out on the way: a candidate can be deployed. */
  readonly skipped?: Stage
  /** A word below a stage, as the template's VM ID. */
  readonly notes?: Readonly<Partial<Record<Stage, string>>>
}

/** A Mermaid picture of the way: what is done is green, what failed red, what is still to come grey. */
export function drawWay({ reached, failed, skipped, notes = {} }: Way): string {
  const last = reached === undefined ? -1 : STAGES.indexOf(reached)
  const nodes = STAGES.map((stage, index) => {
    const state = stage === failed ? 'failed' : index <= last && stage !== skipped ? 'done' : 'open'
    const note = notes[stage]
    // Letters, digits and the few signs of a version: nothing that Mermaid would read.
    const label = note === undefined ? stage : `${stage}<br>${note.replace(/[^\w.+~: -]/g, ' ')}`
    return `${stage}["${label}"]:::${state}`
  })
  return [
    '```mermaid',
    'flowchart LR',
    `  ${nodes.join(' --> ')}`,
    '  classDef done fill:#1a7f37,stroke:#1a7f37,color:#ffffff',
    '  classDef failed fill:#cf222e,stroke:#cf222e,color:#ffffff',
    '  classDef open fill:#f6f8fa,stroke:#afb8c1,color:#59636e',
    '```',
  ].join('\n')
}
