/** A time, in ISO 8601 or seconds since 1970, as `2026-11-29 03:10 UTC`. */
export function formatTime(time: string | number): string {
  const iso = typeof time === 'number' ? new Date(time * 1000).toISOString() : time
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`
}
