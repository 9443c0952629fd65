/**
 * The configuration of each role: which settings it has, and what a default means that depends on the machine (the
 * host's name, the number of cores). Such defaults stand as empty or zero in the settings, so that a generated file
 * suits any machine, and are filled in by the `resolve` functions.
 */
import { availableParallelism } from "node:os";
import { adminSettings } from "./admin/settings.ts";
import { list, map } from "./base/settings-collections.ts";
import { baseUrl, upstream } from "./base/settings-urls.ts";
import { type Infer, address, bytes, duration, flag, integer, number, section, text } from "./base/settings.ts";
import { execSettings } from "./exec/settings.ts";
import { fleetSettings } from "./fleet/settings.ts";
import { aliasSettings } from "./flow/aliases.ts";
import { cacheSettings } from "./flow/response-cache.ts";
import { flowSettings } from "./flow/settings.ts";
import { gpuSettings } from "./gpu/settings.ts";
import { healthSettings } from "./health/settings.ts";
import { blockHearingSettings, blockSendingSettings } from "./kv/settings.ts";
import { discoverSettings } from "./kube/settings.ts";
import { hostId, stateDirectory } from "./mesh/host.ts";
import { gossipSettings, joinSettings, nodeSettings } from "./mesh/settings.ts";
import { successionSettings } from "./net/settings.ts";
import { tlsSettings, upstreamTlsSettings } from "./net/tls-settings.ts";
import { logSettings } from "./obs/log.ts";
import { tracingSettings } from "./obs/tracing-settings.ts";
import { proxySettings } from "./proxy/settings.ts";
import { costSettings } from "./score/cost.ts";
import { learningSettings } from "./score/learning-settings.ts";
import { prefixSettings } from "./score/prefix-settings.ts";
import { tableSettings } from "./score/table.ts";
import { RUNTIME_KINDS } from "./runtimes/reading.ts";
import { watchSettings } from "./runtimes/settings.ts";
import { flightSettings, signalSettings } from "./signal/settings.ts";
import { raftSettings } from "./raft/settings.ts";
import { PROFILES } from "./sim/profile.ts";
import { mockFields } from "./sim/settings.ts";
import { controlOf, controlSettings } from "./store/settings.ts";
import { swimSettings } from "./swim/settings.ts";
import { roleLabels } from "./telemetry/runtime-serving.ts";
import { resolveRuntimes, runtimeFields, runtimesComplaints, runtimeSettings } from "./telemetry/runtime-settings.ts";
import { apiSettings } from "./wire/api-access.ts";
import { forwardedSettings } from "./wire/forwarded.ts";
import { rewriteSettings } from "./wire/rewrite-settings.ts";
import { upstreamAuthSettings } from "./wire/upstream-keys.ts";
import { securitySettings } from "./wire/security-headers.ts";

/** Where an agent looks when nothing else is said: the --gossip and the --api port of a router on the same machine. */
const LOCAL_SEED = "127.0.0.1:7947";
const LOCAL_ROUTER = "http://127.0.0.1:50052";

const routerUrl = baseUrl({
  expected: "the URL of a router's --api port, such as http://10.0.0.5:50052, or none",
  words: ["none"],
});

