import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { accessSync, constants, readFileSync } from 'node:fs'
import { ParameterError, PveError } from '../failure.ts'
import { splitTags } from '../formats.ts'
import { joinProperties, splitProperties } from '../property-string.ts'
import { placeOf } from '../storage/registry.ts'
import { netSchema } from '../vm-options.ts'

/** A hardware address of Proxmox VE's own range. */
export function newMac(): string {
  return [
    'BC',
    '24',
    '11',
    ...[...randomBytes(3)].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')),
  ].join(':')
}

/** A network card's value as its configuration has it: `MODEL=MAC` first; a card without an address gets one. */
export function printNet(value: string, address?: string): string {
  const properties = splitProperties(value, netSchema)
  if (typeof properties === 'string') return value
  const model = properties.get('model') ?? 'virtio'
  const macaddr = address ?? properties.get('macaddr') ?? newMac()
  properties.delete('macaddr')
  properties.set('model', `${model}=${macaddr.toUpperCase()}`)
  return joinProperties(properties, 'model')
}

/**
 * An option's value as its configuration has it; undefined for one that is not kept.
 * @throws ParameterError
 */
export function storedValue(option: string, value: string): string | undefined {
  if (option === 'tags') {
    const tags = [...new Set(splitTags(value.toLowerCase()))].sort()
    return tags.length === 0 ? undefined : tags.join(';')
  }
  if (option === 'description') return value.replace(/\n$/, '') === '' ? undefined : value
  if (option === 'vmgenid' && value === '1') return randomUUID()
  if (option === 'cipassword') return passwordHash(value)
  if (option === 'hookscript') checkHook(value)
  if (/^net\d+$/.test(option)) return printNet(value)
  return value
}

function passwordHash(password: string): string {
  if (/^\$\w+\$/.test(password)) return password
  return execFileSync('openssl', ['passwd', '-5', '-salt', randomBytes(4).toString('hex'), '-stdin'], {
    input: password,
    encoding: 'utf8',
  }).trim()
}

function checkHook(volid: string): void {
  const { storage, volume } = placeOf(volid)
  try {
    accessSync(storage.path(volume), constants.X_OK)
  } catch {
    throw new ParameterError({ hookscript: `script '${volid}' is not executable\n` })
  }
}

/**
 * What an option's value stands for on a command line: `--sshkeys` is a file there.
 * @throws PveError, ParameterError
 */
export function readFileOptions(values: ReadonlyMap<string, string>): Map<string, string> {
  const read = new Map(values)
  const file = values.get('sshkeys')
  if (file === undefined || file === '') return read
  let keys: string
  try {
    keys = readFileSync(file, 'utf8')
  } catch {
    throw new PveError(`can't open '${file}' - No such file or directory`, 2)
  }
  try {
    execFileSync('/usr/bin/ssh-keygen', ['-l', '-f', '-'], {
      input: keys,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
  } catch {
    throw new ParameterError({ sshkeys: 'SSH public key validation error' })
  }
  return read.set('sshkeys', encodeURIComponent(keys).replace(/[!'()*]/g, hexOf))
}

function hexOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
