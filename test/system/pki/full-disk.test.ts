import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkout } from '../../support/seeder.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-pki-full-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs a shell script in a mount namespace of its own, with `$dir` for the folder and `pki` for the command. */
async function inNamespace(script: string): Promise<string> {
  const prelude = `dir=$1; node=$2; cli=$3; pki() { "$node" "$cli" --quiet pki "$@" --dir "$dir" 2>&1; }`
  const { stdout } = await execa(
    'unshare',
    [
      '--user',
      '--map-root-user',
      '--mount',
      '--',
      'bash',
      '-euc',
      `${prelude}\n${script}`,
      '-',
      folder,
      process.execPath,
      join(checkout, 'src/cli.ts'),
    ],
    { stderr: 'inherit' },
  )
  return stdout
}

const message = (path: string) => `seeder: could not work in ${path}: no space is left on the disk (ENOSPC)`

test('init on a disk with too little room, more by two pages each time, and then with enough', async () => {
  const output = await inNamespace(`
    for pages in {1..19..2}; do
      mount -t tmpfs -o size=$((pages * 4))k,mode=700 tmpfs "$dir"
      if said=$(pki init); then
        echo "enough: $pages"
        break
      fi
      echo "$said" | head -1
      find "$dir" -name '*.new' -o -name scratch
      for crt in $(find "$dir" -name '*.crt'); do [ -s "\${crt%.crt}.key" ] || echo "no key: $crt"; done
      mount -o remount,size=1m "$dir"
      pki init >/dev/null && ls "$dir"/authorities/*/* | wc -l
      umount "$dir"
    done`)
  const lines = output.split('\n')
  expect(lines.at(-1)).toMatch(/^enough: \d+$/)
  expect(lines.length).toBeGreaterThan(8)
  for (const [index, line] of lines.slice(0, -1).entries()) {
    expect(line).toBe(index % 2 === 0 ? message(folder) : '6')
  }
}, 300_000)

test('renew on a full disk leaves the old pair', async () => {
  const output = await inNamespace(`
    mount -t tmpfs -o size=1m,mode=700 tmpfs "$dir"
    pki init >/dev/null
    pki issue etcd-member etcd1 --address 10.0.0.129 >/dev/null
    before=$(sha256sum "$dir"/issued/etcd1/*)
    # Two pages are left of the disk, then a few more.
    for free in 2 5 7; do
      head -c 1m /dev/zero >"$dir/authorities/filler" 2>/dev/null || true
      truncate -s -$((free * 4096)) "$dir/authorities/filler"
      pki renew etcd1 | head -1 || true
      [ "$before" = "$(sha256sum "$dir"/issued/etcd1/*)" ] && echo same
      ls -A "$dir" "$dir/issued" | tr '\\n' ' '; echo
    done
    rm "$dir/authorities/filler"
    pki renew etcd1 | head -1
    pki check >/dev/null && echo whole`)
  const failed = [message(folder), 'same', `${folder}: authorities issued lock  ${folder}/issued: etcd1 `]
  expect(output.split('\n')).toEqual([
    ...failed,
    ...failed,
    ...failed,
    expect.stringMatching(/^etcd1: renewed, until /),
    'whole',
  ])
}, 300_000)

test('a read-only file system', async () => {
  const output = await inNamespace(`
    mount -t tmpfs -o size=1m,mode=700 tmpfs "$dir"
    pki init >/dev/null
    mount -o remount,ro "$dir"
    pki issue etcd-client operator || true`)
  expect(output).toBe(
    [
      `seeder: could not work in ${folder}: the file system is read-only (EROFS)`,
      '  → nothing that was there is lost: fix that, and run this again',
    ].join('\n'),
  )
})
