/** A live line for each node of a local mesh: what `infermesh dev` shows while it runs. */

interface NodeLine {
  readonly id: string;
  readonly state: string;
  readonly address: string;
  readonly inFlight: number;
  readonly sample: {
    readonly requestsInProgress: number;
    readonly gpuUsage?: number;
    readonly models: readonly {
      readonly runningRequests: number;
      readonly waitingRequests: number;
      readonly kvUsage?: number;
    }[];
  } | null;
}

/** A node that is watched; `end` tells how its process ended, or null while it runs. */
export interface WatchedNode {
  readonly id: string;
  end(): string | null;
}

const REDRAW_MS = 1000;
/** Without a terminal nothing is redrawn, so the status is printed seldom. */
const PLAIN_MS = 10_000;

/** A line for each node, redrawn in place on a terminal, printed now and then elsewhere. */
export function showStatus(api: string, nodes: readonly WatchedNode[]): () => void {
  const terminal = process.stdout.isTTY;
  let drawn = 0;
  const draw = async (): Promise<void> => {
    const answer = (await fetch(`${api}/nodes`, { proxy: false })
      .then((response) => response.json())
      .catch(() => null)) as { nodes?: NodeLine[] } | null;
    const known = new Map((answer?.nodes ?? []).map((node) => [node.id, node]));
    const lines = nodes.map((node) => nodeLine(node, known.get(node.id)));
    if (!terminal) {
      console.log(lines.join("\n"));
      return;
    }
    const up = drawn > 0 ? `\x1b[${drawn}A` : "";
    process.stdout.write(
      `${up}${lines.map((line) => `\x1b[2K${line.slice(0, (process.stdout.columns || 120) - 1)}\n`).join("")}`,
    );
    drawn = lines.length;
  };
  void draw();
  const timer = setInterval(() => void draw(), terminal ? REDRAW_MS : PLAIN_MS);
  return () => clearInterval(timer);
}

function nodeLine(watched: WatchedNode, node: NodeLine | undefined): string {
  const name = `  ${watched.id.padEnd(8)}`;
  const end = watched.end();
  if (end !== null) return `${name} ended (${end})`;
  if (node === undefined) return `${name} not registered yet`;
  const models = node.sample?.models ?? [];
  // A mock node's models share one engine, and each reports all of its load.
  const running = Math.max(0, ...models.map(({ runningRequests }) => runningRequests));
  const waiting = Math.max(0, ...models.map(({ waitingRequests }) => waitingRequests));
  const kv = Math.max(0, ...models.map(({ kvUsage }) => kvUsage ?? 0));
  const figures = [
    `in flight ${String(node.inFlight).padStart(3)}`,
    `running ${String(running).padStart(3)}`,
    `waiting ${String(waiting).padStart(3)}`,
    `KV ${percent(kv)}`,
    `GPU ${percent(node.sample?.gpuUsage ?? 0)}`,
  ];
  return `${name} ${node.state.padEnd(9)} ${node.address.padEnd(21)} ${figures.join("  ")}`;
}

function percent(fraction: number): string {
  return `${String(Math.round(fraction * 100)).padStart(3)}%`;
}
