"""What kubeadm takes as its configuration: kubeadm.k8s.io/v1beta4 with the kubelet's and kube-proxy's.

As strict as the real one's `config validate`: a field that does not exist, a value of the wrong type, a key that is
there twice and a value that cannot be right are errors. Field names: the published v1beta4 reference.
"""

import ipaddress
import re

import yaml

VERSION = 'v1.37.1'


class Invalid(Exception):
    """What is wrong, with the path of the field."""


# --- forms of values: each takes a value and its path, and raises Invalid

def kind_of(name, *types):
    def check(value, path):
        # To YAML true is a boolean, to Python an integer as well.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise Invalid(f'{path}: found {value!r}, want {name}')
    return check


def text(pattern, form):
    def check(value, path):
        STRING(value, path)
        if not re.fullmatch(pattern, value):
            raise Invalid(f'{path}: found {value!r}, want {form}')
    return check


STRING = kind_of('a string', str)
INTEGER = kind_of('an integer', int)
BOOLEAN = kind_of('a boolean', bool)
ANYTHING = lambda value, path: None  # noqa: E731
DURATION = text(r'(\d+(\.\d+)?(h|m|s|ms))+', 'a duration as in 4m0s')
TOKEN = text(r'[a-z0-9]{6}\.[a-z0-9]{16}', 'a bootstrap token as in abcdef.0123456789abcdef')
HASH = text(r'sha256:[0-9a-fA-F]{64}', 'sha256: and 64 hexadecimal digits')
CERTIFICATE_KEY = text(r'[0-9a-fA-F]{64}', '64 hexadecimal digits')
LABEL = r'[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
DOMAIN = text(rf'{LABEL}(\.{LABEL})*', 'a DNS name in lower case')
ENDPOINT = text(rf'(\[[0-9a-fA-F:]+\]|{LABEL}(\.{LABEL})*)(:\d{{1,5}})?', 'HOST or HOST:PORT')
SOCKET = text(r'unix:///\S+', 'unix:// and an absolute path')
FILE = text(r'/\S*', 'an absolute path')


def one_of(*choices):
    return text('|'.join(map(re.escape, choices)), f'one of {", ".join(choices)}')


def address(value, path):
    STRING(value, path)
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise Invalid(f'{path}: found {value!r}, want an IP address') from None


def subnets(value, path):
    STRING(value, path)
    for one in value.split(','):
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise Invalid(f'{path}: found {one!r}, want a CIDR without host bits') from None


def port(value, path):
    INTEGER(value, path)
    if not 1 <= value <= 65535:
        raise Invalid(f'{path}: found {value}, want a port')


def version(value, path):
    text(r'v\d+\.\d+\.\d+\S*', 'a release as in v1.37.1')(value, path)
    asked, own = (int(one.split('.')[1]) for one in (value, VERSION))
    if not own - 1 <= asked <= own:
        raise Invalid(f'{path}: this version of kubeadm ({VERSION}) deploys {own - 1} and {own}, found {value}')


def etcd_endpoints(value, path):
    list_of(text(r'https?://[^/\s]+:\d+', 'a URL with a port'))(value, path)
    if not value:
        raise Invalid(f'{path}: must have an etcd endpoint')


def list_of(item):
    def check(value, path):
        kind_of('a list', list)(value, path)
        for index, one in enumerate(value):
            item(one, f'{path}[{index}]')
    return check


def map_of(item):
    def check(value, path):
        kind_of('a map', dict)(value, path)
        for key, one in value.items():
            STRING(key, path)
            item(one, f'{path}.{key}')
    return check


def struct(fields, required=(), rule=None):
    def check(value, path):
        kind_of('a map', dict)(value, path)
        for key, one in value.items():
            if key not in fields:
                raise Invalid(f'{path}: unknown field "{key}"')
            fields[key](one, f'{path}.{key}')
        for key in required:
            if value.get(key) in (None, '', []):
                raise Invalid(f'{path}.{key}: is required')
        if rule:
            rule(value, path)
    return check


def exactly_one(*keys):
    def rule(value, path):
        if len([key for key in keys if key in value]) != 1:
            raise Invalid(f'{path}: exactly one of {", ".join(keys)} must be set')
    return rule


# --- kubeadm.k8s.io/v1beta4

