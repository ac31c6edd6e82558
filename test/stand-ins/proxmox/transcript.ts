/** A command of a recording, and what it printed and returned. */
export interface Recorded {
  /** As it stands there: without the quotes that it was given with. */
  readonly command: string
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

/** Reads a recording. Lines that belong to no command are left out. */
export function parseTranscript(text: string): Recorded[] {
  const found: Recorded[] = []
  let command: string[] | undefined
  let output = { out: '', err: '' }
  for (const line of text.split('\n')) {
    const status = /^ {2}rc=(\d+)$/.exec(line)?.[1]
    const [, stream, words] = /^ {2}(out|err)\| ?(.*)$/s.exec(line) ?? []
    if (line.startsWith('$ ')) {
      command = [line.slice(2)]
      output = { out: '', err: '' }
    } else if (command === undefined) {
      // What a script printed between two commands.
    } else if (status !== undefined) {
      const { out: stdout, err: stderr } = output
      found.push({ command: command.join('\n'), stdout, stderr, code: Number(status) })
      command = undefined
    } else if (stream === 'out' || stream === 'err') {
      output[stream] += `${words}\n`
    } else {
      command.push(line)
    }
  }
  return found
}

/** The words of a recorded command line: an option's value goes as far as the next option. */
export function wordsOf(command: string): string[] {
  const [start = '', ...options] = command.split(/\s(?=--[a-z])/)
  return [
    ...start.split(' '),
    ...options.flatMap((option) => {
      if (/^--[a-z][\w-]*=\S/.test(option)) return option.split(' ')
      const [, name, value] = /^(--[a-z][\w-]*)(?: (.*))?$/s.exec(option) ?? []
      return name === undefined ? [option] : value === undefined ? [name] : [name, value]
    }),
  ]
}

const hex8 = '[0-9A-F]{8}'

/** Of everything that differs from run to run, the same. */
export function normalise(text: string): string {
  const lines = text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replace(/(BC:24:11)(:[0-9A-F]{2}){3}/gi, 'MAC')
    .replace(new RegExp(`UPID:(\\w+):${hex8}:${hex8}:${hex8}:`, 'g'), 'UPID:$1:…:')
    .replace(/ctime=\d+/g, 'ctime=…')
    .replace(/\$5\$[\w./$]+/g, 'HASH')
    .replace(/instance-id: [0-9a-f]{40}/g, 'instance-id: …')
    .replace(/"(ctime|used|avail|total|used_fraction|digest)":("?)[\w.]+"?/g, '"$1":$2…$2')
    .replace(
      /"content":"([\w,]+)"/g,
      (_, content: string) => `"content":"${content.split(',').sort().join()}"`,
    )
    // Not every kernel's bridges know VLANs.
    .replace('"bridge_vlan_aware":1,', '')
    .replace(/(error while reading at byte) \d+/g, '$1 …')
    // How far the parts of a copy that run at the same time come before one of them fails.
    .replace(/(\ntransferred .*)(\ntransferred .*)*(\nqemu-img: error while .*)+/g, '$1$3')
    .replace(/^(disk size|file length|actual-size): .*$/gm, '$1: …')
    .replace(/^( {4}(disk size|file length)): .*$/gm, '$1: …')
    .replace(/"actual-size": \d+/g, '"actual-size": …')
    // Of folders: blocks, links, dates.
    .replace(/^total \d+$/gm, 'total …')
    .replace(/^([-d][-rwx]{9}) +\d+ (\w+) (\w+) +(\d+) \w{3} +\d+ [\d:]+ /gm, '$1 $2 $3 $4 ')
    // A storage's room: KiB three times, and the share.
    .replace(/(active|inactive) +\d+ +\d+ +\d+ +[\d.]+%/g, '$1 …')
    // Of a file's attributes only whether it may be changed: the others are the file system's.
    .replace(
      /^([-a-zA-Z]{22}) \//gm,
      (_, flags: string) => `${flags.includes('i') ? 'immutable' : 'mutable'} /`,
    )
    .split('\n')
  if (lines[0]?.match(/^(im)?mutable /)) lines.sort()
  return lines.filter((line, index) => !isRepeatedProgress(line, lines[index - 1])).join('\n')
}

/** How far a copy is, is printed more or less often. */
function isRepeatedProgress(line: string, before: string | undefined): boolean {
  if (!line.startsWith('transferred ')) return false
  return before === undefined ? false : before.startsWith('transferred ') && !line.includes('(100.00%)')
}
