import { Argument, type Command, InvalidArgumentError, Option } from 'commander'
import { initialize } from '../pki/authority.ts'
import { exportTrust } from '../pki/export.ts'
import type { Exposure } from '../pki/folder.ts'
import { defaultFolder } from '../pki/folder.ts'
import { entriesOf, publicKeyHash, readInventory } from '../pki/inventory.ts'
import { type Issued, issue, renew } from '../pki/issue.ts'
import { type AuthorityName, authorityNames, kindNames, parseRequest } from '../pki/profile.ts'
import {
  checkRecord,
  checkTable,
  initializedRecord,
  issuedRecord,
  listRecord,
  listTable,
} from '../pki/records.ts'
import { type Place, readSession } from '../pki/session.ts'
import {
  authorityFix,
  type CheckedCertificate,
  checkCertificate,
  defaultDays,
  shortDate,
} from '../pki/validity.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './context.ts'
import { examples, shortPath } from './options.ts'

interface CommonOptions {
  dir?: string
  json?: boolean
}

/** Adds `pki init|issue|renew|list|check|export`: the operator's certificate authorities. */
export function registerPkiCommand(program: Command, context: () => Context): void {
  const pki = program.command('pki').description('Make and keep the certificates of etcd and Kubernetes.')
  const place = ({ dir }: CommonOptions): Place => {
    const progress = context().progress()
    return { folder: defaultFolder(dir), note: (text) => progress.note(text) }
  }

  withCommonOptions(pki.command('init'))
    .description('Make the CAs that are missing: etcd-ca, kubernetes-ca and front-proxy-ca.')
    .addOption(daysOption(defaultDays.authority))
    .addHelpText('after', examples('seeder pki init'))
    .action(async (options: CommonOptions & { days: number }) => {
      const where = place(options)
      const { folder, authorities } = await initialize(where, { now: new Date(), days: options.days })
      if (options.json) return print(initializedRecord(folder, authorities))
      const width = Math.max(...authorities.map(({ name }) => name.length))
      const lines = authorities.map(
        ({ name, outcome, notAfter }) =>
          `  ${name.padEnd(width)}  ${outcome === 'made' ? 'made' : 'exists already'}, until ${shortDate(notAfter)}`,
      )
      print([folder, ...lines].join('\n'))
      if (authorities.some(({ outcome }) => outcome === 'made')) {
        where.note('this folder has the only copy of their keys: back it up where nobody else can read it')
      }
    })

  withCommonOptions(pki.command('issue'))
    .description(
      'Issue a certificate with a new key. The same name and address give the same certificate again.',
    )
    .addArgument(new Argument('<kind>', 'purpose of the certificate').choices(kindNames))
    .argument('[name]', 'name of the member, which is that of its VM; or name of the client')
    .option('--address <ip>', 'with etcd-member: IPv4 address of the member')
    .addOption(daysOption(defaultDays.leaf))
    .addHelpText('after', examples('seeder pki issue etcd-member etcd1 --address 10.0.0.129'))
    .action(
      async (
        kind: string,
        name: string | undefined,
        options: CommonOptions & { days: number; address?: string },
      ) => {
        const { days, address, json } = options
        const request = parseRequest({
          kind,
          ...(name === undefined ? {} : { name }),
          ...(address === undefined ? {} : { address }),
        })
        const issued = await issue(place(options), request, { now: new Date(), days })
        print(json ? issuedRecord(issued) : describeIssued(issued))
      },
    )

  withCommonOptions(pki.command('renew'))
    .description('Renew certificates: the same names and addresses, with new keys.')
    .argument('[name...]', 'names of the certificates')
    .addOption(
      new Option('--within <days>', 'renew all that expire within this number of days').argParser(parseDays),
    )
    .addOption(daysOption(defaultDays.leaf))
    .addHelpText('after', examples('seeder pki renew --within 30'))
    .action(async (names: string[], options: CommonOptions & { days: number; within?: number }) => {
      const { days, within, json } = options
      if ((names.length === 0) === (within === undefined)) {
        throw new UsageError('pki renew: give names or --within, and not both', {
          fix: 'give the names of certificates, or --within and a number of days',
        })
      }
      const choice = within === undefined ? { names } : { within }
      const where = place(options)
      const renewed = await renew(where, choice, { now: new Date(), days })
      if (renewed.length > 0) where.note('the nodes still have the old ones: copy the new ones there')
      if (json) return print(renewed.map(issuedRecord))
      print(renewed.map(describeIssued).join('\n') || `nothing expires within ${within} days`)
    })

  withCommonOptions(pki.command('list'))
    .description('List the certificates and their files.')
    .action(async (options: CommonOptions) => {
      const { certificates, hash } = await readFindings(place(options), 0)
      if (options.json) return print(listRecord(certificates, hash))
      print(formatTable(...listTable(certificates)))
      if (hash) print(`\nkubernetes-ca is JOIN_CA_HASH=${hash}`)
    })

  withCommonOptions(pki.command('check'))
    .description(
      'Check every certificate, key and permission. Exits with 1 when something is wrong or expires soon.',
    )
    .addOption(
      new Option('--within <days>', 'report what expires within this number of days as wrong')
        .argParser(parseDays)
        .default(30),
    )
    .addHelpText('after', examples('seeder pki check'))
    .action(async (options: CommonOptions & { within: number }) => {
      const { certificates, exposures } = await readFindings(place(options), options.within)
      const wrong = certificates.filter(({ problem }) => problem !== undefined)
      if (options.json) {
        print(checkRecord(certificates, exposures, options.within))
      } else {
        print(formatTable(...checkTable(certificates)))
        for (const { path, problem } of exposures) print(`${path} ${problem}`)
      }
      requireRight(wrong, exposures)
    })

  withCommonOptions(pki.command('export'))
    .description(
      'Write the certificates of the CAs, never keys, into the trust folders of the project’s images.',
    )
    .addArgument(
      new Argument('[ca...]', 'names of CAs (default: etcd-ca and kubernetes-ca)').choices(authorityNames),
    )
    .addHelpText('after', examples('seeder pki export'))
    .action(async (names: AuthorityName[], options: CommonOptions) => {
      const chosen: AuthorityName[] = names.length > 0 ? names : ['etcd-ca', 'kubernetes-ca']
      const exported = await exportTrust(place(options), context().project(), chosen)
      if (options.json) return print(exported)
      for (const { file, outcome } of exported) {
        print(`${shortPath(file)}: ${outcome === 'written' ? 'written' : 'unchanged'}`)
      }
    })
}

