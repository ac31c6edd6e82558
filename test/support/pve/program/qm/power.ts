import type { Call } from '../getopt.ts'
export async function stop(_: Call) {}
export async function shutdown(_: Call) {}
export async function reboot(_: Call) {}
