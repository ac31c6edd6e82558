import { connect, type GitHub } from '../github/client.ts'
import { gitHubSettings } from '../github/settings.ts'
import { interruption } from '../process/interruption.ts'
import type { Progress } from '../report/progress.ts'

/**
 * The repository that the environment names, or `repository` (`owner/name`) over it. What GitHub asks to wait for is told
 * to `progress`. Throws UsageError when no token or no repository is there.
 */
export function connectRepository(
  env: NodeJS.ProcessEnv,
  repository: string | undefined,
  progress: Pick<Progress, 'note'>,
): GitHub {
  const settings = gitHubSettings(env, { repository })
  return connect({ ...settings, signal: interruption, note: (text) => progress.note(text) })
}
