/**
 * When something happens to a call: before it does anything, in the middle of its work (a disk partly written, the
 * configuration locked), late (a destroyed VM's disks are gone, its configuration is not), or when it is done.
 */
export type FaultMoment = 'before' | 'middle' | 'late' | 'after'

/** What can happen to a call. */
export type ActiveFault =
  /** It says so and ends with this status, without or after having done its work. */
  | {
      readonly kind: 'fail'
      readonly when: 'before' | 'after'
      readonly status: number
      readonly stderr: string
    }
  /** The caller's process group is killed, which the call belongs to. What runs in a worker goes on. */
  | { readonly kind: 'kill'; readonly when: FaultMoment }
  /** Everything on the host ends at once. */
  | { readonly kind: 'power-cut'; readonly when: FaultMoment }
  /** It stands still until the test lets it go on. */
  | { readonly kind: 'pause'; readonly when: FaultMoment }
  /** The disk that it writes finds no room. */
  | { readonly kind: 'no-space' }
  /** A byte of the disk that it writes is another one than its source's. */
  | { readonly kind: 'corrupt'; readonly offset: number }
  /** Another VM has the id by the time it begins. */
  | { readonly kind: 'foreign-vm'; readonly vmid: number; readonly config: string }
  /** Another process works on the VM, for a time or for ever. */
  | { readonly kind: 'hold-lock'; readonly vmid: number; readonly seconds: number }
  /**
   * /etc/pve is empty from this moment on, as when pve-cluster restarts: for a time, or until the host's
   * `restoreCluster`. The call itself goes on.
   */
  | { readonly kind: 'cluster-gone'; readonly when: FaultMoment; readonly seconds?: number }
  /** A storage is not there any more. */
  | { readonly kind: 'storage-gone'; readonly storage: string }

/** What is to happen, and to which call. */
export type Fault = ActiveFault & {
  /** Which of the calls that match, counted from 1. */
  readonly at: number
  /** A regular expression for the call as it is written down, such as `^qm create`; without one every call matches. */
  readonly match?: string
}
