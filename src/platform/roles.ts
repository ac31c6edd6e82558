import type { RoleName } from './schema.ts'

/** What is the same for all machines of a role, wherever they are. */
export interface Role {
  /** The image that its machines are clones of. */
  readonly image: string
  /** Whether it runs pods, so that kube-proxy rewrites addresses before the input chain sees them. */
  readonly runsPods: boolean
}

export const roles: Readonly<Record<RoleName, Role>> = {
  haproxy: { image: 'haproxy', runsPods: false },
  etcd: { image: 'etcd', runsPods: false },
  'control-plane': { image: 'kubernetes-node', runsPods: true },
  worker: { image: 'kubernetes-node', runsPods: true },
}

/** The keys of node.env, of whichever role, whose values are never shown, and not kept either. */
export const secretKeys: readonly string[] = ['JOIN_TOKEN', 'CERTIFICATE_KEY']
