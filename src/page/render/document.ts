import { createHash } from 'node:crypto'
import { SeederError } from '../../report/error.ts'
import type { PageAssets } from '../assets.ts'
import { html, jsonText } from '../html.ts'
import type { Page } from '../page.ts'
import { bootSection } from './boot.ts'
import { bootTestSection } from './boot-test.ts'
import { changesSection } from './changes.ts'
import { documentsSection, identitySection } from './identity.ts'
import { contents, overview } from './overview.ts'
import { packagesSection } from './packages.ts'
import { sizesSection } from './sizes.ts'
import { trustSection } from './trust.ts'

/**
 * The whole page as HTML. It sends no request, and its policy forbids every one: it allows only the embedded style and the
 * embedded script, by their digests.
 */
export function renderPage(page: Page, { script, style }: PageAssets): string {
  if (/<(\/script|\/style|!--)/i.test(script + style)) {
    throw new SeederError('the page’s script or style would end its own element')
  }
  const policy = [
    "default-src 'none'",
    `style-src ${hashSource(style)}`,
    `script-src ${hashSource(script)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  const head = html`<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${page.image} ${page.version}: image report</title>
`
  const body = html`<a class="skip" href="#main">Skip to the report</a>
${overview(page)}${contents()}<main id="main" tabindex="-1">
${changesSection(page.changes)}${bootTestSection(page.bootTest)}${bootSection(page.boot)}${trustSection(page.trust)}${identitySection(page.identity)}${sizesSection(page.sizes)}${packagesSection(page.packages)}${documentsSection(page.documents)}</main>
<footer><p>Written by <code>seeder report</code> from the files of the build. It loads nothing and sends nothing.</p></footer>
`
  const data = page.sizes === undefined ? '' : jsonText(page.sizes.packed)
  return `<!doctype html>
<html lang="en">
<head>
${head.text}<style>${style}</style>
</head>
<body>
${body.text}<script type="application/json" id="packed-sizes">${data}</script>
<script>${script}</script>
</body>
</html>
`
}

function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