ARGUMENTS = list_of(struct({'name': text(r'[a-z][a-z0-9-]*', 'a flag without dashes'), 'value': STRING}, ['name']))
ENVIRONMENT = list_of(struct({'name': STRING, 'value': STRING, 'valueFrom': ANYTHING}, ['name']))
VOLUMES = list_of(struct(
    {'name': STRING, 'hostPath': STRING, 'mountPath': STRING, 'readOnly': BOOLEAN, 'pathType': STRING},
    ['name', 'hostPath', 'mountPath']))
COMPONENT = {'extraArgs': ARGUMENTS, 'extraVolumes': VOLUMES, 'extraEnvs': ENVIRONMENT}
IMAGE = {'imageRepository': STRING, 'imageTag': STRING}
API_ENDPOINT = struct({'advertiseAddress': address, 'bindPort': port})
PATCHES = struct({'directory': STRING})
TIMEOUTS = struct({name: DURATION for name in (
    'controlPlaneComponentHealthCheck', 'kubeletHealthCheck', 'kubernetesAPICall', 'etcdAPICall', 'tlsBootstrap',
    'discovery', 'upgradeManifests')})
TAINTS = list_of(struct(
    {'key': STRING, 'value': STRING, 'effect': one_of('NoSchedule', 'PreferNoSchedule', 'NoExecute')},
    ['key', 'effect']))
NODE_REGISTRATION = struct({
    'name': DOMAIN, 'criSocket': SOCKET, 'taints': TAINTS, 'kubeletExtraArgs': ARGUMENTS,
    'ignorePreflightErrors': list_of(STRING), 'imagePullPolicy': one_of('Always', 'IfNotPresent', 'Never'),
    'imagePullSerial': BOOLEAN})


def one_lifetime(value, path):
    if 'ttl' in value and 'expires' in value:
        raise Invalid(f'{path}: ttl and expires are mutually exclusive')


BOOTSTRAP_TOKENS = list_of(struct({
    'token': TOKEN, 'description': STRING, 'ttl': DURATION, 'expires': STRING,
    'usages': list_of(one_of('signing', 'authentication')),
    'groups': list_of(text(r'system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]', 'a group of system:bootstrappers:')),
}, rule=one_lifetime))


def both_or_none(value, path):
    if bool(value.get('certFile')) != bool(value.get('keyFile')):
        raise Invalid(f'{path}: either both or none of certFile and keyFile must be set')


EXTERNAL_ETCD = struct(
    {'endpoints': etcd_endpoints, 'httpEndpoints': list_of(STRING), 'caFile': FILE, 'certFile': FILE, 'keyFile': FILE},
    ['endpoints'], both_or_none)
LOCAL_ETCD = struct({
    **IMAGE, 'dataDir': FILE, 'extraArgs': ARGUMENTS, 'extraEnvs': ENVIRONMENT,
    'serverCertSANs': list_of(STRING), 'peerCertSANs': list_of(STRING)})


def discovery_rule(value, path):
    exactly_one('bootstrapToken', 'file')(value, path)
    by_token = value.get('bootstrapToken')
    if by_token and not by_token.get('caCertHashes') and not by_token.get('unsafeSkipCAVerification'):
        raise Invalid(f'{path}.bootstrapToken: caCertHashes is required unless unsafeSkipCAVerification is true')


DISCOVERY = struct({
    'bootstrapToken': struct({
        'token': TOKEN, 'apiServerEndpoint': text(r'(\[\S+\]|[^:\s]+):\d{1,5}', 'HOST:PORT'),
        'caCertHashes': list_of(HASH), 'unsafeSkipCAVerification': BOOLEAN}, ['token', 'apiServerEndpoint']),
    'file': struct({'kubeConfigPath': STRING}, ['kubeConfigPath']),
    'tlsBootstrapToken': TOKEN,
}, rule=discovery_rule)

