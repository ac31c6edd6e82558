import { fixupSpdxId } from '@cyclonedx/cyclonedx-library/SPDX'

/** A package's licence, from its machine-readable copyright file. */
export interface Licence {
  /** An SPDX expression; all of its parts apply to some part of the package. */
  readonly expression: string
  /** Names in it that SPDX does not know (`LicenseRef-…`), with Debian's names. */
  readonly references: ReadonlyMap<string, string>
}

/** Shell text that prints the `Format` and `License` fields of all copyright files, each line after its package's name. */
export const LIST_LICENCES = [
  'if [ -d usr/share/doc ]; then',
  '  find -L usr/share/doc -mindepth 2 -maxdepth 2 -name copyright -type f -print0 | sort -z |',
  `    xargs -0 -r mawk '/^(Format|Format-Specification|License):/ { name = FILENAME; sub(/^usr\\/share\\/doc\\//, "", name); sub(/\\/copyright$/, "", name); print name "\\t" $0 }'`,
  'fi',
].join('\n')

/** Debian's short names with other names in SPDX. */
const spdxNames: Readonly<Record<string, string>> = {
  expat: 'MIT',
  artistic: 'Artistic-1.0-Perl',
  'artistic-1': 'Artistic-1.0-Perl',
  'bsd-2': 'BSD-2-Clause',
  'bsd-3': 'BSD-3-Clause',
  'bsd-4': 'BSD-4-Clause',
  // SPDX has deprecated its own name for it.
  'bsd-2-clause-netbsd': 'BSD-2-Clause',
  psf: 'PSF-2.0',
  'psf-2': 'PSF-2.0',
  python: 'PSF-2.0',
  cc0: 'CC0-1.0',
  zlib: 'Zlib',
  openssl: 'OpenSSL',
  'mpl-1.1': 'MPL-1.1',
  'mpl-2': 'MPL-2.0',
  apache: 'Apache-2.0',
  'apache-2': 'Apache-2.0',
  boost: 'BSL-1.0',
  unicode: 'Unicode-DFS-2016',
}

/**
 * Names that SPDX added so recently that programs refuse a document with them, such as SPDX's own tools in Debian 13.
 */
const tooNew = new Set(['artistic-dist'])

/**
 * Parses the output of `LIST_LICENCES`: package → licence. It leaves out packages whose copyright file is not
 * machine-readable.
 */
export function readLicences(printed: string): Map<string, Licence> {
  const fields = new Map<string, { machineReadable: boolean; names: Set<string> }>()
  for (const line of printed.split('\n')) {
    const [, name = '', field = '', value = ''] = /^([^\t]+)\t([\w-]+):\s*(.*?)\s*$/.exec(line) ?? []
    if (name === '') continue
    const found = fields.get(name) ?? { machineReadable: false, names: new Set() }
    if (field.startsWith('Format')) found.machineReadable = true
    else if (value !== '') found.names.add(value)
    fields.set(name, found)
  }
  const licences = new Map<string, Licence>()
  for (const [name, { machineReadable, names }] of fields) {
    if (!machineReadable || names.size === 0) continue
    licences.set(name, licenceOf(names))
  }
  return licences
}

function licenceOf(names: ReadonlySet<string>): Licence {
  const references = new Map<string, string>()
  const expressions = new Set<string>()
  for (const name of names) {
    const choices = name.split(/\s+or\s+|\s*\|\s*/i).map((choice) => {
      const parts = choice.split(/\s+and\s+|\s*,\s*(?:and\s+)?|\s+&\s+/i).filter(Boolean)
      return parts.map((part) => idOf(part, references))
    })
    const [only, ...more] = choices
    if (more.length === 0) for (const part of only ?? []) expressions.add(part)
    else
      expressions.add(
        `(${choices.map((parts) => (parts.length > 1 ? `(${parts.join(' AND ')})` : parts.join(''))).join(' OR ')})`,
      )
  }
  return { expression: [...expressions].sort().join(' AND '), references }
}

/** The SPDX identifier of a Debian short name; a reference where SPDX has no name. */
function idOf(name: string, references: Map<string, string>): string {
  const bare = name.toLowerCase().replace(/[()]/g, '').trim()
  const known = tooNew.has(bare)
    ? undefined
    : (spdxNames[bare] ?? gnuId(bare) ?? fixupSpdxId(bare) ?? fixupSpdxId(`${bare}.0`))
  if (known !== undefined) return known
  const id = `LicenseRef-debian-${bare
    .replaceAll('+', '-or-later')
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^-+|-+$/g, '')}`
  references.set(id, name)
  return id
}

/** GPL-2+ and the like. */
function gnuId(name: string): string | undefined {
  const [, family, major, minor = '0', later] = /^(a?gpl|lgpl|gfdl)-(\d)(?:\.(\d))?(\+)?$/.exec(name) ?? []
  if (family === undefined) return undefined
  return fixupSpdxId(`${family}-${major}.${minor}-${later ? 'or-later' : 'only'}`)
}
