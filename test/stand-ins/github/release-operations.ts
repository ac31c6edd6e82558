import { z } from 'zod'
import type { Addresses } from './addresses.ts'
import type { AssetStore } from './assets.ts'
import { type Call, type Operations, page } from './exchange.ts'
import { notFound, validationFailed } from './failure.ts'
import type { Incoming } from './incoming.ts'
import { assetAnswer, releaseAnswer } from './release-answers.ts'
import type { ReleaseStore, StoredRelease } from './releases.ts'
import type { Repository } from './repository.ts'
import { may } from './tokens.ts'

const wish = z.object({
  tag_name: z.string().optional(),
  target_commitish: z.string().optional(),
  name: z.string().optional(),
  body: z.string().optional(),
  draft: z.boolean().optional(),
  prerelease: z.boolean().optional(),
  make_latest: z.enum(['true', 'false', 'legacy']).optional(),
})
const created = wish.extend({ tag_name: z.string() })
const assetWish = z.object({ name: z.string().optional(), label: z.string().optional() })

const READ = { contents: 'read' } as const
const WRITE = { contents: 'write' } as const

/** The operations on releases and their assets. */
export function releaseOperations(
  addresses: Addresses,
  repository: Repository,
  releases: ReleaseStore,
  assets: AssetStore,
): Operations {
  const answer = (release: StoredRelease, status = 200) => ({
    status,
    body: releaseAnswer(addresses, repository, release),
  })
  /** Only tokens that may write see drafts. */
  const visible = (call: Call, release: StoredRelease | undefined): StoredRelease => {
    if (!release || (release.draft && !may(call.token, 'contents', 'write'))) throw notFound()
    return release
  }
  const wanted = (call: Call) => visible(call, releases.get(Number(call.params.release_id)))
  const wantedAsset = (call: Call) => {
    const found = releases.asset(Number(call.params.asset_id))
    visible(call, found.release)
    return found
  }

  return {
    'repos/list-releases': {
      needs: READ,
      answer(call) {
        const seen = releases.all().filter((each) => !each.draft || may(call.token, 'contents', 'write'))
        return page(call, seen, (some) => some.map((each) => releaseAnswer(addresses, repository, each)))
      },
    },
    'repos/get-release': { needs: READ, answer: (call) => answer(wanted(call)) },
    'repos/get-latest-release': { needs: READ, answer: (call) => answer(visible(call, releases.latest())) },
    'repos/get-release-by-tag': {
      needs: READ,
      answer: (call) => answer(visible(call, releases.published(call.params.tag ?? ''))),
    },
    'repos/create-release': {
      needs: WRITE,
      answer: (call) => answer(releases.create(created.parse(call.body)), 201),
    },
    'repos/update-release': {
      needs: WRITE,
      answer(call) {
        const release = wanted(call)
        releases.update(release, wish.parse(call.body ?? {}))
        return answer(release)
      },
    },
    'repos/delete-release': {
      needs: WRITE,
      async answer(call) {
        const release = wanted(call)
        releases.delete(release)
        await assets.remove(...release.assets)
        return { status: 204 }
      },
    },
    'repos/list-release-assets': {
      needs: READ,
      answer(call) {
        const release = wanted(call)
        return page(call, release.assets, (some) =>
          some.map((asset) => assetAnswer(addresses, repository, release, asset)),
        )
      },
    },
    'repos/upload-release-asset': {
      needs: WRITE,
      async answer(call) {
        const release = wanted(call)
        const asset = await assets.upload(release, call, uploaded(call))
        return { status: 201, body: assetAnswer(addresses, repository, release, asset) }
      },
    },
    'repos/get-release-asset': {
      needs: READ,
      answer(call) {
        const { release, asset } = wantedAsset(call)
        if (call.headers.accept !== 'application/octet-stream') {
          return { status: 200, body: assetAnswer(addresses, repository, release, asset) }
        }
        if (asset.state !== 'uploaded') throw notFound()
        return { status: 302, headers: { location: assets.sign(asset) } }
      },
    },
    'repos/update-release-asset': {
      needs: WRITE,
      answer(call) {
        const { release, asset } = wantedAsset(call)
        if (release.immutable) throw frozenAsset('update')
        const { name, label } = assetWish.parse(call.body ?? {})
        if (name !== undefined && release.assets.some((each) => each !== asset && each.name === name)) {
          throw validationFailed({ resource: 'ReleaseAsset', code: 'already_exists', field: 'name' })
        }
        Object.assign(asset, { name: name ?? asset.name, label: label ?? asset.label })
        return { status: 200, body: assetAnswer(addresses, repository, release, asset) }
      },
    },
    'repos/delete-release-asset': {
      needs: WRITE,
      async answer(call) {
        const { release, asset } = wantedAsset(call)
        if (release.immutable) throw frozenAsset('delete')
        release.assets.splice(release.assets.indexOf(asset), 1)
        await assets.remove(asset)
        return { status: 204 }
      },
    },
  }
}

function uploaded({ incoming }: Call): Incoming {
  if (!incoming) throw new Error('an asset is uploaded to the host for uploads')
  return incoming
}

function frozenAsset(verb: string) {
  const message = `Cannot ${verb} asset from an immutable release`
  return validationFailed({ resource: 'ReleaseAsset', code: 'custom', message })
}
