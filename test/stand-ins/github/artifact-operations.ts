import type { Addresses } from './addresses.ts'
import type { ArtifactStore, StoredArtifact } from './artifact-store.ts'
import { type Call, type Operations, page } from './exchange.ts'
import { notFound } from './failure.ts'
import type { Repository } from './repository.ts'

const READ = { actions: 'read' } as const

/** The operations on the artifacts of workflows' runs. */
export function artifactOperations(
  addresses: Addresses,
  repository: Repository,
  store: ArtifactStore,
): Operations {
  const answer = (artifact: StoredArtifact) => artifactAnswer(addresses, repository, artifact)
  const wanted = (call: Call): StoredArtifact => {
    const found = store.artifacts.find((each) => each.finished && each.id === Number(call.params.artifact_id))
    if (!found) throw notFound()
    return found
  }

  return {
    'actions/list-artifacts-for-repo': {
      needs: READ,
      answer(call) {
        const name = call.query.get('name')
        const finished = store.artifacts.filter(
          (each) => each.finished && (name === null || each.name === name),
        )
        const found = finished.toReversed()
        return page(call, found, (some) => ({ total_count: found.length, artifacts: some.map(answer) }))
      },
    },
    'actions/get-artifact': { needs: READ, answer: (call) => ({ status: 200, body: answer(wanted(call)) }) },
    'actions/download-artifact': {
      needs: READ,
      answer: (call) => ({ status: 302, headers: { location: store.sign(wanted(call), 'GET') } }),
    },
  }
}

function artifactAnswer(addresses: Addresses, repository: Repository, artifact: StoredArtifact) {
  const url = `${addresses.api}/repos/${repository.fullName}/actions/artifacts/${artifact.id}`
  return {
    id: artifact.id,
    node_id: `A_${artifact.id}`,
    name: artifact.name,
    size_in_bytes: artifact.size,
    url,
    archive_download_url: `${url}/zip`,
    expired: false,
    digest: `sha256:${artifact.sha256}`,
    created_at: artifact.createdAt,
    updated_at: artifact.createdAt,
    expires_at: null,
    workflow_run: {
      id: 1,
      repository_id: repository.id,
      head_repository_id: repository.id,
      head_branch: repository.defaultBranch,
      head_sha: repository.head(),
    },
  }
}
