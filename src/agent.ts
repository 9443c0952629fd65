/** The agent: one on each GPU node. It serves vitals and the control API, announces itself, and runs the mock. */
import { hostname } from "node:os";
import { agentApi, type AgentApiOptions } from "./admin/agent-api.ts";
import { apiServices } from "./admin/api.ts";
import { type Front, serveApi } from "./admin/front.ts";
import type { Services } from "./admin/services.ts";
import { removeAgentFile, writeAgentFile } from "./ctl/agent-file.ts";
import type { Address } from "./base/units.ts";
import { version } from "./base/version.ts";
import type { resolveAgent } from "./config.ts";
import { Announcer } from "./mesh/announcer.ts";
import { nodeIdentity } from "./mesh/identity.ts";
import { Journal } from "./mesh/journal.ts";
import { meshView } from "./mesh/mesh-view.ts";
import { joined, joinMesh, type MeshNode } from "./mesh/node-membership.ts";
import { encodeNodeState } from "./mesh/node-state.ts";
import { StateSender } from "./mesh/state-sender.ts";
import { openExecPlane } from "./exec-plane.ts";
import { measuredRates, openGpuPlane } from "./gpu-plane.ts";
import { GpuNews, LoadedNews, XidNews } from "./news.ts";
import { supervisor } from "./net/supervisor.ts";
import { createLog } from "./obs/log.ts";
import { openControlPlane, whyNoControl, type ControlPlane } from "./control-plane.ts";
import { agentMetrics } from "./obs/metrics.ts";
import { gpuCalls, servedGpuCalls } from "./gpu-calls.ts";
import { modelCalls, servedModelCalls } from "./model-calls.ts";
import { serveNodeCalls } from "./node-calls.ts";
import { watchNode } from "./node-order.ts";
import { listensAt, untilStopped } from "./process.ts";
import { runtimeFigures, runtimeStatus } from "./runtime-news.ts";
import { openRuntimePlane } from "./runtime-plane.ts";
import { announcedPlaces, servedMeta } from "./served-places.ts";
import { type NodeSample, withheld } from "./score/sample.ts";
import { createSampler } from "./telemetry/sampler.ts";
import { startedBy, whyWithheld, withheldPlaces } from "./withheld.ts";

const ADMIN_STOP_MS = 1000;
/** For telling the mesh that this node leaves. */
const LEAVE_MS = 1000;

