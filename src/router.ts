/**
 * The router: main thread. It keeps its targets (targets.ts), hears their states, serves the control API, and looks after
 * the workers, which relay. It takes on a new configuration while it runs (reload.ts), and may take over from a process
 * before it and hand over to one after it (upgrade.ts). Wiring only.
 */
import { newApp } from "./admin/app.ts";
import { serveApi } from "./admin/front.ts";
import type { Front } from "./admin/front.ts";
import { registrationRoutes, routerApi } from "./admin/router-api.ts";
import type { RouterHealth } from "./admin/router-api.ts";
import { MeshError } from "./base/errors.ts";
import { liveCopy, overwrite } from "./base/live.ts";
import { writeSection } from "./base/settings-reading.ts";
import type { Address } from "./base/units.ts";
import { version } from "./base/version.ts";
import { ConfigWatch } from "./config-watch.ts";
import { routerSettings } from "./config.ts";
import type { RouterConfig } from "./config.ts";
import type { ConfigSource } from "./ctl/load-config.ts";
import type { Registration } from "./fleet/registration.ts";
import { isRoutable } from "./fleet/target.ts";
import { Journal } from "./mesh/journal.ts";
import { meshView } from "./mesh/mesh-view.ts";
import { joined } from "./mesh/node-membership.ts";
import { notifySupervisor } from "./net/supervisor.ts";
import { createLog } from "./obs/log.ts";
import { routerMetrics } from "./obs/metrics.ts";
import { WorkerStats } from "./obs/worker-stats.ts";
import { Crew, indexesFor } from "./proxy/crew.ts";
import { Placement } from "./proxy/placement.ts";
import { ScoreTable } from "./score/table.ts";
import { PeerFlights } from "./signal/flights.ts";
import { dropPid, isSupervised, keepPid, listensAt, onHangup, selfCommand, untilStopped } from "./process.ts";
import { isLiveAtRouter, Reloads } from "./reload.ts";
import { nodeEstateOf, Standing } from "./standing.ts";
import { Handover, Inheritance } from "./succession.ts";
import { Targets } from "./targets.ts";
import type { Upgraded } from "./upgrade.ts";

/** Rows are written anew this often, since samples age; and lost claims are looked for. */
const UPKEEP_MS = 500;
const ADMIN_STOP_MS = 1000;
/** For telling the mesh that this router leaves. */
const LEAVE_MS = 1000;

