const found = process.versions.node
if (Number(found.split('.')[0]) < 24) {
  console.error('seeder needs Node.js 24 or newer; this is ' + found)
  console.error('  → start scripts/seeder, which has its own, or install a newer Node.js')
  process.exit(1)
}
import('./main.js')
