import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cloudInitDone, Node } from '../../support/first-boot/node.ts'

/** What first boot makes of the result of cloud-init. The reports are those of cloud-init 25.1 on a booted machine. */
let node: Node
beforeEach(async () => {
  node = await Node.make()
})
afterEach(() => node.dispose())

const instance = '/var/lib/cloud/instance'

/** A report with this in its network stage. */
function withInit(more: object): object {
  return { ...cloudInitDone, init: { ...cloudInitDone.init, ...more } }
}
const warning = (...texts: string[]) => ({ recoverable_errors: { WARNING: texts } })

async function expectFailed(...reasons: string[]): Promise<void> {
  const { exitCode, status, console } = await node.boot()
  expect(status).toMatchObject({ state: 'failed' })
  expect(status.reason.split('; ')).toEqual(reasons.map((reason) => `cloud-init: ${reason}`))
  expect(console).toEqual(reasons.map((reason) => `seeder-first-boot: cloud-init: ${reason}`))
  expect(exitCode).toBe(1)
  // Nothing is marked as done: the next boot starts from nothing.
  expect(await node.read('/var/lib/seeder/first-boot.done')).toBeUndefined()
}

describe('first boot fails', () => {
  test('without a report', async () => {
    node.cloudInit = {}
    await expectFailed('it did not run: see journalctl -u cloud-init-main')
  })

  test('when no drive was found', async () => {
    node.cloudInit = { ...cloudInitDone, datasource: null }
    await expectFailed('no cloud-init drive with data was found: attach one, and start the machine again')
  })

  test('when a drive has no data', async () => {
    const invalid = 'device /dev/sr0 with label=cidata not a valid seed.'
    node.cloudInit = { ...withInit(warning(invalid)), datasource: 'DataSourceNone' }
    await expectFailed(
      'no cloud-init drive with data was found: attach one, and start the machine again',
      invalid,
    )
  })

  test.each([
    ['init-local', 'local'],
    ['init', 'network'],
  ])('when its stage %s ended early', async (stage, unit) => {
    node.cloudInit = { ...cloudInitDone, [stage]: { start: 4.1, finished: null, errors: [] } }
    await expectFailed(`its stage ${stage} did not end: see journalctl -u cloud-init-${unit}`)
  })

  test('when a file of the vendor data could not be written', async () => {
    node.cloudInit = withInit({ errors: ["('write_files', OSError(30, 'Read-only file system'))"] })
    await expectFailed("('write_files', OSError(30, 'Read-only file system'))")
  })

  test('when a card of the drive is missing', async () => {
    const missing = "Not all expected physical devices present: {'bc:24:11:00:00:99'}"
    const local = {
      ...cloudInitDone['init-local'],
      errors: [missing],
      recoverable_errors: { ERROR: ['failed stage init-local'], WARNING: [missing] },
    }
    node.cloudInit = { ...cloudInitDone, 'init-local': local }
    await expectFailed(missing)
  })

  const secret = 'JOIN_TOKEN: abcdef'
  const yamlError = `Failed loading yaml blob. Invalid format at line 3 column 2: "... ${secret}"`
  test.each([
    [
      'vendor data that is no YAML',
      'vendor-data',
      `#cloud-config\nx: [\n - {${secret}\n`,
      'line 3, column 2',
    ],
    [
      'a key that breaks the YAML',
      'user-data',
      '#cloud-config\nkeys:\n  - ssh a: b: c\n',
      'line 3, column 13',
    ],
  ])('for %s, and repeats none of it', async (_, file, text, place) => {
    await node.write(`${instance}/${file}.txt`, text)
    const more = ['Failed at merging in cloud config part from part-001: empty cloud config', yamlError]
    node.cloudInit = withInit(warning(`Unexpected failure parsing userdata: ${secret}`, ...more))
    await expectFailed(`the ${file.replace('-', ' ')} is not YAML: ${place}`)
  })

  test('for vendor data that cloud-init does not recognize', async () => {
    await node.write(`${instance}/user-data.txt`, '#cloud-config\nhostname: node1\n')
    await node.write(`${instance}/vendor-data.txt`, 'write_files: []\n')
    const unhandled = "Unhandled non-multipart (text/x-not-multipart) userdata: 'b'write_files:'...'"
    node.cloudInit = withInit(warning(unhandled))
    await expectFailed('the first line of the vendor data is not #cloud-config')
  })

  test('for a network configuration that is no YAML', async () => {
    await node.write(`${instance}/user-data.txt`, '#cloud-config\nhostname: node1\n')
    node.cloudInit = withInit(warning(yamlError))
    await expectFailed('a part of the network configuration, the user data or the vendor data cannot be used')
  })

  test('without a key that can be used, if the drive has keys', async () => {
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0sLxB2JT229G7/XhX72Z8enPxvJrFURkVXoxq4UsAy'
    const file = '/home/seeder/.ssh/authorized_keys'
    await node.write('/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n')
    await node.write(`${instance}/cloud-config.txt`, `ssh_authorized_keys:\n- ${key} a@b\n`)
    await node.write(file, '\n')
    await expectFailed('the drive has ssh keys, and no account has one')
    await node.write(file, `${key.slice(0, 50)}\n`)
    await expectFailed(`sshd can use none of the ssh keys of the drive: see ${file}`)
    await node.write(file, `${key} a@b\n`)
    expect((await node.boot()).status.state).toBe('ready')
  })
})

test('an address of the drive has to be on its card', async () => {
  const card = (mac: string, address: string) => ({
    type: 'physical',
    mac_address: mac,
    subnets: [{ type: 'static', address, netmask: '255.255.255.192' }],
  })
  const config = [card('BC:24:11:00:00:01', '10.0.0.11'), card('bc:24:11:00:00:02', '10.0.0.76')]
  await node.write(`${instance}/network-config.json`, JSON.stringify({ version: 1, config }))
  const cards = [
    { address: 'bc:24:11:00:00:01', addr_info: [{ local: '10.0.0.11' }] },
    { address: 'bc:24:11:00:00:02', addr_info: [{ local: '10.0.0.75' }] },
  ]
  await node.write('/var/cards.json', JSON.stringify(cards))
  await expectFailed('the address 10.0.0.76 of the card bc:24:11:00:00:02 is on no card')
  await node.write(
    '/var/cards.json',
    JSON.stringify([cards[0], { ...cards[1], addr_info: [{ local: '10.0.0.76' }] }]),
  )
  expect((await node.boot()).status.state).toBe('ready')
}, 60_000)

test('a configured machine without its drive is ready, although cloud-init does not run', async () => {
  expect((await node.boot()).status.state).toBe('ready')
  node.cloudInit = {}
  const { status } = await node.boot(false, 'mkdir -p /run/seeder; : >/run/seeder/no-drive')
  expect(status.state).toBe('ready')
})
