/** Which modules, or folders, each one imports. */
export type Graph = Map<string, Set<string>>

/** The folder of `src` that a file is in: the first one of its path, or the file's own name. */
export function folderOf(file: string): string {
  return file.split('/')[1] ?? file
}

/** Groups of which each member reaches each other one (Tarjan), larger than one, each sorted. */
export function circlesOf(graph: Graph): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []
  const visit = (node: string): void => {
    const number = index.size
    index.set(node, number)
    low.set(node, number)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue
      if (!index.has(next)) visit(next)
      const reached = stack.includes(next)
        ? Math.min(low.get(next) ?? number, index.get(next) ?? number)
        : number
      low.set(node, Math.min(low.get(node) ?? number, reached))
    }
    if (low.get(node) !== number) return
    const circle = stack.splice(stack.indexOf(node)).sort()
    if (circle.length > 1) circles.push(circle)
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return circles
}
