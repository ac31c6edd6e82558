import { isIPv4 } from 'node:net'
import { type NodeValues, shown, type ValueProblem } from '../../guest/node-env.ts'
import { isNetwork, networkRange, rangeContains } from '../../platform/address.ts'

/** A list of a value: its words. */
export function words(value: string | undefined): string[] {
  return (value ?? '').split(/[ \t]+/).filter((word) => word !== '')
}

/** Whether a value is set: an empty one counts as absent. */
export function isSet(values: NodeValues, key: string): boolean {
  return (values[key] ?? '') !== ''
}

/** An address that a machine can have. */
export function isHostAddress(text: string): boolean {
  const first = Number(text.split('.')[0])
  return isIPv4(text) && first > 0 && first < 224 && first !== 127
}

/** A DNS name. What looks like an address is none. */
export function isDnsName(text: string): boolean {
  const label = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
  return text.length <= 253 && !/^[0-9.]+$/.test(text) && new RegExp(`^${label}(\\.${label})*$`).test(text)
}

/** A port, 1-65535. */
export function isPort(text: string): boolean {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65535
}

/** A network without host bits and with a prefix length between the two. */
export function isRange(text: string, shortest: number, longest: number): boolean {
  const [address = '', prefix = ''] = text.split('/')
  const length = Number(prefix)
  return (
    /^[1-9][0-9]?$/.test(prefix) &&
    shortest <= length &&
    length <= longest &&
    isHostAddress(address) &&
    isNetwork(text)
  )
}

/** Whether an address is in the network of another one with a prefix length. */
export function inNetwork(address: string, network: string): boolean {
  return rangeContains(networkRange(network), address)
}

/** A number in its bounds, if it is set. */
export function checkNumber(
  values: NodeValues,
  key: string,
  lowest: number,
  highest: number,
): ValueProblem[] {
  const value = values[key] ?? ''
  const number = /^(0|[1-9][0-9]{0,8})$/.test(value) ? Number(value) : Number.NaN
  if (value === '' || (number >= lowest && number <= highest)) return []
  return [{ key, reason: `${shown(value)} is not a number from ${lowest} to ${highest}` }]
}

/** A key that means nothing without another one. */
export function checkNeeds(values: NodeValues, key: string, other: string): ValueProblem[] {
  return isSet(values, key) && !isSet(values, other) ? [{ key, reason: `is set, but ${other} is not` }] : []
}

/** A value that has one of these forms, if it is set. The value of a secret is not repeated. */
export function checkForms(
  values: NodeValues,
  key: string,
  test: (value: string) => boolean,
  form: string,
  secret = false,
): ValueProblem[] {
  const value = values[key] ?? ''
  if (value === '' || test(value)) return []
  return [{ key, reason: secret ? `is not ${form}` : `${shown(value)} is not ${form}` }]
}

/** One of the choices, if it is set. */
export function checkChoice(values: NodeValues, key: string, choices: readonly string[]): ValueProblem[] {
  return checkForms(values, key, (value) => choices.includes(value), `one of: ${choices.join(' ')}`)
}

/** A list of NAME=ADDRESS, or of NAME=ADDRESS:PORT too, without repetitions. */
export function checkServers(values: NodeValues, key: string, withPort: boolean): ValueProblem[] {
  const problems: ValueProblem[] = []
  const add = (reason: string) => problems.push({ key, reason })
  const names = new Set<string>()
  const places = new Set<string>()
  for (const entry of words(values[key])) {
    const at = entry.indexOf('=')
    const name = entry.slice(0, Math.max(at, 0))
    if (!isDnsName(name)) {
      add(`${shown(entry)} is not NAME=ADDRESS`)
      continue
    }
    const place = entry.slice(at + 1)
    const colon = withPort ? place.lastIndexOf(':') : -1
    const [address, port] = colon < 0 ? [place, '6443'] : [place.slice(0, colon), place.slice(colon + 1)]
    if (!isHostAddress(address)) add(`${shown(address)} of ${name} is not an IPv4 address`)
    if (!isPort(port)) add(`${shown(port)} of ${name} is not a port (1-65535)`)
    if (names.has(name)) add(`has ${name} twice`)
    if (places.has(`${address}:${port}`)) add(`has the address ${place} twice`)
    names.add(name)
    places.add(`${address}:${port}`)
  }
  return problems
}

/** Time servers, names or addresses. */
export function checkNtp(values: NodeValues): ValueProblem[] {
  return words(values.NTP_SERVERS)
    .filter((server) => !isDnsName(server) && !isHostAddress(server))
    .map((server) => ({
      key: 'NTP_SERVERS',
      reason: `${shown(server)} is neither a DNS name nor an IPv4 address`,
    }))
}