KUBEADM = {
    'InitConfiguration': struct({
        'bootstrapTokens': BOOTSTRAP_TOKENS, 'dryRun': BOOLEAN, 'nodeRegistration': NODE_REGISTRATION,
        'localAPIEndpoint': API_ENDPOINT, 'certificateKey': CERTIFICATE_KEY, 'skipPhases': list_of(STRING),
        'patches': PATCHES, 'timeouts': TIMEOUTS}),
    'ClusterConfiguration': struct({
        'etcd': struct({'local': LOCAL_ETCD, 'external': EXTERNAL_ETCD}, rule=exactly_one('local', 'external')),
        'networking': struct({'serviceSubnet': subnets, 'podSubnet': subnets, 'dnsDomain': DOMAIN}),
        'kubernetesVersion': version, 'controlPlaneEndpoint': ENDPOINT,
        'apiServer': struct({**COMPONENT, 'certSANs': list_of(STRING)}),
        'controllerManager': struct(COMPONENT), 'scheduler': struct(COMPONENT),
        'dns': struct({**IMAGE, 'disabled': BOOLEAN}), 'proxy': struct({'disabled': BOOLEAN}),
        'certificatesDir': FILE, 'imageRepository': STRING, 'featureGates': map_of(BOOLEAN), 'clusterName': STRING,
        'encryptionAlgorithm': one_of(
            'RSA-2048', 'RSA-3072', 'RSA-4096', 'ECDSA-P256', 'ECDSA-P384'),
        'certificateValidityPeriod': DURATION, 'caCertificateValidityPeriod': DURATION}),
    'JoinConfiguration': struct({
        'dryRun': BOOLEAN, 'nodeRegistration': NODE_REGISTRATION, 'caCertPath': FILE, 'discovery': DISCOVERY,
        'controlPlane': struct({'localAPIEndpoint': API_ENDPOINT, 'certificateKey': CERTIFICATE_KEY}),
        'skipPhases': list_of(STRING), 'patches': PATCHES, 'timeouts': TIMEOUTS}, ['discovery']),
}

# --- the components' own configurations: those of their fields that a node's image may have reason to set

