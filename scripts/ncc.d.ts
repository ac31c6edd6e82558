/** The part of ncc's interface that bundle.ts uses; the package has no types of its own. */
declare module '@vercel/ncc' {
  interface Options {
    readonly cache: boolean
    readonly minify: boolean
    readonly esm: boolean
    readonly license: string
    readonly quiet: boolean
  }
  interface Bundle {
    readonly code: string
    readonly assets: Readonly<Record<string, { readonly source: string | Buffer }>>
  }
  export default function ncc(source: string, options: Options): Promise<Bundle>
}
