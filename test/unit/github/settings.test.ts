import { describe, expect, it } from 'vitest'
import { gitHubSettings } from '../../../src/github/settings.ts'

const runner = {
  GITHUB_TOKEN: 'ghs_1',
  GITHUB_REPOSITORY: 'acme/platform',
  GITHUB_API_URL: 'https://github.acme.example/api/v3/',
}

describe('how GitHub is reached', () => {
  it('is as a runner says', () => {
    expect(gitHubSettings(runner)).toEqual({
      token: 'ghs_1',
      repository: 'acme/platform',
      apiUrl: 'https://github.acme.example/api/v3',
    })
  })

  it('is github.com by itself, with a token of gh and a repository that is named', () => {
    const found = gitHubSettings({ GITHUB_TOKEN: '', GH_TOKEN: 'gho_2\n' }, { repository: 'me/images' })
    expect(found).toEqual({ token: 'gho_2', repository: 'me/images', apiUrl: 'https://api.github.com' })
    expect(gitHubSettings(runner, { repository: 'me/images' }).repository).toBe('me/images')
  })

  it.each([
    ['no token', { GITHUB_TOKEN: '' }, /no token/],
    ['no repository', { GITHUB_REPOSITORY: undefined }, /no GitHub repository/],
    ['no repository of an owner', { GITHUB_REPOSITORY: 'platform' }, /platform does not name/],
    ['an address for a repository', { GITHUB_REPOSITORY: 'https://github.com/a/b' }, /does not name/],
    ['another kind of address', { GITHUB_API_URL: 'ssh://github.com' }, /not an http or https address/],
  ])('is refused with %s', (_, changed, complaint) => {
    expect(() => gitHubSettings({ ...runner, ...changed })).toThrow(complaint)
  })
})
