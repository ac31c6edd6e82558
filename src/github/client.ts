import type { Octokit } from '@octokit/rest'
import { SeederError } from '../report/error.ts'
import { oneLine } from '../report/printable.ts'
import { makeOctokit } from './octokit.ts'
import type { Release, Releases } from './release.ts'
import { placeOf, request, unlessGone } from './request.ts'
import type { GitHubSettings } from './settings.ts'
import { assetOf, downloadAsset, uploadAsset } from './transfer.ts'

/** One repository on GitHub. */
export interface GitHub {
  readonly releases: Releases
  /** For everything but releases, such as comments. */
  readonly octokit: Octokit
  /** `owner/name`. */
  readonly repository: string
}

type ReleaseAnswer = Awaited<ReturnType<Octokit['repos']['getRelease']>>['data']

/** A client for one repository, which sends nothing yet. `note` gets a line when GitHub requires a wait. */
export function connect(
  settings: GitHubSettings & { signal: AbortSignal; note?: (text: string) => void },
): GitHub {
  const { repository, token, apiUrl, signal, note = () => undefined } = settings
  const octokit = makeOctokit(settings, signal, note)
  const releases = gitHubReleases(octokit, { token, apiUrl, repository, signal, note })
  return { releases, octokit, repository }
}

function gitHubReleases(
  octokit: Octokit,
  reached: GitHubSettings & { signal: AbortSignal; note: (text: string) => void },
): Releases {
  const { repository, apiUrl } = reached
  const { owner, repo } = placeOf(repository)
  /** Release id → URL for uploads, which is on another host than the API. */
  const uploadUrls = new Map<number, string>()

  const read = (answer: ReleaseAnswer): Release => {
    uploadUrls.set(answer.id, answer.upload_url)
    return releaseOf(answer)
  }
  const get = async (id: number) => {
    const { data } = await request(`read release ${id} of ${repository}`, 'contents: read', () =>
      octokit.repos.getRelease({ owner, repo, release_id: id }),
    )
    return read(data)
  }
  const deleteAsset = async (id: number) => {
    await request(`delete an asset of a draft of ${repository}`, 'contents: write', () =>
      octokit.repos.deleteReleaseAsset({ owner, repo, asset_id: id }).catch(unlessGone),
    )
  }

  return {
    repository,
    get,
    deleteAsset,
    async list() {
      const answers = await request(`list the releases of ${repository}`, 'contents: read', () =>
        octokit.paginate(octokit.repos.listReleases, { owner, repo, per_page: 100 }),
      )
      return answers.map(read)
    },
    async tagCommit(tag) {
      return request(`look for the tag ${tag} of ${repository}`, 'contents: read', async () => {
        const answer = await octokit.git.getRef({ owner, repo, ref: `tags/${tag}` }).catch(unlessGone)
        let object = answer?.data.object
        // An annotated tag is an object of its own, which may refer to another tag.
        while (object?.type === 'tag') {
          object = (await octokit.git.getTag({ owner, repo, tag_sha: object.sha })).data.object
        }
        return object?.sha
      })
    },
    async createDraft({ tag, target, title, body }) {
      const { data } = await request(
        `create a draft of the release ${tag} in ${repository}`,
        'contents: write',
        () =>
          octokit.repos.createRelease({
            owner,
            repo,
            body,
            name: title,
            tag_name: tag,
            target_commitish: target,
            draft: true,
            prerelease: true,
            make_latest: 'false',
            // The response may be lost after the draft was created: a second request would make a second draft.
            request: { retries: 0 },
          }),
      )
      return read(data)
    },
    async update(id, { title, body, target, draft, prerelease, makeLatest }) {
      const { data } = await request(`change release ${id} of ${repository}`, 'contents: write', () =>
        octokit.repos.updateRelease({
          owner,
          repo,
          release_id: id,
          ...(title !== undefined && { name: title }),
          ...(body !== undefined && { body }),
          ...(target !== undefined && { target_commitish: target }),
          ...(draft !== undefined && { draft }),
          ...(prerelease !== undefined && { prerelease }),
          ...(makeLatest !== undefined && { make_latest: makeLatest ? 'true' : 'false' }),
        }),
      )
      return read(data)
    },
    async upload(release, asset, onBytes) {
      if (!uploadUrls.has(release.id)) await get(release.id)
      return uploadAsset(
        { ...reached, url: uploadAddress(uploadUrls.get(release.id) ?? '', apiUrl) },
        asset,
        {
          // An incomplete upload keeps the name.
          find: async () => (await get(release.id)).assets.find(({ name }) => name === asset.name),
          remove: ({ id }) => deleteAsset(id),
        },
        onBytes,
      )
    },
    download: (asset, from = 0) =>
      downloadAsset(
        { ...reached, url: `${apiUrl}/repos/${owner}/${repo}/releases/assets/${asset.id}` },
        asset,
        from,
      ),
  }
}

/**
 * The URL in a release's `upload_url`, which is a template.
 * @throws SeederError when the token would be sent there without encryption, unlike to the API
 */
export function uploadAddress(template: string, apiUrl: string): string {
  const address = template.replace(/\{.*$/, '')
  if (!/^https:/i.test(apiUrl) || /^https:/i.test(address)) return address
  throw new SeederError(`GitHub gave an upload URL without encryption: ${address}`, {
    fix: 'find out what answers in place of GitHub: the token would be readable on the way',
  })
}

/** Anybody who may write chooses these texts. The body is kept as it is, because it is written back. */
function releaseOf(answer: ReleaseAnswer): Release {
  return {
    id: answer.id,
    tag: oneLine(answer.tag_name),
    title: oneLine(answer.name ?? ''),
    body: answer.body ?? '',
    target: oneLine(answer.target_commitish),
    draft: answer.draft,
    prerelease: answer.prerelease,
    immutable: answer.immutable ?? false,
    url: oneLine(answer.html_url),
    createdAt: answer.created_at,
    publishedAt: answer.published_at ?? undefined,
    assets: answer.assets.map(assetOf),
  }
}