export async function runAgent(config: ReturnType<typeof resolveAgent>): Promise<void> {
  const log = createLog(config.log);
  const startedMs = performance.now();
  const stopped = untilStopped();
  let draining = false;
  /** A policy says that this node is to want no requests. */
  let isDrained = false;
  let states: StateSender | null = null;
  let node: MeshNode | null = null;
  let announcer: Announcer | null = null;
  let controlPlane: ControlPlane | null = null;
  /** What routers learn of the runtimes is other than before. */
  let told = (): void => states?.look();
  const journal = new Journal(Date.now());
  const heard = { changed: () => told(), moved: () => states?.moved() };
  const runtimes = openRuntimePlane({ config, ...heard, tell: journal.tell, node: () => node, log });
  const { mock, askReady, blocks } = runtimes;
  const exec = openExecPlane({
    config: config.exec,
    id: config.id,
    dataDir: config.dataDir,
    tell: journal.tell,
    changed: () => states?.look(),
    isStopping: () => draining,
    log,
    // What serves tells best whether it does.
    ...(config.exec.ready === "" && askReady !== undefined ? { askReady } : {}),
  });
  const xids = new XidNews(config.id, journal.tell);
  const plane = openGpuPlane({
    config: config.gpu,
    health: config.gpuHealth,
    ...(mock === null ? {} : { mock: () => mock.gpus }),
    runtimes: () => runtimes.all,
    started: () => startedBy(exec, runtimes.started),
    ...heard,
    faulted: (faults) => xids.look(faults, performance.now()),
    log,
  });
  const sampler = createSampler({
    runtime: runtimes,
    gpus: () => plane.watch.samples(),
    rated: await measuredRates(config.dataDir, plane.watch, log),
    version,
    startedAtMs: startedMs,
    connectedPeers: () => (node === null ? 0 : node.membership.size - 1),
  });
  const whyNot = whyWithheld(plane.watch, exec, runtimes.started);
  const sample = (): NodeSample => {
    const now = withheld(sampler.sample(performance.now()), whyNot);
    return draining || isDrained ? { ...now, ready: false, draining: true } : now;
  };
  const incarnation = Math.floor(Date.now() / 1000);
  const gpus = new GpuNews(journal.tell);
  const metrics = agentMetrics({
    node: config.id,
    sample,
    mesh: () => node?.membership.figures(),
    signal: () => states?.stats(),
    blocks: () => blocks.figures(),
    control: () => controlPlane?.store.status(),
    runtimes: () => runtimeFigures(runtimes.all),
    exec: exec === null ? undefined : () => exec.figures,
    gpus: () => plane.watch.all,
    gpuSources: () => plane.sources.all,
    dcgmHost: config.gpu.dcgmCompat ? hostname() : undefined,
    startedMs,
  });
  const onError = (error: unknown, request: string): void =>
    log.error("request to the admin API failed", { request, error: String(error) });
  const onNotice = (message: string, remote: string): void => log.debug("admin client refused", { message, remote });
  const servedAt = (): string => {
    const [first] = runtimes.places;
    return first === undefined ? "" : listensAt(first.host, first.port);
  };
  const addresses = { serve: servedAt(), api: "", metrics: "", gossip: "" };
  const identity = { id: config.id, incarnation, role: config.role, version, zone: config.zone, labels: config.labels };
  const view = meshView(() => node?.membership ?? null, journal);
  const apiOptions = {
    sample,
    state: (of: NodeSample) => encodeNodeState(of, { ...identity, addresses }, Date.now()),
    metricsText: () => metrics.text(),
    status: () => ({
      ...identity,
      ...addresses,
      pid: process.pid,
      models: runtimes.models,
      runtimes: runtimes.all.map(runtimeStatus),
      routers: announcer?.registeredAt ?? [],
      forwards: runtimes.forwards,
      gpuSources: plane.sources.states,
      kvCache: blocks.shown(),
      ...(exec === null ? {} : { runtime: exec.summary }),
    }),
    notReady: () => (draining ? "it is stopping" : whyNoControl(config.control, controlPlane)),
    gpus: { node: config.id, all: () => plane.watch.all, states: () => plane.sources.states },
    ...view,
    onError,
  };
  const place = { id: () => config.id, node: () => node };
  const models = { ...place, runtime: runtimes };
  const ownGpus = { ...place, gpus: plane.watch, tell: journal.tell };
  const services = (readOnly: boolean): Services =>
    apiServices({
      control: {
        members: () => view.details(),
        named: () => view.named(),
        state: (id) => (id === config.id ? apiOptions.state(sample()) : undefined),
        policies: () => controlPlane?.store ?? null,
        controlAddress: (id) => view.member(id)?.controlAddress ?? "",
        events: journal,
        models: modelCalls(models),
        gpus: gpuCalls(ownGpus),
      },
      states: { states: () => [apiOptions.state(sample())] },
      readOnly,
      isStopping: () => draining,
      onError,
    });
  const serve = ({ host, port }: Address, options: AgentApiOptions): Front =>
    serveApi({
      hostname: host,
      port,
      app: agentApi(options),
      services: options.services,
      limits: config.admin,
      onError,
      onNotice,
    });
  const leave = (): void => stopped.ask("POST /leave");
  const api = serve(config.api, {
    ...apiOptions,
    services: services(false),
    ...(mock === null ? {} : { faults: mock.faults }),
    leave,
    keyring: () => joined(node).keys,
    ...(exec === null ? {} : { runtime: exec }),
  });
  // The metrics port is open to the network: nothing can be changed there.
  const vitals = serve(config.metrics, { ...apiOptions, services: services(true) });
  addresses.api = listensAt(api.hostname, api.port);
  addresses.metrics = listensAt(vitals.hostname, vitals.port);
  let advertised = servedMeta(withheldPlaces(runtimes.places, whyNot), config.advertise);
  // As it is told from then on, too: without a quarantined GPU.
  const isReady = sample().ready;
  node = await joinMesh({
    id: config.id,
    identity: nodeIdentity(config.dataDir, config.id),
    incarnation,
    gossip: config.gossip,
    advertise: config.advertise,
    join: config.join,
    joinFile: config.joinFile,
    localJoin: config.localJoin,
    mesh: config.mesh,
    swim: config.swim,
    meta: {
      role: "agent",
      zone: config.zone,
      labels: config.labels,
      apiAddress: listensAt(config.advertise || vitals.hostname, vitals.port),
      ...advertised,
      healthy: isReady,
      draining: false,
    },
    journal,
    log,
    onEvent(event) {
      states?.membersChanged();
      blocks.membersChanged();
      controlPlane?.told(event);
    },
  });
  controlPlane = await openControlPlane({
    control: config.control,
    raft: config.raft,
    cluster: config.mesh.cluster,
    dataDir: config.dataDir,
    node: () => joined(node),
    isAlone: config.join.length === 0 && config.joinFile === "",
    tell: journal.tell,
    log,
  });
  addresses.gossip = node.membership.address;
  const watched = (): NodeSample => {
    const now = sample();
    gpus.look(config.id, now.gpus);
    return now;
  };
  states = new StateSender({
    node,
    config: config.signal,
    id: config.id,
    incarnation: Date.now(),
    isReady,
    sample: watched,
  });
  states.start();
  blocks.begin(node);
  watchNode(controlPlane.store, config.id, ({ isDraining, reason }) => {
    if (isDraining !== isDrained) log.info(isDraining ? "this node is drained" : "this node serves again", { reason });
    isDrained = isDraining;
    states?.look();
  });
  announcer = new Announcer({
    urls: config.register,
    places: () =>
      announcedPlaces(config.id, runtimes.places, config.advertise).map((one) => ({
        ...one,
        metricsPort: vitals.port,
        zone: config.zone,
        labels: config.labels,
        incarnation,
      })),
    log,
  });
  announcer.start();
  serveNodeCalls(node, [...servedModelCalls(models), ...servedGpuCalls(ownGpus)]);
  const loaded = new LoadedNews(config.id, advertised.models, journal.tell);
  told = () => {
    states?.look();
    const { models: served } = runtimes;
    loaded.look(served);
    addresses.serve = servedAt();
    const now = servedMeta(withheldPlaces(runtimes.places, whyNot), config.advertise);
    if (Bun.deepEquals(now, advertised)) return;
    advertised = now;
    node?.tell(now);
    announcer?.announceNow();
  };
  // Since the mesh was joined they may have become others.
  told();
  await exec?.begin();
  await runtimes.begin();
  const startedAt = new Date(incarnation * 1000).toISOString();
  await writeAgentFile(config.dataDir, { id: config.id, pid: process.pid, ...addresses, startedAt, version });
  supervisor.ready();

  log.info("ready", { role: "agent", id: config.id, ...addresses, models: runtimes.models, version, pid: process.pid });
  const signal = await stopped.promise.catch((error: unknown) => {
    log.error("the agent can't go on", { error: String(error) });
    process.exit(1);
  });
  log.info("stopping", { signal, drainMs: config.drainTimeoutMs });
  supervisor.stopping(config.drainTimeoutMs + config.exec.stopTimeoutMs);
  draining = true;
  states.look();
  await Promise.all([announcer.stop(), controlPlane.store.stop(), node.leave(LEAVE_MS)]);
  journal.end();
  states.stop();
  await runtimes.stop(config.drainTimeoutMs);
  await exec?.end();
  await plane.stop();
  await Promise.all([api.stop(ADMIN_STOP_MS), vitals.stop(ADMIN_STOP_MS)]);
  await removeAgentFile(config.dataDir, config.id);
  log.info("stopped");
  process.exit(0);
}
