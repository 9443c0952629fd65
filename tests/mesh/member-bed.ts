/** Live members on loopback, ten times as fast as usual. */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { Membership, type MembershipOptions } from "../../src/mesh/membership.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import type { SwimEvent } from "../../src/swim/event.ts";
import { openTransport } from "../../src/mesh/transport.ts";
import { swimSettings } from "../../src/swim/settings.ts";

const opened: Node[] = [];

/** Call it after each test. */
export function stopAll(): void {
  for (const node of opened.splice(0)) node.stop();
}

export interface Node {
  readonly member: Membership;
  /** Falls silent, as a crash would. */
  stop(): void;
  readonly events: SwimEvent[];
  readonly warnings: string[];
  readonly infos: string[];
}

let incarnation = 1;

/** Ten times the usual speed, so that a failure is known within a second. */
const FAST = {
  ...defaultsOf(swimSettings),
  probeIntervalMs: 100,
  probeTimeoutMs: 50,
  gossipIntervalMs: 20,
  pushPullIntervalMs: 1000,
};

interface Other extends Partial<MembershipOptions> {
  readonly port?: number;
  readonly keyring?: Keyring;
}

export async function open(id: string, join: readonly string[], other: Other = {}): Promise<Node> {
  const { port = 0, host = "127.0.0.1", keyring = new Keyring(), ...rest } = other;
  const events: SwimEvent[] = [];
  const warnings: string[] = [];
  const infos: string[] = [];
  const defaults = defaultsOf(gossipSettings);
  const cluster = rest.cluster ?? defaults.cluster;
  const onWarning = (message: string): void => void warnings.push(message);
  const transport = await openTransport({
    host,
    port,
    cluster,
    keyring,
    limits: defaults.limits,
    onError: (error) => {
      throw error;
    },
    onWarning,
  });
  const member = new Membership(
    {
      host,
      advertise: "",
      cluster,
      swim: FAST,
      id,
      identity: 0,
      incarnation: incarnation++,
      meta: new TextEncoder().encode(`meta of ${id}`),
      join,
      prng: new Prng(incarnation),
      onEvent: (event) => events.push(event),
      onWarning,
      onInfo: (message) => infos.push(message),
      ...rest,
    },
    transport,
  );
  member.start();
  const stop = (): void => {
    member.stop();
    transport.stop();
  };
  const node = { member, events, warnings, infos, stop };
  opened.push(node);
  return node;
}

export async function until(condition: () => boolean, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so within ${limitMs} ms: ${condition.toString()}`);
    await Bun.sleep(5);
  }
}
