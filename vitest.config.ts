import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// The tests start the command line many hundred times; more than half of such a start is compiling it.
// Where SHLVL is missing, as under a service, a Bash whose input is a socket, as Node.js makes it, takes itself for one
// that was started over the network, and reads what the user has in .bashrc.
const env = { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/seeder'), SHLVL: '1' }

// The folder of a test is its lane:
//   unit    about two minutes, after every change
//   system  whole programs that talk to each other, without virtual machines
//   killed  programs that are killed again and again
//   light   real builds, and boots of one machine at a time
//   e2e     clusters of machines
//   cluster a whole cluster of the three images: half an hour of emulation
//   next    contracts on Debian's next release that are in no other lane: half an hour of emulation
//   soak    an hour of work, when somebody wants it
const lane = (name: string) => ({ name, include: [`test/${name}/**/*.test.ts`], env })

// Most tests wait for programs that they started: more files at once than there are cores.
const waiting = { maxWorkers: 4, testTimeout: 60_000, hookTimeout: 60_000 }

const sharedImages = { globalSetup: ['test/support/build/shared-images.ts'] }

const oneByOne = { fileParallelism: false, testTimeout: 15 * 60_000, hookTimeout: 15 * 60_000 }

// GitHub's parser imports JSON as only a bundler takes it.
const bundled = /\/@actions\/(?:workflow-parser|languageservice|expressions)\//
const server = { deps: { inline: [bundled] } }

/** Takes away the references to source maps whose sources are not in the package: a warning for each of 150 files. */
const withoutSourceMaps = {
  name: 'without-source-maps',
  async load(id: string) {
    if (!bundled.test(id) || !id.endsWith('.js')) return undefined
    return (await readFile(id, 'utf8')).replace(/^\/\/# sourceMappingURL=.*$/m, '')
  },
}

// The longest files. One of them at the end would leave the other processors idle.
const long = [
  'unit/first-boot/kubernetes-bad-values',
  'unit/first-boot/bad-values',
  'system/mutation/deploy',
  'system/host/runner-interrupted',
  'system/host/deploy-faults',
  'system/host/deploy-cluster',
  'system/host/node/create',
  'system/first-boot/etcd-cluster',
]

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = long.findIndex((name) => moduleId.endsWith(`test/${name}.test.ts`))
      return found < 0 ? long.length : found
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFilesFirst },
    projects: [
      { plugins: [withoutSourceMaps], test: { ...lane('unit'), ...waiting, server } },
      // Many of them wait, so three files run at once on two cores.
      {
        test: { ...lane('system'), maxWorkers: 3, testTimeout: 240_000, hookTimeout: 240_000 },
      },
      // Each of them waits for half of its time.
      { test: { ...lane('killed'), maxWorkers: 2, hookTimeout: 15 * 60_000 } },
      // One file after the other: several machines in each keep the processors busy.
      { plugins: [withoutSourceMaps], test: { ...lane('light'), ...oneByOne, server } },
      { plugins: [withoutSourceMaps], test: { ...lane('e2e'), ...oneByOne, ...sharedImages, server } },
      { plugins: [withoutSourceMaps], test: { ...lane('cluster'), ...oneByOne, ...sharedImages, server } },
      { test: { ...lane('next'), ...oneByOne, ...sharedImages } },
      { test: { ...lane('soak'), ...oneByOne, ...sharedImages } },
    ],
  },
})
