import { rooms } from './scripts/rooms.ts'

const anyOf = (names) => `^src/(${names.map((name) => name.replace('.', '\\.')).join('|')})(/|$)`

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'known-room',
      comment: 'Each folder of src is a room of scripts/rooms.ts.',
      severity: 'error',
      from: { path: '^src/', pathNot: anyOf(rooms.map(({ name }) => name)) },
      to: {},
    },
    ...rooms.map(({ name, imports }) => ({
      name: `arrows-of-${name}`,
      comment: `${name} imports ${imports.join(', ') || 'no other room'}: scripts/rooms.ts.`,
      severity: 'error',
      from: { path: anyOf([name]) },
      to: { path: '^src/', pathNot: anyOf([name, ...imports]) },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts'] },
  },
}
