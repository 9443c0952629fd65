/** What `infermesh doctor` checks for: an agent or a router as it is configured, or the machine without either. */
import { formatAddress, type Address } from "./base/units.ts";
import type { AgentConfig, RouterConfig, resolveAgent } from "./config.ts";
import type { Role } from "./diagnosis/process-checks.ts";
import type { DiscoverConfig } from "./kube/settings.ts";
import { portsWanted, type WantedPort } from "./doctor-ports.ts";
import type { GpuConfig } from "./gpu/settings.ts";
import type { GossipConfig } from "./mesh/settings.ts";
import type { TlsConfig, UpstreamTlsConfig } from "./net/tls-settings.ts";
import type { ControlConfig } from "./store/settings.ts";
import type { RuntimeSpec } from "./telemetry/runtime-spec.ts";
import type { UpstreamAuthConfig } from "./wire/upstream-keys.ts";

export interface Subject {
  readonly role: Role | undefined;
  readonly ports: readonly WantedPort[];
  readonly gossip: Address;
  readonly join: readonly string[];
  readonly joinFile: string;
  readonly mesh: GossipConfig;
  readonly dataDir: string;
  readonly gpu: GpuConfig | undefined;
  readonly runtimes: readonly RuntimeSpec[];
  readonly control: ControlConfig | undefined;
  /** A router's; 0 for none. */
  readonly workers: number;
  readonly discover: DiscoverConfig | undefined;
  readonly connectionsMax: number;
  readonly tls: TlsConfig | undefined;
  readonly upstreamTls: UpstreamTlsConfig | undefined;
  readonly upstreamAuth: UpstreamAuthConfig | undefined;
}

const NONE = {
  discover: undefined,
  runtimes: [],
  workers: 0,
  connectionsMax: 0,
  tls: undefined,
  upstreamTls: undefined,
  upstreamAuth: undefined,
};

export function agentSubject(config: ReturnType<typeof resolveAgent>): Subject {
  const { gossip, join, joinFile, mesh, dataDir, gpu, runtimes, control, mock } = config;
  const ports = portsWanted(config, [...(mock.enabled ? ["serve" as const] : []), "api", "metrics", "gossip"]);
  return { ...NONE, role: "agent", ports, gossip, join, joinFile, mesh, dataDir, gpu, runtimes, control };
}

export function routerSubject(config: RouterConfig): Subject {
  const { gossip, join, joinFile, mesh, dataDir, control, discover, workers, proxy, tls, upstreamTls, upstreamAuth } =
    config;
  const { connectionsMax } = proxy;
  const ports = portsWanted(config, ["listen", "api", "metrics", "gossip"]);
  const own = { discover, workers, connectionsMax, tls, upstreamTls, upstreamAuth };
  return {
    role: "router",
    ports,
    gossip,
    join,
    joinFile,
    mesh,
    dataDir,
    gpu: undefined,
    runtimes: [],
    control,
    ...own,
  };
}

/** For whoever does not say yet what is to run here: the ports of both, as they are by default. */
export function machineSubject(
  config: Pick<Subject, "join" | "joinFile" | "mesh" | "dataDir"> & { readonly gpu: GpuConfig },
  agent: AgentConfig,
  router: RouterConfig,
): Subject {
  const ofAgent = portsWanted(agent, ["api", "metrics", "gossip"]);
  const ofRouter = portsWanted(router, ["listen", "api", "metrics", "gossip"]);
  const named = (role: string) => (port: WantedPort) => ({ ...port, label: `${role}-${port.name}` });
  const ports = [...ofAgent.map(named("agent")), ...ofRouter.filter(isOther(ofAgent)).map(named("router"))];
  return { ...NONE, ...config, role: undefined, ports, gossip: agent.gossip, control: undefined };
}

/** Both have the control plane's. */
function isOther(ports: readonly WantedPort[]): (port: WantedPort) => boolean {
  const known = new Set(ports.map(formatAddress));
  return (port) => !known.has(formatAddress(port));
}
