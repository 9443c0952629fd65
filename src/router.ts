/**
 * The router: main thread. It keeps its targets (targets.ts), hears their states, serves the control API, and looks after
 * the workers, which relay. It takes on a new configuration while it runs (reload.ts), and may take over from a process
 * before it and hand over to one after it (upgrade.ts). Wiring only.
 */
import { MeshError } from "./base/errors.ts";
import { writeSection } from "./base/settings-reading.ts";
import { version } from "./base/version.ts";
import { Certificates } from "./certificates.ts";
import { ConfigWatch } from "./config-watch.ts";
import { Control } from "./control.ts";
import { openControlPlane } from "./control-plane.ts";
import { type RouterConfig, routerSettings } from "./config.ts";
import type { ConfigSource } from "./ctl/load-config.ts";
import { KubePlane } from "./kube-plane.ts";
import { runDry } from "./ending.ts";
import { Readiness } from "./fleet/readiness.ts";
import { Journal } from "./mesh/journal.ts";
import { joined } from "./mesh/node-membership.ts";
import { clientOptions } from "./net/tls-settings.ts";
import { TargetKeys } from "./net/upstream-secrets.ts";
import { supervisor } from "./net/supervisor.ts";
import { createLog } from "./obs/log.ts";
import { routerMetrics } from "./obs/metrics.ts";
import { SpanExporter } from "./obs/span-exporter.ts";
import { routerOperations } from "./operations.ts";
import { Policies } from "./policies.ts";
import { Crew } from "./proxy/crew.ts";
import { LateState } from "./proxy/late-state.ts";
import { unpackReports } from "./proxy/load-reports.ts";
import { dropPid, keepPid, listensAt, selfCommand, untilStopped, whyNoSuccessor } from "./process.ts";
import { isLiveAtRouter, type Reload, Reloads } from "./reload.ts";
import { openRows } from "./rows.ts";
import { nodeEstateOf, Standing } from "./standing.ts";
import { Handover, Inheritance } from "./succession.ts";
import { Targets } from "./targets.ts";
import { beginUpkeep } from "./upkeep.ts";

/** For the policies to be heard before the first request; what is known from before counts in any case. */
const POLICIES_MS = 1500;
/** For what there is in Kubernetes to be known, and asked what it serves. */
const DISCOVERY_MS = 3000;
/** For the last spans on their way to the collector. */
const SPANS_STOP_MS = 3000;

