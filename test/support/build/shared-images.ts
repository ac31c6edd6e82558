import type { TestProject } from 'vitest/node'
import { removeFolder, testFolder } from '../builds.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder for images that several test files of a run use. */
    sharedImages: string
  }
}

/** Before all test files of a lane, and after them. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await testFolder('shared images')
  provide('sharedImages', folder)
  return () => removeFolder(folder)
}
