/** A time as it is shown, `2026-11-29 03:10 UTC`, of one in ISO 8601 or seconds since 1970. */
export function shownTime(time: string | number): string {
  const iso = typeof time === 'number' ? new Date(time * 1000).toISOString() : time
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`
}