/** The findings about all certificates. */
async function readFindings(place: Place, within: number) {
  return await readSession(place, async ({ folder, exposures }) => {
    const inventory = await readInventory(folder)
    const now = new Date()
    const { certificate } = inventory.authorities['kubernetes-ca']
    return {
      exposures,
      certificates: entriesOf(inventory).map((entry) => checkCertificate(entry, inventory, now, within)),
      hash: certificate && publicKeyHash(certificate),
    }
  })
}

/** @throws SeederError when a certificate or a permission is wrong */
function requireRight(wrong: readonly CheckedCertificate[], exposures: readonly Exposure[]): void {
  const [first] = wrong
  if (first) {
    const names = wrong.map(({ name }) => name).join(' ')
    const authority = wrong.find(({ kind }) => kind === 'ca')
    const renewable = wrong.every(({ certificate }) => certificate !== undefined)
    throw new SeederError(
      wrong.length === 1 ? `${first.name} ${first.problem}` : `${wrong.length} certificates: ${names}`,
      {
        fix: authority
          ? `${authority.name} first: ${authorityFix(authority)}`
          : renewable
            ? `seeder pki renew ${names}; then copy them to their nodes`
            : 'remove the entries without a certificate, and issue them again if they are needed',
      },
    )
  }
  if (exposures.length > 0) {
    throw new SeederError(`${exposures.length} of the folder’s permissions are wrong`, {
      fix: 'the next command that makes changes repairs what it can; whoever read a key can use it until it expires',
    })
  }
}

function withCommonOptions(command: Command): Command {
  return command
    .option('--dir <dir>', 'use the CAs in this folder (default: $SEEDER_PKI, or ~/.local/share/seeder/pki)')
    .option('--json', 'print JSON')
}

function daysOption(days: number): Option {
  return new Option('--days <days>', 'issue for this number of days').argParser(parseDays).default(days)
}

/** At most a hundred years: this refuses a number with an extra digit. */
function parseDays(text: string): number {
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= 36500) return days
  throw new InvalidArgumentError('Give a number of days from 1 to 36500.')
}

function describeIssued({ request, outcome, notAfter, certificateFile, keyFile }: Issued): string {
  return [
    `${request.name}: ${outcome === 'kept' ? 'exists already' : outcome}, until ${shortDate(notAfter)}`,
    `  ${certificateFile}`,
    `  ${keyFile}`,
  ].join('\n')
}