export const agentSettings = section(
  {
    ...nodeSettings("the host's name"),
    role: text({
      default: "gpu",
      placeholder: "ROLE",
      pattern: /^[A-Za-z0-9_.-]{1,64}$/,
      expected: "1 to 64 letters, digits, _, . or -",
      doc: "What the node is for, in the operator's own words; shown in listings and state.",
    }),
    zone: text({
      default: "",
      placeholder: "ZONE",
      lengthMax: 128,
      doc: "Where the node stands: a data centre, rack or cloud zone. Empty if that plays no part.",
    }),
    labels: map(text({ lengthMax: 256 }), {
      default: {},
      flag: "label",
      lengthMax: 32,
      doc: "Facts about the node for people and policies, such as rack=r12. The flag may be given several times.",
    }),
    serve: address({
      default: "127.0.0.1:8000",
      doc: "Where the mock runtime serves the OpenAI API. Port 0 is any free one.",
    }),
    api: address({
      default: "127.0.0.1:50051",
      doc: "The agent's control API. Local by default, since whoever reaches it can inject faults.",
    }),
    metrics: address({
      default: ":9090",
      doc: "Vitals, Prometheus metrics and health; routers poll it.",
    }),
    gossip: address({
      default: ":7946",
      doc: "The port of the mesh's gossip, UDP and TCP: by it nodes find and watch each other.",
    }),
    ...joinSettings,
    register: list(routerUrl, {
      default: [],
      lengthMax: 64,
      emptyMeans: `${LOCAL_ROUTER}, unless --join or --join-file is given`,
      doc: "Routers at which the agent announces itself, by their --api port. It keeps trying until one answers. Write none to announce it nowhere.",
    }),
    drainTimeoutMs: duration({
      default: "30s",
      max: "24h",
      doc: "How long requests in progress may take to end after SIGTERM. 0 ends them at once.",
    }),
    mock: section(
      {
        enabled: flag({
          default: false,
          flag: "mock",
          doc: "Serve a simulated LLM runtime instead of watching a real one.",
        }),
        ...mockFields,
      },
      { doc: "The simulated runtime: an OpenAI server with the timing of a GPU." },
    ),
    ...runtimeFields,
    runtime: { ...runtimeSettings, doc: "How runtimes are asked." },
    exec: execSettings,
    gpu: gpuSettings,
    gpuHealth: { ...healthSettings, doc: "When a GPU counts as degraded or quarantined; see docs/gpu-health.md." },
    mesh: { ...gossipSettings, doc: "The mesh's name, its keys, and what its traffic may cost." },
    swim: swimSettings,
    signal: { ...signalSettings, doc: "The node's states on their way to the routers." },
    kv: { ...blockSendingSettings, doc: "What engines tell of their KV caches, on its way to the routers." },
    control: { ...controlSettings, doc: "Whether the node keeps the policies, and by which engine." },
    raft: raftSettings,
    admin: { ...adminSettings, doc: "What one client of the control and metrics ports may cost." },
    log: logSettings,
  },
  { check: ({ runtimes }) => runtimesComplaints(runtimes) },
);

/** What an agent has for its membership, alone. */
const whole = agentSettings.fields;
export const memberSettings = section({
  id: whole.id,
  gossip: whole.gossip,
  join: whole.join,
  joinFile: whole.joinFile,
  advertise: whole.advertise,
  mesh: whole.mesh,
  swim: whole.swim,
  log: whole.log,
});

export const routerSettings = section(
  {
    ...nodeSettings("router-HOST-PORT, by the host's name and the --listen port"),
    listen: address({
      default: ":8080",
      doc: "Where clients send OpenAI requests. Port 0 is any free one; a port in use is refused, never shared.",
    }),
    api: address({
      default: "127.0.0.1:50052",
      doc: "The router's control API, where agents register. Local by default: whoever reaches it can add targets.",
    }),
    metrics: address({ default: ":9091", doc: "Prometheus metrics and health." }),
    gossip: address({ default: ":7947", doc: "The mesh's gossip, UDP and TCP: by it the router finds its nodes." }),
    ...joinSettings,
    upstreams: list(upstream(), {
      default: [],
      flag: "upstream",
      separator: " ",
      doc: "Targets that don't register themselves: a model and where it is served. A heavier one gets more requests (1 is usual). The flag may be given several times; one address may serve several models. A role says that it computes a part of requests only (docs/disaggregation.md).",
    }),
    discover: discoverSettings(RUNTIME_KINDS),
    runtime: { ...watchSettings, doc: "How the runtimes that are found there are asked." },
    workers: integer({
      default: 0,
      max: 256,
      emptyMeans: "one for each core",
      doc: "Threads that relay requests; 0 for one for each core.",
    }),
    maxBodyBytes: bytes({
      default: "32MiB",
      min: "1KiB",
      max: "16GiB",
      doc: "Longest request body; a longer one is answered 413. Audio uploads may need more than the default.",
    }),
    allowRegister: flag({
      default: false,
      doc: "Also take registrations on the --listen port. Off, since clients could then add targets.",
    }),
    ...successionSettings,
    fleet: { ...fleetSettings, doc: "How targets are polled and when they count as lost." },
    proxy: { ...proxySettings, doc: "The data plane: what a connection and a request may take." },
    tls: { ...tlsSettings, doc: "Certificates of the --listen port." },
    upstreamTls: { ...upstreamTlsSettings, doc: "What https targets are shown, and what they must show." },
    upstreamAuth: { ...upstreamAuthSettings, doc: "Keys that targets are shown in place of those of clients." },
    paths: { ...apiSettings, doc: "Which paths of requests may pass." },
    flow: { ...flowSettings, doc: "What happens when targets fail, are new, or are full." },
    aliases: { ...aliasSettings, doc: "Other names for models, and models that stand in for others." },
    rewrite: { ...rewriteSettings, doc: "Rules that change requests and answers on their way." },
    cache: { ...cacheSettings, doc: "Answers that are kept for the next request that is the same." },
    forwarded: { ...forwardedSettings, doc: "What targets are told of clients." },
    security: { ...securitySettings, doc: "Headers of answers for browsers." },
    table: { ...tableSettings, doc: "The score table that the workers share." },
    score: { ...costSettings, doc: "How a target's figures become seconds of expected time to first token." },
    rates: {
      ...learningSettings,
      doc: "What the router learns of targets' rates from the requests that it sends there.",
    },
    prefix: { ...prefixSettings, doc: "Drawing requests to targets that have the beginning of their prompt cached." },
    mesh: { ...gossipSettings, doc: "The mesh's name, its keys, and what its traffic may cost." },
    swim: swimSettings,
    signal: { ...flightSettings, doc: "What routers tell each other." },
    kv: { ...blockHearingSettings, doc: "What nodes tell of their engines' KV caches." },
    control: { ...controlSettings, doc: "Whether the router keeps the policies, and by which engine." },
    raft: raftSettings,
    tracing: { ...tracingSettings, doc: "Spans of requests, for a collector of OpenTelemetry." },
    admin: { ...adminSettings, doc: "What one client of the control and metrics ports may cost." },
    log: logSettings,
  },
  {
    check: ({ fleet }) =>
      fleet.removeAfter >= fleet.unhealthyAfter
        ? []
        : [
            {
              path: "fleet.removeAfter",
              found: fleet.removeAfter,
              expected: `at least fleet.unhealthyAfter, which is ${fleet.unhealthyAfter}`,
            },
          ],
  },
);

