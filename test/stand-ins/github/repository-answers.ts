import { type Addresses, user } from './addresses.ts'
import { now, type PullRequest, type Repository } from './repository.ts'

/** A repository as GitHub answers it; most of it is addresses of what the local GitHub does not have. */
export function repositoryAnswer(addresses: Addresses, repository: Repository) {
  const api = `${addresses.api}/repos/${repository.fullName}`
  const web = `${addresses.web}/${repository.fullName}`
  return {
    id: repository.id,
    node_id: `R_${repository.id}`,
    name: repository.name,
    full_name: repository.fullName,
    owner: user(addresses, repository.owner),
    private: repository.private,
    html_url: web,
    url: api,
    visibility: repository.private ? 'private' : 'public',
    default_branch: repository.defaultBranch,
    description: null,
    fork: false,
    homepage: null,
    language: null,
    license: null,
    mirror_url: null,
    archived: false,
    disabled: false,
    has_issues: true,
    has_projects: false,
    has_wiki: false,
    has_pages: false,
    has_discussions: false,
    has_downloads: true,
    size: 0,
    forks: 0,
    forks_count: 0,
    open_issues: 0,
    open_issues_count: 0,
    stargazers_count: 0,
    watchers: 0,
    watchers_count: 0,
    network_count: 0,
    subscribers_count: 0,
    pushed_at: now(),
    created_at: now(),
    updated_at: now(),
    clone_url: `${web}.git`,
    svn_url: web,
    ssh_url: `ssh://${repository.fullName}.git`,
    git_url: `git:${web.replace(/^\w+:/, '')}.git`,
    ...links(api),
  }
}

/** `issues_url` and the many like it. */
function links(api: string): Record<string, string> {
  const paths = {
    archive: '/{archive_format}{/ref}',
    assignees: '/assignees{/user}',
    blobs: '/git/blobs{/sha}',
    branches: '/branches{/branch}',
    collaborators: '/collaborators{/collaborator}',
    comments: '/comments{/number}',
    commits: '/commits{/sha}',
    compare: '/compare/{base}...{head}',
    contents: '/contents/{+path}',
    contributors: '/contributors',
    deployments: '/deployments',
    downloads: '/downloads',
    events: '/events',
    forks: '/forks',
    git_commits: '/git/commits{/sha}',
    git_refs: '/git/refs{/sha}',
    git_tags: '/git/tags{/sha}',
    hooks: '/hooks',
    issue_comment: '/issues/comments{/number}',
    issue_events: '/issues/events{/number}',
    issues: '/issues{/number}',
    keys: '/keys{/key_id}',
    labels: '/labels{/name}',
    languages: '/languages',
    merges: '/merges',
    milestones: '/milestones{/number}',
    pulls: '/pulls{/number}',
    notifications: '/notifications{?since,all,participating}',
    releases: '/releases{/id}',
    stargazers: '/stargazers',
    statuses: '/statuses/{sha}',
    subscribers: '/subscribers',
    subscription: '/subscription',
    tags: '/tags',
    teams: '/teams',
    trees: '/git/trees{/sha}',
  }
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [`${name}_url`, `${api}${path}`]))
}

/** An open pull request as GitHub answers it. */
export function pullAnswer(addresses: Addresses, repository: Repository, pull: PullRequest) {
  const api = `${addresses.api}/repos/${repository.fullName}`
  const url = `${api}/pulls/${pull.number}`
  const web = `${addresses.web}/${repository.fullName}/pull/${pull.number}`
  const issue = `${api}/issues/${pull.number}`
  const base = { ...repositoryAnswer(addresses, repository) }
  const author = user(addresses, pull.fork ? 'contributor' : repository.owner)
  const head = pull.fork
    ? { ...base, id: base.id + 1, fork: true, full_name: `contributor/${repository.name}`, owner: author }
    : base
  const links = {
    self: url,
    html: web,
    issue,
    comments: `${issue}/comments`,
    commits: `${url}/commits`,
    review_comments: `${url}/comments`,
    review_comment: `${api}/pulls/comments{/number}`,
    statuses: `${api}/statuses/${pull.head.sha}`,
  }
  return {
    url,
    id: pull.number,
    node_id: `PR_${pull.number}`,
    html_url: web,
    number: pull.number,
    state: 'open',
    diff_url: `${web}.diff`,
    patch_url: `${web}.patch`,
    issue_url: issue,
    commits_url: links.commits,
    review_comments_url: links.review_comments,
    review_comment_url: links.review_comment,
    comments_url: links.comments,
    statuses_url: links.statuses,
    locked: false,
    title: pull.title,
    user: author,
    body: null,
    labels: [],
    milestone: null,
    active_lock_reason: null,
    draft: false,
    created_at: now(),
    updated_at: now(),
    closed_at: null,
    merged_at: null,
    merge_commit_sha: null,
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    auto_merge: null,
    head: { label: `${head.owner.login}:${pull.head.ref}`, ...pull.head, user: author, repo: head },
    base: {
      label: `${repository.owner}:${repository.defaultBranch}`,
      ref: repository.defaultBranch,
      sha: repository.head(),
      user: base.owner,
      repo: base,
    },
    _links: Object.fromEntries(Object.entries(links).map(([name, href]) => [name, { href }])),
    author_association: pull.fork ? 'NONE' : 'OWNER',
    merged: false,
    mergeable: true,
    rebaseable: true,
    mergeable_state: 'clean',
    merged_by: null,
    comments: 0,
    review_comments: 0,
    commits: 1,
    maintainer_can_modify: false,
    additions: 1,
    deletions: 1,
    changed_files: pull.files.length,
  }
}
