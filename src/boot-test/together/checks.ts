import type { CheckPlan } from '../checks.ts'
import { driftChecks } from '../drift-checks.ts'
import { routeChecks, serviceRouteChecks } from '../routes.ts'

/** What the images have to fulfil with each other. */
export const togetherChecks = [
  { name: 'load-balancer', group: 'boot', title: 'the load balancer is ready' },
  { name: 'control-plane', group: 'boot', title: 'the control plane is ready' },
  { name: 'etcd', group: 'boot', title: 'etcd is ready' },
  {
    name: 'founded',
    group: 'cluster',
    title: 'kubeadm founds the cluster, with every check of its preflight',
  },
  { name: 'joined', group: 'cluster', title: 'a worker joins it through the load balancer' },
  { name: 'nodes', group: 'cluster', title: 'both nodes are ready, with their addresses, labels and taints' },
  { name: 'system-pods', group: 'cluster', title: 'every pod of Kubernetes itself is ready' },
  {
    name: 'sandbox',
    group: 'cluster',
    title: 'the pods use the pinned sandbox image, and no image was pulled',
  },
  { name: 'pods', group: 'workload', title: 'pods run where the scheduler and their node selectors say' },
  { name: 'pod-network', group: 'workload', title: 'pods reach each other across nodes' },
  { name: 'cluster-ip', group: 'workload', title: 'a service is reached by its ClusterIP' },
  { name: 'dns', group: 'workload', title: 'pods resolve the names of services' },
  { name: 'api-from-pod', group: 'workload', title: 'a pod reaches the API' },
  {
    name: 'node-port',
    group: 'workload',
    title: 'a service is reached from outside through the load balancer',
  },
  { name: 'logs', group: 'workload', title: 'kubectl reads the log of a pod, and runs a program in it' },
  {
    name: 'renewed',
    group: 'cluster',
    title: 'the control plane renews its certificates, and restarts what has read them',
  },
  { name: 'addresses', group: 'network', title: 'every address is in its zone of the network table' },
  {
    name: 'database',
    group: 'network',
    title: 'the control plane reaches etcd with its certificate, and only so',
  },
  { name: 'balanced', group: 'network', title: 'the load balancer finds the API ready' },
  {
    name: 'api-from-home',
    group: 'network',
    title: 'a request from the operator’s zone reaches the API by its VIP',
  },
  {
    name: 'api-from-control-plane',
    group: 'network',
    title: 'and so does one from the control plane itself',
  },
  {
    name: 'no-way-around',
    group: 'network',
    title: 'the API and etcd are not reached past the load balancer',
  },
  ...routeChecks,
  ...serviceRouteChecks,
  ...driftChecks,
  { name: 'console', group: 'boot', title: 'no failure on any console' },
  { name: 'digests', group: 'artifact', title: 'the images are still their manifests’' },
] as const satisfies readonly CheckPlan[]
export type TogetherCheck = (typeof togetherChecks)[number]['name']