export async function runRouter(config: RouterConfig, source: ConfigSource<RouterConfig>): Promise<void> {
  const log = createLog(config.log);
  const startedMs = performance.now();
  const nowMs = (): number => performance.now();
  const command = [...selfCommand(), ...process.argv.slice(2)];
  const inheritance = new Inheritance(config, process.env);
  const workersMax = indexesFor(config.workers);
  const table = ScoreTable.create({ ...config.table, workersMax });
  const stats = WorkerStats.create({
    workersMax,
    modelsMax: config.table.modelsMax,
    targetsMax: config.table.targetsMax,
  });
  const flights = new PeerFlights();
  const score = liveCopy(config.score);
  const placement = new Placement(table, stats, score, (key) => flights.load(key));
  let crew: Crew | null = null;
  const fronts: Front[] = [];
  let draining = false;
  const targets: Targets = new Targets({
    config,
    placement,
    log,
    node: () => standing.node,
    onRoutes: (routes) => crew?.setRoutes(routes),
  });
  const journal = new Journal(Date.now());
  const port = (): number => crew?.port ?? config.listen.port;
  const standing = new Standing({ config, port, targets, placement, flights, journal, log });

  // ---- the configuration

  const reloads = new Reloads({
    settings: routerSettings,
    config,
    source,
    isLive: isLiveAtRouter,
    log,
    apply(next) {
      log.configure(next.log);
      overwrite(score, next.score);
      crew?.configure(next);
      for (const front of fronts) front.setLimits(next.admin);
      targets.configure(next);
      placement.refresh(targets.all(), nowMs());
    },
  });
  const watch = new ConfigWatch({
    path: source.path,
    onChange: () => void reloads.reload("the file has changed"),
    onWarning: (message) => log.warn(message, { file: source.path }),
  });
  if (source.path !== "" && config.watchConfig) void watch.start();
  const stopped = untilStopped();
  onHangup(
    () => void reloads.reload("SIGHUP"),
    () => stopped.ask("SIGHUP"),
  );

  // ---- the data plane

  const onError = (error: unknown, request: string): void =>
    log.error("request to the admin API failed", { request, error: String(error) });
  const relayed = newApp(onError);
  const registry = {
    register: (registration: Registration) => targets.register(registration),
    deregister: (id: string) => targets.deregister(id),
  };
  registrationRoutes(relayed, registry);
  const starting = Crew.start(
    {
      entry: new URL("./proxy/worker.ts", import.meta.url),
      listen: config.listen,
      inherited: inheritance.listen,
      workers: config.workers,
      settings: config,
      table,
      stats,
      async control(path, body) {
        const headers = { "content-type": "application/json" };
        const response = await relayed.fetch(new Request(`http://localhost${path}`, { method: "POST", body, headers }));
        return { status: response.status, body: await response.text() };
      },
      routed: (routesVersion) => placement.routed(routesVersion, targets.all(), nowMs()),
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
  crew.configure(reloads.config);

  // ---- from the process before, if there is one

  const estate = await inheritance.estate();
  if (estate !== null) targets.inherit(estate.registrations);

  // ---- the control plane

  const metrics = routerMetrics({
    stats,
    table,
    placement,
    crew,
    reloads,
    startedMs,
    targets: () => targets.all(),
    mesh: () => standing.node?.membership.figures(),
    signal: () => standing.states?.stats(),
  });
  const apiOptions = {
    nowMs,
    targets: () => targets.all(),
    target: (id: string) => targets.get(id),
    load(id: string) {
      const target = targets.get(id);
      if (target === undefined) return { inFlight: 0, inFlightTokens: 0, othersInFlight: 0 };
      const { requests, tokens } = placement.load(target);
      return { inFlight: requests, inFlightTokens: tokens, othersInFlight: placement.othersLoad(target).requests };
    },
    ...registry,
    stats: () => ({ ...metrics.stats() }),
    health(): RouterHealth {
      if (draining) return { status: "draining", reason: "stopping" };
      const routable = targets.all().some(isRoutable);
      return routable ? { status: "ok" } : { status: "degraded", reason: "no target is routable" };
    },
    ...meshView(() => standing.node?.membership ?? null, journal),
    leave: () => stopped.ask("POST /leave"),
    metricsText: () => metrics.text(),
    config: () => writeSection(routerSettings, reloads.config),
    keyring: () => joined(standing.node).keys,
    operations: {
      reload: () => reloads.reload("POST /reload"),
      workers: () => ({ workers: started.seats(), retiring: started.retiring }),
      restartWorkers: () => started.replaceAll(reloads.config.handoverTimeoutMs),
      upgrade: (executable: string) => handOver(executable),
    },
    onError,
  };
  const onNotice = (message: string, remote: string): void => log.debug("admin client refused", { message, remote });
  const serve = (address: Address, fd: number | undefined, readOnly: boolean): Front => {
    const front = serveApi({
      hostname: address.host,
      port: address.port,
      fd,
      app: routerApi({ ...apiOptions, readOnly }),
      limits: reloads.config.admin,
      onError,
      onNotice,
    });
    fronts.push(front);
    return front;
  };
  const api = serve(config.api, inheritance.api, false);
  // The metrics port is open to the network: nothing can be changed there.
  const vitals = serve(config.metrics, inheritance.metrics, true);

  const handover = new Handover({
    config,
    command,
    timeoutMs: () => reloads.config.upgradeTimeoutMs,
    isSupervised: isSupervised(),
    stopped: stopped.promise,
    log,
    crew,
    api,
    metrics: vitals,
    standing,
    targets,
  });
  const handOver = async (executable: string): Promise<Upgraded> => {
    const upgraded = await handover.to(executable);
    stopped.ask("upgrade");
    return upgraded;
  };
  process.on("SIGUSR1", () => void handOver("").catch((error: unknown) => log.warn("no upgrade", { error })));
  // For operators and tests: the first worker fails as by a bug, and is replaced.
  process.on("SIGUSR2", () => crew?.crash(0));

  // ---- the mesh

  const node = await standing.enter(estate === null ? undefined : nodeEstateOf(estate.node), inheritance.gossip);

  const upkeep = setInterval(() => {
    placement.refresh(targets.all(), nowMs());
    const routes = placement.expireModels(nowMs());
    if (routes !== null) crew?.setRoutes(routes);
    const repaired = table.reconcile();
    if (repaired > 0) log.warn("in-flight counts were repaired", { rows: repaired });
  }, UPKEEP_MS);
  targets.step();

  await crew.settled();
  crew.accept();
  inheritance.served();
  keepPid(config.pidFile);
  notifySupervisor({ READY: 1, MAINPID: process.pid });
  log.info("ready", {
    role: "router",
    listen: listensAt(config.listen.host, crew.port),
    api: listensAt(api.hostname, api.port),
    metrics: listensAt(vitals.hostname, vitals.port),
    gossip: node.membership.address,
    workers: config.workers,
    scorer: crew.scorer.kind,
    ...(crew.scorer.kind === "c" ? {} : { reason: crew.scorer.reason }),
    version,
    pid: process.pid,
  });

  // ---- the end

  let failure: MeshError | null = null;
  try {
    const signal = await stopped.promise;
    const { drainTimeoutMs, handoverTimeoutMs } = reloads.config;
    log.info("stopping", { signal, drainMs: handover.isDone ? handoverTimeoutMs : drainTimeoutMs });
  } catch (error) {
    failure = error instanceof MeshError ? error : new MeshError("internal", String(error), { cause: error });
    log.error("the router can't go on", { error: failure.message });
  }
  draining = true;
  watch.stop();
  targets.drain();
  const closed = (): Promise<unknown> => Promise.all(fronts.map((front) => front.stop(ADMIN_STOP_MS)));
  const drained = (): Promise<boolean> => started.drain(failure === null ? reloads.config.drainTimeoutMs : 0);
  let clean: boolean;
  if (handover.isDone) {
    // The successor serves these ports now; a signal hastens what is left to do here.
    const retired = started.retire(reloads.config.handoverTimeoutMs);
    [clean] = await Promise.all([Promise.race([retired, stopped.signalled.then(drained)]), closed()]);
  } else {
    notifySupervisor({ STOPPING: 1 });
    clean = await drained();
    // Until its last request ends, the other routers must know of its load.
    await standing.leave(LEAVE_MS);
  }
  if (!clean && failure === null) log.warn("requests were still in flight at the end of the drain timeout");
  journal.end();
  clearInterval(upkeep);
  targets.stop();
  await closed();
  dropPid(config.pidFile);
  log.info("stopped");
  process.exit(failure === null ? 0 : 1);
}
