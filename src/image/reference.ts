import { SeederError } from '../report/error.ts'

/** The reference of a container image in parts: `registry.k8s.io/coredns/coredns:v1.14.6`. */
export interface Reference {
  readonly registry: string
  readonly repository: string
  readonly tag: string
  /** The last part of the repository. */
  readonly name: string
}

/** A reference with its registry and tag; the groups are registry, repository and tag. */
export const REFERENCE =
  /^([a-z0-9.-]+(?::\d+)?)\/((?:[a-z0-9][a-z0-9._-]*\/)*[a-z0-9][a-z0-9._-]*):(\w[\w.-]{0,127})$/

/** @throws SeederError when it is not a reference with registry and tag */
export function parseReference(text: string): Reference {
  const [, registry, repository, tag] = REFERENCE.exec(text) ?? []
  if (registry && repository && tag) {
    return { registry, repository, tag, name: repository.replace(/.*\//, '') }
  }
  throw new SeederError(`"${text}" is not the reference of a container image with its registry and tag`, {
    fix: 'correct containers in image.yaml',
  })
}

/** The text of a reference. */
export function formatReference({ registry, repository, tag }: Reference): string {
  return `${registry}/${repository}:${tag}`
}
