import { execa as bare } from 'execa'

/**
 * The environment variables that child processes inherit: paths, language, proxies, and the settings of git, gpg and
 * ssh, but no keys and tokens.
 */
const PASSED_ON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|COLORTERM|COLUMNS|NO_COLOR|FORCE_COLOR|CI|GITHUB_ACTIONS|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|XDG_\w+|(https?|ftp|all|no)_proxy|GIT_\w+|SSH_AUTH_SOCK|GNUPGHOME|NODE_COMPILE_CACHE|SEEDER_(MIRROR|SNAPSHOT)_\w+|SEEDER_PKI)$/i

/** The environment of a child process. */
export function childEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && PASSED_ON.test(name) ? [[name, value]] : [],
    ),
  )
}

/** The package's `execa` with `childEnvironment`, to which a call can add. */
export const execa = bare({ extendEnv: false, env: childEnvironment() })
