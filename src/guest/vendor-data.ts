import { parse, stringify } from 'yaml'
import { z } from 'zod'

/** The path of a node's values on the node. */
export const NODE_ENV_PATH = '/etc/seeder/node.env'

/** The vendor data of a cloud-init drive that writes these files; its second line names the node that it belongs to. */
export function vendorData(token: string, files: readonly VendorFile[]): string {
  const write_files = files.map(({ path, permissions, content }) => ({ path, permissions, content }))
  // Folded lines would change the files.
  const body = stringify({ write_files }, { lineWidth: 0, blockQuote: 'literal' })
  return `#cloud-config\n${tokenLine(token)}\n${body}`
}

/** Whether a snippet was written for the node with this token. */
export function isVendorDataOf(token: string, text: string): boolean {
  return text.split('\n', 2)[1] === tokenLine(token)
}

const written = z.object({
  write_files: z.array(z.object({ path: z.string(), permissions: z.string(), content: z.string() })),
})

/**
 * The files that our vendor data writes.
 * @throws Error when the text is not our vendor data
 */
export function filesOf(text: string): VendorFile[] {
  return written.parse(parse(text)).write_files
}

function tokenLine(token: string): string {
  return `# seeder-node: ${token}`
}

/** A file that vendor data puts on the node. */
export interface VendorFile {
  readonly path: string
  /** Octal, for example `0640`. */
  readonly permissions: string
  readonly content: string
}
