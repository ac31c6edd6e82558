import { cachedLayers, type Manifest } from '../../build/manifest.ts'
import { SeederError } from '../../report/error.ts'

/** Of this many files that nobody owns an error names each. */
const MOST_NAMED = 5

/**
 * Makes sure that a build may become a release: every layer was made by this very build, from the locked packages, since
 * whoever can write to a cache could change a layer; and every file belongs to a package, an artifact or the definition.
 * Throws SeederError.
 */
export function requireReleasable(manifest: Manifest): void {
  const title = `${manifest.image} ${manifest.version}`
  const cached = cachedLayers(manifest)
  if (cached.length > 0) {
    throw new SeederError(`${title} was built with layers of a cache: ${cached.join(', ')}`, {
      fix: 'a release is made from the locked packages alone: build it with --no-cache, test it, and publish that',
    })
  }
  const { unowned } = manifest.files
  if (unowned.length === 0) return
  const named = unowned.slice(0, MOST_NAMED).join(', ')
  const more = unowned.length > MOST_NAMED ? ` and ${unowned.length - MOST_NAMED} more` : ''
  throw new SeederError(`${title} has files that no package, artifact or definition owns: ${named}${more}`, {
    fix: `find out what makes them; those that may be there stand below \`unowned\` in images/${manifest.image}/image.yaml`,
  })
}
