import { once } from 'node:events'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { descendants, samplePeakMemory, treeMemory } from '../../../bench/memory.ts'

const MIB = 1024 * 1024

describe('descendants', () => {
  it('takes a process, its children and theirs, and nobody else', () => {
    const processes = [
      { pid: 1, parent: 0 },
      { pid: 10, parent: 1 },
      { pid: 12, parent: 11 },
      { pid: 11, parent: 10 },
      { pid: 20, parent: 1 },
    ]
    expect(descendants(10, processes)).toEqual([10, 11, 12])
    expect(descendants(99, processes)).toEqual([])
  })
})

describe('samplePeakMemory', () => {
  it('remembers the memory of a grandchild that came and went', async () => {
    // The grandchild fills 200 MiB and gives them back.
    const fill = `const b = Buffer.alloc(${200 * MIB}, 1); setTimeout(() => process.stdout.write('x' + b.length), 600)`
    const running = execa('bash', ['-c', `"$0" -e "${fill}"; echo; read -r _`, process.execPath])
    const sampler = samplePeakMemory(running.pid ?? 0)
    await once(running.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(await treeMemory(running.pid ?? 0)).toBeLessThan(50 * MIB)
    running.stdin.end('\n')
    await running
    const peak = await sampler.stop()
    expect(peak).toBeGreaterThan(200 * MIB)
    expect(peak).toBeLessThan(400 * MIB)
    expect(await treeMemory(running.pid ?? 0)).toBe(0)
  })
})