export async function runRouter(config: RouterConfig, source: ConfigSource<RouterConfig>): Promise<void> {
  const log = createLog(config.log);
  const startedMs = performance.now();
  const nowMs = (): number => performance.now();
  const inheritance = new Inheritance(config, process.env);
  const rows = openRows(config);
  const { table, stats, flights, prefixes, learning, placement } = rows;
  const certificates = new Certificates(config.tls, log);
  const upstreamTls = clientOptions(config.upstreamTls);
  const keys = new TargetKeys(config.upstreamAuth, log);
  let crew: Crew | null = null;
  let draining = false;
  const { tracing } = config;
  const spans =
    tracing.endpoint === "" ? null : new SpanExporter({ config: tracing, instance: () => standing.id, log });
  const journal = new Journal(Date.now());
  const targets: Targets = new Targets({
    config,
    placement,
    log,
    upstreamTls,
    node: () => standing.node,
    onRoutes: (routes) => crew?.setRoutes(routes),
    tell: journal.tell,
  });
  const pods = new KubePlane({ config, targets, tell: journal.tell, log });
  const port = (): number => crew?.port ?? config.listen.port;
  const standing: Standing = new Standing({
    config,
    port,
    targets,
    placement,
    flights,
    prefixes,
    desk: () => crew?.shared ?? null,
    journal,
    log,
  });
  const policies = new Policies({ config, placement, targets, standing, journal, log, crew: () => crew });

  // ---- the configuration

  const reloads = new Reloads({
    settings: routerSettings,
    config,
    source,
    isLive: isLiveAtRouter,
    log,
    apply(next) {
      log.configure(next.log);
      rows.configure(next);
      crew?.configure({ ...next, upstreamKeys: keys.renewed(next.upstreamAuth) });
      control.setLimits(next.admin);
      targets.configure(next);
      pods.configure(next);
      placement.refresh(targets.all(), nowMs());
    },
  });
  const reload = (why: string): Reload => {
    const result = reloads.reload(why);
    const { config: now } = reloads;
    // Files may have changed where settings have not.
    if (result.outcome !== "applied") crew?.configure({ ...now, upstreamKeys: keys.renewed(now.upstreamAuth) });
    const renewed = certificates.renew();
    if (renewed !== null) crew?.show(renewed);
    return result;
  };
  const watch = new ConfigWatch({
    path: source.path,
    onChange: () => void reload("the file has changed"),
    onWarning: (message) => log.warn(message, { file: source.path }),
  });
  if (source.path !== "" && config.watchConfig) void watch.start();
  const stopped = untilStopped();
  const readiness = new Readiness(() => reloads.config.fleet.readyWaitMs);

  // ---- what is done to it while it runs

  let handover: Handover | null = null;
  const operations = routerOperations({
    reload,
    crew: () => crew,
    handover: () => handover,
    handoverTimeoutMs: () => reloads.config.handoverTimeoutMs,
    stopped,
    log,
  });
  const control: Control = new Control({
    targets,
    table,
    placement,
    learning,
    standing,
    journal,
    log,
    policies: () => standing.policies,
    obeyed: () => policies,
    choosing: () => reloads.config,
    decision: async (requestId) => (await crew?.decision(requestId)) ?? null,
    config: () => writeSection(routerSettings, reloads.config),
    limits: () => reloads.config.admin,
    late: new LateState(table, () => ({ config: reloads.config.flow.late, desk: crew })),
    isDraining: () => draining,
    readiness,
    leave: () => stopped.ask("POST /leave"),
    operations,
  });

  // ---- the data plane

  const starting = Crew.start(
    {
      entry: new URL("./proxy/worker.ts", import.meta.url),
      listen: config.listen,
      inherited: inheritance.listen,
      // Nobody is served before it is known what the policies say.
      waits: true,
      workers: config.workers,
      settings: { ...config, upstreamKeys: keys.all },
      tls: certificates.current,
      upstreamTls,
      table,
      stats,
      prefixes,
      firstTokens: learning.firstTokens,
      policies,
      ...(spans === null ? {} : { tracing: { ...config.tracing, take: (packed) => spans.take(packed) } }),
      loads: (packed) => placement.told(unpackReports(packed), (id) => targets.get(id), nowMs()),
      control: (path, body) => control.relay(path, body),
      routed: (routesVersion) => placement.routed(routesVersion, targets.all(), nowMs()),
      notice: (index, text) => log.warn(text, { worker: index }),
      restarted: (index, message) => log.error("a worker died and was replaced", { worker: index, message }),
      failed: (error) => stopped.fail(error),
    },
    placement.snapshot(),
  );
  // Whoever asks for the end while the workers start need not wait for them.
  const started = await Promise.race([starting, stopped.promise]);
  if (typeof started === "string") process.exit(0);
  crew = started;
  // Whoever registered while the workers started is in the newest snapshot only.
  crew.setRoutes(placement.snapshot());
  crew.configure({ ...reloads.config, upstreamKeys: keys.all });

  // ---- from the process before, if there is one

  const estate = await inheritance.estate();
  if (estate !== null) {
    targets.inherit(estate.registrations);
    pods.inherit(estate.discovered);
  }

  // ---- the control plane

  const metrics = routerMetrics({
    stats,
    table,
    placement,
    crew,
    reloads,
    prefixes,
    learning,
    sharing: () => standing.sharing?.stats(),
    startedMs,
    targets: () => targets.all(),
    mesh: () => standing.node?.membership.figures(),
    signal: () => standing.states?.stats(),
    blocks: () => standing.blocks?.stats(),
    tracing: () => spans?.figures(),
    policies: () => policies.figures(),
    discovery: () => pods.figures(),
    control: () => standing.policies?.status(),
  });
  const api = control.open(config.api, inheritance.api, false, metrics);
  // The metrics port is open to the network.
  const vitals = control.open(config.metrics, inheritance.metrics, true, metrics);
  handover = new Handover({
    config,
    command: [...selfCommand(), ...process.argv.slice(2)],
    timeoutMs: () => reloads.config.upgradeTimeoutMs,
    obstacle: whyNoSuccessor,
    stopped: stopped.promise,
    log,
    crew,
    api,
    metrics: vitals,
    standing,
    targets,
  });
  // ---- the mesh

  const node = await standing.enter(estate === null ? undefined : nodeEstateOf(estate.node), inheritance.gossip);

  const controlPlane = await openControlPlane({
    control: config.control,
    raft: config.raft,
    cluster: config.mesh.cluster,
    dataDir: config.dataDir,
    node: () => joined(standing.node),
    isAlone: false,
    tell: journal.tell,
    log,
  });
  standing.keep(controlPlane);
  policies.watch(controlPlane.store);

  const endUpkeep = beginUpkeep({ ...rows, targets, policies, crew: started, node: () => standing.node, log });
  await Promise.all([policies.caughtUp(POLICIES_MS), pods.caughtUp(DISCOVERY_MS)]);
  targets.settle();
  await crew.settled();
  keepPid(config.pidFile);
  crew.accept();
  readiness.accepts(nowMs());
  inheritance.served();
  supervisor.ready();
  log.info("ready", {
    role: "router",
    listen: listensAt(config.listen.host, crew.port),
    api: listensAt(api.hostname, api.port),
    metrics: listensAt(vitals.hostname, vitals.port),
    gossip: node.membership.address,
    ...crew.facts,
    version,
    pid: process.pid,
  });

  // ---- the end

  let failure: MeshError | null = null;
  try {
    const signal = await stopped.promise;
    const { drainDelayMs, drainTimeoutMs, handoverTimeoutMs } = reloads.config;
    log.info("stopping", { signal, drainMs: handover.isDone ? handoverTimeoutMs : drainDelayMs + drainTimeoutMs });
  } catch (error) {
    failure = error instanceof MeshError ? error : new MeshError("internal", String(error), { cause: error });
    log.error("the router can't go on", { error: failure.message });
  }
  draining = true;
  watch.stop();
  const parts = { crew: started, handover, standing, control, targets, journal, stopped };
  const clean = await runDry(parts, reloads.config, failure !== null);
  if (!clean && failure === null) log.warn("requests were still in flight at the end of the drain timeout");
  await spans?.stop(SPANS_STOP_MS);
  journal.end();
  endUpkeep();
  policies.stop();
  pods.stop();
  targets.stop();
  await Promise.all([control.stop(), controlPlane.store.stop()]);
  dropPid(config.pidFile);
  log.info("stopped");
  process.exit(failure === null ? 0 : 1);
}
