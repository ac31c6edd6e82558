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

/** `command: comment`: writes the comment of a pull request from the entries of the jobs that tested its images. */
export async function commentStep(inputs: InputsOf<'comment'>, step: Step): Promise<StepOutcome> {
  const event = await readEvent(step.env)
  if (event.kind !== 'pull-request') {
    throw new UsageError(
      `a comment is for a pull request, and this run was started by ${step.env.GITHUB_EVENT_NAME}`,
      { fix: "give this step: if: github.event_name == 'pull_request'" },
    )
  }
  const entries = await readEntries(folderOf(step, inputs))
  const expected = expectedImages(inputs.matrix)
  const text = describePullRequest(entries, { expected, commit: event.head, run: runUrl(step) })
  const written = await writeStickyComment(gitHubOf(step, inputs), event.number, {
    marker: COMMENT_MARKER,
    text,
    // A pull request without images gets no comment, but an existing comment is updated.
    onlyChange: entries.length === 0 && expected.length === 0,
  })
  if (written) step.context.progress().note(`comment ${written.what}: ${written.url}`)
  return { outputs: { changed: written !== undefined && written.what !== 'unchanged' } }
}

async function readEntries(folder: string): Promise<CommentEntry[]> {
  // The folder does not exist when no job uploaded an entry.
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
    what: 'the entry of an image for the comment',
    fix: 'use the same version of the action in the jobs that build and in the job that comments',
  })
}

function expectedImages(matrix: string | undefined): string[] {
  if (matrix === undefined) return []
  try {
    return parseJson(matrix, matrixSchema).include.map(({ image }) => image)
  } catch (cause) {
    throw new UsageError(`the input matrix is not the output of \`command: plan\`: ${whyNot(cause)}`, {
      fix: 'give it the output matrix of the step with `command: plan`',
      cause,
    })
  }
}
