import { existsSync } from 'node:fs'
import { PveHost } from './host.ts'
import { Layout } from './layout.ts'

const usage = `usage: host DIR [COMMAND [ARGUMENT...]]   runs a command (a shell without one) on the stand-in host kept in DIR
       host DIR --off                       switches it off, as a power cut does`

const [folder, ...argv] = process.argv.slice(2)
if (folder === undefined || folder.startsWith('-')) {
  console.error(usage)
  process.exit(2)
}
const made = existsSync(new Layout(folder).settings)
const host = made ? await PveHost.open(folder) : await PveHost.create(folder)
if (argv[0] === '--off') {
  await host.powerCut()
} else {
  if (!host.running) await host.start({ lasting: true })
  process.exitCode = await host.attach(argv.length > 0 ? argv : ['/bin/bash'])
}
