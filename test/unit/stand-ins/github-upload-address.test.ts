import { describe, expect, it } from 'vitest'
import { uploadAddress } from '../../../src/github/client.ts'

const template = '//uploads.github.com/repos/acme/platform/releases/7/assets{?name,label}'

describe('where assets are sent', () => {
  it('is what GitHub says, without what is to be filled in', () => {
    expect(uploadAddress(`https:${template}`, 'https://api.github.com')).toBe(
      'https://uploads.github.com/repos/acme/platform/releases/7/assets',
    )
    expect(uploadAddress('http://127.0.0.1:1/assets{?name}', 'http://127.0.0.1:2')).toBe(
      'http://127.0.0.1:1/assets',
    )
  })

  it.each([`http:${template}`, `ftp:${template}`, ''])('is not %s when the API has https', (given) => {
    expect(() => uploadAddress(given, 'https://api.github.com')).toThrow(/without encryption/)
  })
})
