import { z } from 'zod'
import { type Addresses, user } from './addresses.ts'
import { type Operations, page } from './exchange.ts'
import { notFound, Refusal } from './failure.ts'
import type { ReleaseStore } from './releases.ts'
import type { Commit, Ref, Repository, TagObject } from './repository.ts'

const READ = { contents: 'read' } as const
const WRITE = { contents: 'write' } as const

const newRef = z.object({ ref: z.string(), sha: z.string() })
const newTag = z.object({ tag: z.string(), message: z.string(), object: z.string() })

/** The operations on git references, tags, commits and files. */
export function gitOperations(
  addresses: Addresses,
  repository: Repository,
  releases: ReleaseStore,
): Operations {
  const api = `${addresses.api}/repos/${repository.fullName}`
  const refAnswer = (name: string, ref: Ref) => ({
    ref: `refs/${name}`,
    node_id: `REF_${name}`,
    url: `${api}/git/refs/${name}`,
    object: { type: ref.type, sha: ref.sha, url: `${api}/git/${ref.type}s/${ref.sha}` },
  })
  const tagAnswer = (tag: TagObject) => ({
    node_id: `TAG_${tag.sha}`,
    sha: tag.sha,
    url: `${api}/git/tags/${tag.sha}`,
    tag: tag.tag,
    message: tag.message,
    tagger: person(tag.date),
    object: { ...tag.object, url: `${api}/git/commits/${tag.object.sha}` },
  })

  return {
    'git/get-ref': {
      needs: READ,
      answer(call) {
        const name = call.params.ref ?? ''
        const ref = repository.refs.get(name)
        if (!ref) throw notFound()
        return { status: 200, body: refAnswer(name, ref) }
      },
    },
    'git/list-matching-refs': {
      needs: READ,
      answer(call) {
        const found = [...repository.refs].filter(([name]) => name.startsWith(call.params.ref ?? ''))
        return page(call, found, (some) => some.map(([name, ref]) => refAnswer(name, ref)))
      },
    },
    'git/create-ref': {
      needs: WRITE,
      answer(call) {
        const { ref, sha } = newRef.parse(call.body)
        if (!/^refs\/(heads|tags)\/./.test(ref)) throw new Refusal(422, `${ref} is not a valid ref name.`)
        const name = ref.slice('refs/'.length)
        return { status: 201, body: refAnswer(name, repository.makeRef(name, sha)) }
      },
    },
    'git/update-ref': {
      needs: WRITE,
      answer(call) {
        const name = call.params.ref ?? ''
        const { sha } = z.object({ sha: z.string() }).parse(call.body)
        return { status: 200, body: refAnswer(name, repository.moveRef(name, sha)) }
      },
    },
    'git/delete-ref': {
      needs: WRITE,
      answer(call) {
        repository.deleteRef(call.params.ref ?? '', (tag) => releases.holds(tag))
        return { status: 204 }
      },
    },
    'git/create-tag': {
      needs: WRITE,
      answer(call) {
        const { tag, message, object } = newTag.parse(call.body)
        return { status: 201, body: tagAnswer(repository.makeTagObject(tag, message, object)) }
      },
    },
    'git/get-tag': {
      needs: READ,
      answer(call) {
        const tag = repository.tagObjects.get(call.params.tag_sha ?? '')
        if (!tag) throw notFound()
        return { status: 200, body: tagAnswer(tag) }
      },
    },
    'repos/get-commit': {
      needs: READ,
      answer(call) {
        const wanted = call.params.ref ?? ''
        const commit = repository.resolve(wanted)
        if (!commit) throw new Refusal(422, `No commit found for SHA: ${wanted}`)
        return { status: 200, body: commitAnswer(addresses, repository, commit) }
      },
    },
    'repos/compare-commits-with-basehead': {
      needs: READ,
      answer(call) {
        const [base, head] = (call.params.basehead ?? '').split('...').map((ref) => repository.resolve(ref))
        if (!base || !head) throw notFound()
        return { status: 200, body: comparisonAnswer(addresses, repository, base, head) }
      },
    },
    'repos/get-content': {
      needs: READ,
      answer(call) {
        const path = call.params.path ?? ''
        const ref = call.query.get('ref') ?? repository.defaultBranch
        const commit = repository.resolve(ref)
        if (!commit) throw new Refusal(404, `No commit found for the ref ${ref}`)
        const content = commit.files.get(path)
        if (!content) {
          const entries = entriesOf(commit, path)
          if (entries.length === 0) throw notFound()
          return { status: 200, body: entries.map((entry) => entryAnswer(addresses, repository, ref, entry)) }
        }
        if (/\braw\b/.test(call.headers.accept ?? '')) {
          return {
            status: 200,
            headers: { 'content-type': 'application/vnd.github.raw+json; charset=utf-8' },
            body: content,
          }
        }
        return { status: 200, body: fileAnswer(addresses, repository, path, ref, content) }
      },
    },
  }
}