KUBELET = struct({
    **{name: BOOLEAN for name in (
        'cgroupsPerQOS', 'containerLogMonitor', 'enableControllerAttachDetach', 'enableDebuggingHandlers',
        'enableProfilingHandler', 'enableServer', 'enableSystemLogHandler', 'failCgroupV1', 'failSwapOn',
        'localStorageCapacityIsolation', 'makeIPTablesUtilChains', 'protectKernelDefaults',
        'registerNode', 'rotateCertificates', 'seccompDefault', 'serializeImagePulls', 'serverTLSBootstrap',
        'runOnce', 'singleProcessOOMKill')},
    **{name: STRING for name in (
        'address', 'clusterDomain', 'containerLogMaxSize', 'containerRuntimeEndpoint', 'cgroupRoot',
        'configMapAndSecretChangeDetectionStrategy', 'cpuManagerPolicy', 'hairpinMode', 'imageServiceEndpoint', 'kubeletCgroups', 'kubeReservedCgroup',
        'memoryManagerPolicy', 'podCIDR', 'podLogsDir', 'providerID', 'resolvConf', 'reservedSystemCPUs',
        'staticPodPath', 'staticPodURL', 'systemCgroups', 'systemReservedCgroup', 'tlsCertFile', 'tlsMinVersion',
        'tlsPrivateKeyFile', 'topologyManagerPolicy', 'topologyManagerScope', 'volumePluginDir')},
    **{name: INTEGER for name in (
        'containerLogMaxFiles', 'containerLogMaxWorkers', 'eventBurst',
        'eventRecordQPS', 'evictionMaxPodGracePeriod', 'healthzPort', 'imageGCHighThresholdPercent',
        'imageGCLowThresholdPercent', 'iptablesDropBit', 'iptablesMasqueradeBit', 'kubeAPIBurst', 'kubeAPIQPS',
        'maxOpenFiles', 'maxParallelImagePulls', 'maxPods', 'nodeLeaseDurationSeconds', 'nodeStatusMaxImages',
        'oomScoreAdj', 'podPidsLimit', 'podsPerCore', 'port', 'readOnlyPort', 'registryBurst', 'registryPullQPS')},
    **{name: DURATION for name in (
        'containerLogMonitorInterval', 'cpuCFSQuotaPeriod', 'cpuManagerReconcilePeriod',
        'evictionPressureTransitionPeriod', 'fileCheckFrequency', 'httpCheckFrequency', 'imageMaximumGCAge',
        'imageMinimumGCAge', 'nodeStatusReportFrequency', 'nodeStatusUpdateFrequency', 'runtimeRequestTimeout',
        'shutdownGracePeriod', 'shutdownGracePeriodCriticalPods', 'streamingConnectionIdleTimeout', 'syncFrequency',
        'volumeStatsAggPeriod')},
    **{name: map_of(STRING) for name in (
        'evictionHard', 'evictionMinimumReclaim', 'evictionSoft', 'evictionSoftGracePeriod', 'kubeReserved',
        'systemReserved', 'staticPodURLHeader', 'qosReserved')},
    **{name: list_of(STRING) for name in (
        'allowedUnsafeSysctls', 'clusterDNS', 'enforceNodeAllocatable', 'tlsCipherSuites')},
    **{name: ANYTHING for name in (
        'authentication', 'authorization', 'crashLoopBackOff', 'logging', 'memorySwap', 'registerWithTaints',
        'reservedMemory', 'shutdownGracePeriodByPodPriority', 'tracing', 'userNamespaces')},
    'cgroupDriver': one_of('systemd', 'cgroupfs'),
    'healthzBindAddress': address,
    'featureGates': map_of(BOOLEAN),
})
KUBE_PROXY = struct({
    **{name: STRING for name in (
        'bindAddress', 'clusterCIDR', 'configSyncPeriod', 'healthzBindAddress', 'hostnameOverride',
        'metricsBindAddress', 'portRange')},
    **{name: BOOLEAN for name in ('bindAddressHardFail', 'enableProfiling')},
    **{name: ANYTHING for name in (
        'clientConnection', 'conntrack', 'detectLocal', 'iptables', 'ipvs', 'logging', 'nftables', 'winkernel')},
    'detectLocalMode': one_of('ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'),
    'featureGates': map_of(BOOLEAN),
    'mode': one_of('iptables', 'ipvs', 'nftables'),
    'nodePortAddresses': list_of(STRING),
    'oomScoreAdj': INTEGER,
    'showHiddenMetricsForVersion': STRING,
})
KINDS = {
    **{('kubeadm.k8s.io/v1beta4', kind): check for kind, check in KUBEADM.items()},
    ('kubelet.config.k8s.io/v1beta1', 'KubeletConfiguration'): KUBELET,
    ('kubeproxy.config.k8s.io/v1alpha1', 'KubeProxyConfiguration'): KUBE_PROXY,
}


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that is there twice is an error, and which keeps dates as the text they are."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != 'tag:yaml.org,2002:timestamp']
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        twice = [key for index, key in enumerate(keys) if key in keys[:index]]
        if twice:
            raise Invalid(f'key {twice[0]!r} is there twice')
        return super().construct_mapping(node, deep)


def load(path, command=None):
    """The documents of a file by kind, checked. `command` (init, join) is what they must be enough for."""
    try:
        with open(path, encoding='utf-8') as file:
            found = [one for one in yaml.load_all(file, StrictLoader) if one is not None]
    except OSError as error:
        raise Invalid(f'unable to read config from {path!r}: {error.strerror}') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid(f'{path}: is not YAML: {error}') from None
    documents = {}
    for document in found:
        kind, content = check_document(document)
        if kind in documents:
            raise Invalid(f'{kind}: is there twice')
        documents[kind] = content
    check_together(documents, command)
    return documents


def check_document(document):
    kind_of('a document that is a map', dict)(document, 'document')
    content = {key: value for key, value in document.items() if key not in ('apiVersion', 'kind')}
    version_of, kind = document.get('apiVersion'), document.get('kind')
    check = KINDS.get((version_of, kind))
    if not check:
        raise Invalid(f'no kind {kind!r} in {version_of!r} is known to kubeadm {VERSION}')
    check(content, kind)
    return kind, content


def check_together(documents, command):
    init = [kind for kind in ('InitConfiguration', 'ClusterConfiguration') if kind in documents]
    join = 'JoinConfiguration' in documents
    if join and init:
        raise Invalid(f'JoinConfiguration and {" and ".join(init)} in one file')
    if command == 'join' and not join:
        raise Invalid('no JoinConfiguration found')
    if command == 'init' and not init or not (init or join):
        raise Invalid('no InitConfiguration or ClusterConfiguration found')
