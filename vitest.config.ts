import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Tests of whole programs, without virtual machines, that take longer than one waits for after a change. */
const system = [
  'test/action/deploy.test.ts',
  'test/action/entry.test.ts',
  'test/action/handover.test.ts',
  'test/evidence/spdx.test.ts',
  'test/image/archive.test.ts',
  'test/host/pve-conformance.test.ts',
  'test/image/ubuntu.test.ts',
  'test/image/first-boot/any-values.test.ts',
  'test/image/first-boot/etcd-*.test.ts',
  'test/image/first-boot/firewall-unit.test.ts',
  'test/image/first-boot/kubernetes-kubeadm.test.ts',
  'test/image/first-boot/routes.test.ts',
  'test/image/first-boot/vrrp.test.ts',
  'test/host/deploy.test.ts',
  'test/host/deploy-caller.test.ts',
  'test/host/deploy-check.test.ts',
  'test/host/deploy-cluster.test.ts',
  'test/host/deploy-locked.test.ts',
  'test/host/deploy-plan.test.ts',
  'test/host/deploy-refusals.test.ts',
  'test/host/deploy-unread.test.ts',
  'test/host/deploy-versions.test.ts',
  'test/host/deploy-volumes.test.ts',
  'test/host/deploy-signers.test.ts',
  'test/mutation/*.test.ts',
  'test/page/browser.test.ts',
  'test/pki/first-boot.test.ts',
  'test/pki/full-disk.test.ts',
  'test/pki/interrupted.test.ts',
  'test/pki/openssl-3.5.test.ts',
  'test/host/deploy-faults.test.ts',
  'test/host/node/on-host/*.test.ts',
  'test/host/pve-host.test.ts',
  'test/host/runner*.test.ts',
  'test/release/deploy.test.ts',
  'test/release/fetch-killed.test.ts',
  'test/release/publish*.test.ts',
  'test/scripts/bundle.test.ts',
]

/** Programs that are killed again and again. */
const killed = ['test/host/deploy-crash.test.ts', 'test/e2e/node-killed.test.ts']

/** Tests that take minutes: real builds, real boots. */
const long = ['test/e2e/**/*.test.ts']

/** Those of them that do not start several machines at once: they run beside the others. */
const light = [
  'build',
  'build-interrupted',
  'build-refusals',
  'deploy',
  'proof',
  'pve-boot',
  'ubuntu-builds',
].map((name) => `test/e2e/${name}.test.ts`)

// The tests start the command line many hundred times; more than half of such a start is compiling it.
// Where SHLVL is missing, as under a service, a Bash whose input is a socket, as Node.js makes it, takes itself for one
// that was started over the network, and reads what the user has in .bashrc.
const env = { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/seeder'), SHLVL: '1' }

// Most tests wait for programs that they started: more files at once than there are cores.
const waiting = { env, maxWorkers: 4, testTimeout: 60_000, hookTimeout: 60_000 }

const oneByOne = { env, fileParallelism: false, testTimeout: 15 * 60_000, hookTimeout: 15 * 60_000 }

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

export default defineConfig({
  test: {
    projects: [
      {
        plugins: [withoutSourceMaps],
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...long, ...killed, ...system, 'test/soak/*.test.ts'],
          ...waiting,
          server,
        },
      },
      // Some take a minute by themselves, and beside three others on two cores several.
      {
        test: {
          name: 'system',
          include: system,
          ...waiting,
          maxWorkers: 2,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        // Each of them waits for half of its time.
        test: { name: 'killed', include: killed, env, maxWorkers: 2, hookTimeout: 15 * 60_000 },
      },
      // An hour of work, when somebody asks for it.
      { test: { name: 'soak', include: ['test/soak/*.test.ts'], ...oneByOne } },
      // One file after the other: of several machines at once there are enough in each of them.
      { test: { name: 'light', include: light, ...oneByOne } },
      {
        plugins: [withoutSourceMaps],
        test: { name: 'e2e', include: long, exclude: [...killed, ...light], ...oneByOne, server },
      },
    ],
  },
})
