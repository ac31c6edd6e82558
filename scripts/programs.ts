/**
 * Builds programs of `test/programs` that are not in the tests' cache yet: by default what `scripts/test.sh` needs.
 *
 *   node scripts/programs.ts [NAME...]
 */
import { formatDuration } from '../src/report/table.ts'
import { goPrograms } from '../test/support/programs/build.ts'
import { isModuleName, type ModuleName, moduleNames } from '../test/support/programs/modules.ts'

// The others are for clusters.
const usual: readonly ModuleName[] = ['kubernetes-1.37', 'cri-tools', 'cni-plugins', 'etcd-3.7', 'etcd-3.6']

for (const name of process.argv.length > 2 ? process.argv.slice(2) : usual) {
  if (!isModuleName(name))
    throw new Error(`there is no group of programs '${name}', only ${moduleNames.join(', ')}`)
  const start = performance.now()
  const { version } = await goPrograms(name)
  console.log(`${name} ${version}: ${formatDuration(performance.now() - start)}`)
}
