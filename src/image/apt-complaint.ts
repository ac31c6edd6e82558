/**
 * The line of apt's output that says most: an unmet dependency with both packages' names, as its two solvers word
 * it, else its first error. Undefined when there is neither.
 */
export function aptComplaint(output: string): string | undefined {
  const classic = /^ ?(\S+ : (?:Pre-?)?Depends: .+)$/m.exec(output)?.[1]
  const newer = /^ *\d+\. (\S+ (?:Pre-?)?Depends .+)\n\s*but none of the choices are installable/m.exec(
    output,
  )?.[1]
  const error = /^E: (.+)$/m.exec(output)?.[1]
  return classic ?? (newer && `${newer} is not installable`) ?? error
}
