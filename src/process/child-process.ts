import { execa as bare } from 'execa'

/**
 * What programs that Seeder starts get of its own environment: where to find things, the language, proxies, and what git,
 * gpg and ssh go by. Not what a job has besides: keys and tokens are nobody's who does not need them.
 */
const PASSED_ON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|COLORTERM|COLUMNS|NO_COLOR|FORCE_COLOR|CI|GITHUB_ACTIONS|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|XDG_\w+|(https?|ftp|all|no)_proxy|GIT_\w+|SSH_AUTH_SOCK|GNUPGHOME|NODE_COMPILE_CACHE|SEEDER_(MIRROR|SNAPSHOT)_\w+|SEEDER_PKI)$/i

/** The environment of a program that Seeder starts. */
export function childEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && PASSED_ON.test(name) ? [[name, value]] : [],
    ),
  )
}

/** Starts programs, as the package of that name does, with `childEnvironment` and what a call adds to it. */
export const execa = bare({ extendEnv: false, env: childEnvironment() })