/** Differs from every file: an empty file is one, too. */
const NOTHING = Buffer.from('\0')

/** Of two commits, the second of which comes after the first. */
function comparisonAnswer(addresses: Addresses, repository: Repository, base: Commit, head: Commit) {
  const path = `compare/${base.sha}...${head.sha}`
  const api = `${addresses.api}/repos/${repository.fullName}`
  const web = `${addresses.web}/${repository.fullName}`
  const names = new Set([...base.files.keys(), ...head.files.keys()])
  const changed = [...names].filter((name) => !head.files.get(name)?.equals(base.files.get(name) ?? NOTHING))
  return {
    url: `${api}/${path}`,
    html_url: `${web}/${path}`,
    permalink_url: `${web}/${path}`,
    diff_url: `${web}/${path}.diff`,
    patch_url: `${web}/${path}.patch`,
    status: 'ahead',
    ahead_by: 1,
    behind_by: 0,
    total_commits: 1,
    base_commit: commitAnswer(addresses, repository, base),
    merge_base_commit: commitAnswer(addresses, repository, base),
    commits: [commitAnswer(addresses, repository, head)],
    // GitHub names 300 files at most.
    files: changed.slice(0, 300).map((filename) => ({
      sha: head.sha,
      filename,
      additions: 1,
      deletions: 1,
      changes: 2,
      status: !base.files.has(filename) ? 'added' : head.files.has(filename) ? 'modified' : 'removed',
      blob_url: `${web}/blob/${head.sha}/${filename}`,
      raw_url: `${web}/raw/${head.sha}/${filename}`,
      contents_url: `${api}/contents/${filename}?ref=${head.sha}`,
    })),
  }
}

function commitAnswer(addresses: Addresses, repository: Repository, commit: Commit) {
  const api = `${addresses.api}/repos/${repository.fullName}`
  const web = `${addresses.web}/${repository.fullName}`
  const who = person(commit.date)
  return {
    url: `${api}/commits/${commit.sha}`,
    sha: commit.sha,
    node_id: `C_${commit.sha}`,
    html_url: `${web}/commit/${commit.sha}`,
    comments_url: `${api}/commits/${commit.sha}/comments`,
    commit: {
      url: `${api}/git/commits/${commit.sha}`,
      author: who,
      committer: who,
      message: commit.message,
      comment_count: 0,
      tree: { sha: commit.sha, url: `${api}/git/trees/${commit.sha}` },
    },
    author: user(addresses, repository.owner),
    committer: user(addresses, repository.owner),
    parents: commit.parents.map((sha) => ({
      sha,
      url: `${api}/commits/${sha}`,
      html_url: `${web}/commit/${sha}`,
    })),
    stats: { total: 0, additions: 0, deletions: 0 },
    files: [],
  }
}

interface Entry {
  readonly path: string
  readonly type: 'file' | 'dir'
  /** Bytes; 0 for a folder. */
  readonly size: number
}

/** What is directly in a folder of a commit. */
function entriesOf(commit: Commit, folder: string): Entry[] {
  const start = folder === '' ? '' : `${folder}/`
  const found = new Map<string, Entry>()
  for (const [path, content] of commit.files) {
    if (!path.startsWith(start)) continue
    const [name = '', ...below] = path.slice(start.length).split('/')
    const type = below.length > 0 ? 'dir' : 'file'
    found.set(name, { path: start + name, type, size: type === 'dir' ? 0 : content.length })
  }
  return [...found.values()]
}

function entryAnswer(addresses: Addresses, repository: Repository, ref: string, { path, type, size }: Entry) {
  const api = `${addresses.api}/repos/${repository.fullName}`
  const url = `${api}/contents/${path}?ref=${ref}`
  const git = `${api}/git/${type === 'dir' ? 'trees' : 'blobs'}/${ref}`
  const html = `${addresses.web}/${repository.fullName}/blob/${ref}/${path}`
  return {
    type,
    size,
    name: path.split('/').at(-1) ?? path,
    path,
    sha: ref,
    url,
    git_url: git,
    html_url: html,
    download_url: type === 'dir' ? null : html,
    _links: { self: url, git, html },
  }
}

function fileAnswer(
  addresses: Addresses,
  repository: Repository,
  path: string,
  ref: string,
  content: Buffer,
) {
  return {
    ...entryAnswer(addresses, repository, ref, { path, type: 'file', size: content.length }),
    encoding: 'base64',
    content: content.toString('base64').replace(/.{60}/g, '$&\n'),
  }
}

function person(date: string) {
  return { name: 'Operator', email: 'operator@example.org', date }
}
