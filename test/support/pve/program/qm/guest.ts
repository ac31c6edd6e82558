import type { Call } from '../getopt.ts'
export async function command(_: Call) {}
export async function exec(_: Call) {}
export async function execStatus(_: Call) {}
