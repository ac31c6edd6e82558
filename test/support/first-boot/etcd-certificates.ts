import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

/** How a certificate differs from a good one. */
export interface CertificatePlan {
  /** As in openssl's subjectAltName; none at all when empty. */
  readonly names: string
  /** As in openssl's extendedKeyUsage; none at all when empty. */
  readonly usage?: string
  /** From when to when it counts, as openssl writes times: YYYYMMDDHHMMSSZ. */
  readonly time?: readonly [start: string, end: string]
}

/** A certificate and its key (PEM). */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export const past = ['20200101000000Z', '20210101000000Z'] as const
export const future = ['20980101000000Z', '20990101000000Z'] as const
const present = ['20200101000000Z', '20990101000000Z'] as const
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** A certificate authority in a folder of its own. `openssl ca`: of all its commands it alone takes any two times. */
export class Authority {
  private readonly folder: string
  private serial = 0

  private constructor(folder: string) {
    this.folder = folder
  }

  /** The CA's own certificate, PEM. */
  cert = ''

  static async make(name: string, plan: { time?: CertificatePlan['time']; ca?: boolean } = {}) {
    const authority = new Authority(await mkdtemp(join(tmpdir(), 'seeder-ca-')))
    await mkdir(join(authority.folder, 'new'))
    const own = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
    const { cert } = await authority.sign('ca', name, plan.ca === false ? [] : own, plan.time, ['-selfsign'])
    authority.cert = cert
    return authority
  }

  /** Signs a certificate for `name`, which is also its file's. */
  async issue(name: string, plan: CertificatePlan): Promise<KeyPair> {
    const { names, usage = 'serverAuth,clientAuth', time } = plan
    const extensions = ['basicConstraints=critical,CA:FALSE']
    if (names) extensions.push(`subjectAltName=${names}`)
    if (usage) extensions.push(`extendedKeyUsage=${usage}`)
    this.serial += 1
    return await this.sign(`leaf${this.serial}`, name, extensions, time, [])
  }

  private async sign(
    file: string,
    name: string,
    extensions: readonly string[],
    [start, end]: readonly [string, string] = present,
    more: readonly string[],
  ): Promise<KeyPair> {
    const path = (suffix: string) => join(this.folder, `${file}.${suffix}`)
    const config = `
      [ca]
      default_ca=authority
      [authority]
      database=${path('index')}
      new_certs_dir=${this.folder}/new
      unique_subject=no
      default_md=sha256
      policy=policy
      rand_serial=yes
      [policy]
      commonName=supplied
      [extensions]
      ${extensions.join('\n')}
      `
    // A database for each, so that some may be made at once.
    await Promise.all([writeFile(path('conf'), config), writeFile(path('index'), '')])
    await execa('openssl', [
      'req',
      '-new',
      ...newKey,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      path('key'),
      '-out',
      path('csr'),
    ])
    const signer = [
      '-keyfile',
      join(this.folder, 'ca.key'),
      ...(more.length ? [] : ['-cert', join(this.folder, 'ca.crt')]),
    ]
    const times = ['-startdate', start, '-enddate', end]
    await execa('openssl', [
      'ca',
      '-batch',
      '-notext',
      '-config',
      path('conf'),
      '-extensions',
      'extensions',
      ...times,
      ...signer,
      ...more,
      '-in',
      path('csr'),
      '-out',
      path('crt'),
    ])
    return { cert: await readFile(path('crt'), 'utf8'), key: await readFile(path('key'), 'utf8') }
  }

  async dispose(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}
