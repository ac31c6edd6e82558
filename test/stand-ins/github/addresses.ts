/** Where things are: the local servers, and the pages for people, which are only named and not there. */
export interface Addresses {
  readonly api: string
  readonly upload: string
  readonly download: string
  /** The artifact service, and the storage of its content. */
  readonly results: string
  readonly blob: string
  readonly web: string
}

/** A user as GitHub describes one in its answers. */
export function user(addresses: Addresses, login: string) {
  const path = encodeURIComponent(login)
  const url = `${addresses.api}/users/${path}`
  return {
    login,
    id: 41_898_282,
    node_id: 'MDM6Qm90NDE4OTgyODI=',
    type: 'Bot',
    site_admin: false,
    avatar_url: `${addresses.web}/${path}.png`,
    gravatar_id: '',
    url,
    html_url: `${addresses.web}/${path}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
  }
}
