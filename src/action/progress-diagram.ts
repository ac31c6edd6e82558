/** The stages of an image, in order. */
export const stages = ['built', 'tested', 'candidate', 'promoted', 'deployed'] as const
export type Stage = (typeof stages)[number]

/** The progress of a version. */
export interface ImageProgress {
  readonly reached: Stage | undefined
  /** The stage that was tried without success. */
  readonly failed?: Stage
  /** A stage that was left out: a candidate can be deployed. */
  readonly skipped?: Stage
  /** A short text below a stage, such as the template's VM ID. */
  readonly notes?: Readonly<Partial<Record<Stage, string>>>
}

/** A Mermaid diagram of the stages: green when reached, red when failed, grey otherwise. */
export function drawProgress({ reached, failed, skipped, notes = {} }: ImageProgress): string {
  const last = reached === undefined ? -1 : stages.indexOf(reached)
  const nodes = stages.map((stage, index) => {
    const state = stage === failed ? 'failed' : index <= last && stage !== skipped ? 'done' : 'open'
    const note = notes[stage]
    // Letters, digits and the characters of a version: no syntax of Mermaid.
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
