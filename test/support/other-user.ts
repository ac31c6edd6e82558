import { execa } from 'execa'

/** How to run a command as another user than the one who runs the tests. */
export interface OtherUser {
  readonly name: string
  /** Put before a command line. The current folder and the environment stay. */
  readonly prefix: readonly string[]
  remove(): Promise<void>
}

/**
 * For root, a new user with subordinate ids; for a normal user, root, if sudo lets it without a password. Undefined
 * where there is no other user to be had.
 */
export async function otherUser(): Promise<OtherUser | undefined> {
  if (process.getuid?.() !== 0) {
    const sudo = await execa('sudo', ['-n', 'true'], { reject: false })
    if (sudo.exitCode !== 0) return undefined
    return { name: 'root', prefix: ['sudo', '-n', '--preserve-env'], remove: async () => {} }
  }
  const name = `seeder-test-${process.pid}`
  await execa('useradd', ['--create-home', name])
  const prefix = ['setpriv', `--reuid=${name}`, `--regid=${name}`, '--init-groups', '--']
  return {
    name,
    prefix,
    async remove() {
      await execa('userdel', ['--remove', name], { reject: false })
    },
  }
}
