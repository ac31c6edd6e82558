import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** A call that changes the file system, with its arguments. */
type OnChange = (args: readonly unknown[]) => void

/**
 * Reports each call of these functions of node:fs/promises, and of these methods of an open file, right before it. What is
 * loaded from then on has them.
 */
export async function watchChanges(
  functions: readonly string[],
  methods: readonly string[],
  onChange: OnChange,
): Promise<void> {
  const handle = await fs.open('/dev/null')
  watch(Object.getPrototypeOf(handle), methods, onChange)
  await handle.close()
  watch(fs as unknown as Record<string, unknown>, functions, onChange)
  syncBuiltinESMExports()
}

function watch(object: Record<string, unknown>, names: readonly string[], onChange: OnChange): void {
  for (const name of names) {
    const method = object[name]
    if (typeof method !== 'function') throw new Error(`there is no ${name}`)
    object[name] = function (this: unknown, ...args: unknown[]) {
      onChange(args)
      return Reflect.apply(method, this, args)
    }
  }
}
