import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseJson, readJson, whyNot } from '../../files/json.ts'
import { writeStickyComment } from '../../github/comment.ts'
import { matrixSchema } from '../../image/affected.ts'
import { UsageError } from '../../report/error.ts'
import { readEvent } from '../event.ts'
import type { InputsOf } from '../input-schemas.ts'
import {
  COMMENT_MARKER,
  type CommentEntry,
  commentEntrySchema,
  describePullRequest,
} from '../pull-comment.ts'
import { folderOf, gitHubOf, runUrl, type Step, type StepOutcome } from '../step.ts'

/** `command: comment`: the one comment of a pull request, from what the jobs that built its images have left. */
export async function commentStep(inputs: InputsOf<'comment'>, step: Step): Promise<StepOutcome> {
  const event = await readEvent(step.env)
  if (event.kind !== 'pull-request') {
    throw new UsageError(
      `a comment is for a pull request, and this was started by ${step.env.GITHUB_EVENT_NAME}`,
      {
        fix: "give this step: if: github.event_name == 'pull_request'",
      },
    )
  }
  const entries = await readEntries(folderOf(step, inputs))
  const expected = expectedImages(inputs.matrix)
  const text = describePullRequest(entries, {
    expected,
    commit: event.head,
    run: runUrl(step),
  })
  const written = await writeStickyComment(gitHubOf(step, inputs), event.number, {
    marker: COMMENT_MARKER,
    text,
    // Nobody is told that a pull request has nothing to do with images, unless it had at first.
    onlyChange: entries.length === 0 && expected.length === 0,
  })
  if (written) step.context.progress().note(`comment ${written.what}: ${written.url}`)
  return { outputs: { changed: written !== undefined && written.what !== 'unchanged' } }
}

async function readEntries(folder: string): Promise<CommentEntry[]> {
  // Without an image there is no artifact, and then the folder was not even made.
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return Promise.all(
    names.filter((name) => /^comment-.+\.json$/.test(name)).map((name) => readEntry(join(folder, name))),
  )
}

async function readEntry(file: string): Promise<CommentEntry> {
  return readJson(file, commentEntrySchema, {
    what: 'what the test of an image leaves for the comment',
    fix: 'let the jobs that build and the one that comments use the same version of the action',
  })
}

function expectedImages(matrix: string | undefined): string[] {
  if (matrix === undefined) return []
  try {
    return parseJson(matrix, matrixSchema).include.map(({ image }) => image)
  } catch (cause) {
    throw new UsageError(`the input matrix is not what \`command: plan\` put out: ${whyNot(cause)}`, {
      fix: 'give it the output matrix of the step with `command: plan`',
      cause,
    })
  }
}
