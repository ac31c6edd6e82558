async function stop(work: unknown): Promise<void> {
  const { stopWork } = await import('./qm/power.ts')
  await stopWork(work as Parameters<typeof stopWork>[0])
}

/** What workers do. What each is given comes from the command that has it done. */
export const tasks: Readonly<Record<string, (work: unknown) => Promise<void>>> = {
  qmcreate: async (work) => {
    const { createWork } = await import('./qm/create.ts')
    await createWork(work as Parameters<typeof createWork>[0])
  },
  qmclone: async (work) => {
    const { cloneWork } = await import('./qm/clone.ts')
    await cloneWork(work as Parameters<typeof cloneWork>[0])
  },
  qmtemplate: async (work) => {
    const { templateWork } = await import('./qm/template.ts')
    await templateWork(work as Parameters<typeof templateWork>[0])
  },
  qmdestroy: async (work) => {
    const { destroyWork } = await import('./qm/destroy.ts')
    await destroyWork(work as Parameters<typeof destroyWork>[0])
  },
  qmstart: async (work) => {
    const { startWork } = await import('./qm/start.ts')
    await startWork(work as Parameters<typeof startWork>[0])
  },
  qmstop: stop,
  qmshutdown: stop,
  qmreboot: stop,
  resize: async (work) => {
    const { resizeWork } = await import('./qm/disk.ts')
    await resizeWork(work as Parameters<typeof resizeWork>[0])
  },
  qmsnapshot: async (work) => {
    const { snapshotWork } = await import('./qm/state.ts')
    await snapshotWork(work as Parameters<typeof snapshotWork>[0])
  },
  qmdelsnapshot: async (work) => {
    const { deleteSnapshotWork } = await import('./qm/state.ts')
    await deleteSnapshotWork(work as Parameters<typeof deleteSnapshotWork>[0])
  },
}
