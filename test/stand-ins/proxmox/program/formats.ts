import { formatted, integer, type Spec } from './check.ts'

/** An id of a VM. */
export const vmid: Spec = {
  ...integer(),
  format: (value) => (/^[1-9][0-9]{2,8}$/.test(value) ? undefined : 'value does not look like a valid VM ID'),
}

const label = /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/

export const dnsName = formatted((value) =>
  value.split('.').every((part) => label.test(part))
    ? undefined
    : 'value does not look like a valid DNS name',
)

/** Tags are separated by commas, semicolons and blanks. */
export function splitTags(value: string): string[] {
  return value.split(/[,;\s]+/).filter((tag) => tag !== '')
}

export const tags = formatted((value) =>
  splitTags(value).every((tag) => /^[a-z0-9_][a-z0-9_\-+.]*$/i.test(tag))
    ? undefined
    : 'invalid characters in tag',
)

export const storageId = formatted((value) =>
  /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i.test(value)
    ? undefined
    : `storage ID '${value}' contains illegal characters`,
)

export const bridge = formatted((value) =>
  /^[-_.\w]+$/.test(value) ? undefined : `invalid bridge ID '${value}'`,
)

export const mac = formatted((value) =>
  /^[a-f0-9][02468ace](:[a-f0-9]{2}){5}$/i.test(value)
    ? undefined
    : 'value does not look like a valid unicast MAC address',
)

/** What a drive may be: nothing, a physical drive, a path, a new volume or an existing one. */
export const volume = formatted((value) =>
  /^(none|cdrom)$/.test(value) || value.startsWith('/') || /^[^:\s]+:\S+$/.test(value)
    ? undefined
    : `unable to parse volume ID '${value}'`,
)

export const volumeId = formatted((value) =>
  /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i.test(value) ? undefined : `unable to parse volume ID '${value}'`,
)

export const importSource = formatted((value) =>
  value.startsWith('/') || /^[^:\s]+:.+$/.test(value) ? undefined : `unable to parse volume ID '${value}'`,
)

const octet = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)'
const ipv4 = new RegExp(`^${octet}(\\.${octet}){3}$`)
const cidrv4 = new RegExp(`^${octet}(\\.${octet}){3}/([89]|[12]\\d|3[0-2])$`)

export const ipv4Configuration = formatted((value) =>
  value === 'dhcp' || cidrv4.test(value)
    ? undefined
    : 'value does not look like a valid ipv4 network configuration',
)

export const ipv4Address = formatted((value) =>
  ipv4.test(value) ? undefined : 'value does not look like a valid ipv4 address',
)

export const ipv6Configuration = formatted((value) =>
  /^(dhcp|auto)$/.test(value) || /^[0-9a-f:]+\/\d{1,3}$/i.test(value)
    ? undefined
    : 'value does not look like a valid ipv6 network configuration',
)

export const ipv6Address = formatted((value) =>
  /^[0-9a-f:]+$/i.test(value) ? undefined : 'value does not look like a valid ipv6 address',
)

export const addressList = formatted((value) =>
  value.split(/[,;\s]+/).every((one) => ipv4.test(one) || one.includes(':'))
    ? undefined
    : 'value does not look like a valid IP address',
)

export const diskSize = formatted((value) =>
  /^\d+(\.\d+)?[KMGT]?$/.test(value) ? undefined : 'value does not look like a valid disk size',
)