export const devSettings = section({
  nodes: integer({ default: 3, min: 1, max: 64, doc: "Mock agents to start." }),
  listen: address({ default: ":8080", doc: "Where the router takes OpenAI requests." }),
  api: address({ default: "127.0.0.1:50052", doc: "The router's control API." }),
  metrics: address({ default: ":9091", doc: "The router's Prometheus metrics and health." }),
  workers: integer({ default: 0, max: 256, emptyMeans: "one for each core", doc: "The router's threads that relay." }),
  traffic: number({
    default: 0,
    max: 1000,
    bare: "2",
    placeholder: "PER_SECOND",
    emptyMeans: "none; 2 a second if no number is given",
    doc: "Sample requests to send, so that there is something to see.",
  }),
  mock: section(mockFields, { doc: "The simulated GPU nodes." }),
  log: logSettings,
});

export type AgentConfig = Infer<typeof agentSettings>;
export type MemberConfig = Infer<typeof memberSettings>;
export type RouterConfig = Infer<typeof routerSettings>;
export type DevConfig = Infer<typeof devSettings>;

/** What the machine decides: the node's name, its routers, its models, its directory. */
export function resolveAgent(config: AgentConfig): AgentConfig & { readonly localJoin: readonly string[] } {
  const id = config.id === "" ? hostId() : config.id;
  const none = config.register.length === 0 && config.join.length === 0 && config.joinFile === "";
  return Object.freeze({
    ...config,
    id,
    control: controlOf(config.control, id),
    localJoin: none ? [LOCAL_SEED] : [],
    register: none ? [LOCAL_ROUTER] : config.register.filter((url) => url !== "none"),
    advertise: unbracketed(config.advertise),
    dataDir: config.dataDir === "" ? stateDirectory() : config.dataDir,
    mock: resolveMock(config.mock),
    runtimes: resolveRuntimes(config.runtimes, config.mock.enabled),
    // What somebody says by a label wins.
    labels: Object.freeze({ ...roleLabels(config.runtimes), ...config.labels }),
    gpu: Object.freeze({ ...config.gpu, source: config.gpu.source || (config.mock.enabled ? "mock" : "auto") }),
  });
}

export function resolveRouter(config: RouterConfig): RouterConfig {
  return Object.freeze({
    ...config,
    advertise: unbracketed(config.advertise),
    dataDir: config.dataDir === "" ? stateDirectory() : config.dataDir,
    control: controlOf(config.control, config.id),
    workers: config.workers === 0 ? availableParallelism() : config.workers,
  });
}

/** An IPv6 address may be written as in a URL. */
function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

function resolveMock<M extends AgentConfig["mock"]>(mock: M): M {
  const profile = PROFILES[mock.profile];
  return Object.freeze({
    ...mock,
    models: mock.models.length > 0 ? mock.models : [profile.model],
    gpus: mock.gpus > 0 ? mock.gpus : profile.gpuCount,
  });
}
