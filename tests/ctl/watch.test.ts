/** members, once and watched, against servers that stream, break off, come back, or never were there. */
import { afterAll, describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { type MembersConfig, membersSettings } from "../../src/ctl/settings.ts";
import { showMembers } from "../../src/ctl/watch.ts";
import { eventually } from "../admin/raw-client.ts";
import { NOBODY_SAYS } from "./ctl-bed.ts";

const MEMBERS = [
  {
    id: "router-a",
    status: "alive",
    role: "router",
    zone: "",
    address: "10.0.0.5:7947",
    incarnation: 7,
    sinceMs: 61_000,
  },
  { id: "gpu-1", status: "suspect", role: "agent", zone: "z", address: "10.0.0.7:7946", incarnation: 8, rttMs: 0.8 },
];
const TABLE = `ID        STATUS   ROLE    ZONE  ADDRESS        INCARNATION    RTT  SINCE
router-a  alive    router  -     10.0.0.5:7947            7      -   1m1s
gpu-1     suspect  agent   z     10.0.0.7:7946            8  0.8ms      -
`;

const event = (seq: number, kind: string, id: string) => {
  return {
    seq,
    time: "2026-01-02T03:04:05.000Z",
    kind,
    id,
    address: "10.0.0.7:7946",
    incarnation: 8,
    cause: "no answer\u001b",
  };
};

/** A node's API, its streams in the test's hands. */
class FakeNode {
  readonly server: ReturnType<typeof Bun.serve>;
  /** The queries of the streams that were asked for. */
  readonly asked: string[] = [];
  readonly streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  cancelled = 0;
  /** Of this life's journal. */
  first = 1;
  /** Streams end at once, before their first line. */
  broken = false;

  constructor(port = 0) {
    this.server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      fetch: (request) => {
        const { pathname, search } = new URL(request.url);
        if (pathname === "/members") return Response.json({ members: MEMBERS });
        if (pathname !== "/events") return Response.json({ error: { message: "no such path" } }, { status: 404 });
        this.asked.push(search);
        const body = new ReadableStream<Uint8Array>({
          start: (controller) => {
            this.streams.push(controller);
            if (this.broken) controller.close();
            else this.send({ kind: "heartbeat", next: 100, first: this.first });
          },
          cancel: () => void (this.cancelled += 1),
        });
        return new Response(body);
      },
    });
  }

  send(...lines: object[]): void {
    this.streams.at(-1)?.enqueue(new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
  }

  /** Ends at once, as a crash would. */
  async stop(): Promise<number> {
    const port = this.server.port ?? 0;
    await this.server.stop(true);
    return port;
  }
}

interface Watching {
  out: string;
  err: string;
  /** The reader goes. */
  end(): void;
  readonly code: Promise<number>;
}

const nodes: FakeNode[] = [];
const watchings: Watching[] = [];

// They wait for the clock most of the time, and do so together.
afterAll(async () => {
  for (const watching of watchings.splice(0)) {
    watching.end();
    await watching.code;
  }
  for (const node of nodes.splice(0)) await node.stop();
});

function fakeNode(port = 0): FakeNode {
  const node = new FakeNode(port);
  nodes.push(node);
  return node;
}

function watch(endpoint: string, config: Partial<MembersConfig> = {}): Watching {
  const state = { out: "", err: "" };
  let reading = true;
  const terminal = {
    out: (text: string) => void (state.out += text),
    err: (text: string) => void (state.err += text),
    color: false,
    reading: () => reading,
  };
  const code = showMembers({ ...defaultsOf(membersSettings), endpoint, watch: true, ...config }, terminal);
  const watching = Object.assign(state, { code, end: () => void (reading = false) });
  watchings.push(watching);
  return watching;
}

const at = (node: FakeNode): string => `http://127.0.0.1:${node.server.port}`;

describe.concurrent("members", () => {
  test("once", async () => {
    const watching = watch(at(fakeNode()), { watch: false });
    expect([await watching.code, watching.out, watching.err]).toEqual([0, TABLE, ""]);
  });

  test("and then each event as a line, until nobody reads on", async () => {
    const node = fakeNode();
    const watching = watch(at(node));
    await eventually(() => watching.out === TABLE);
    node.send(event(101, "suspect", "gpu-1"), { kind: "heartbeat", next: 101 }, event(102, "failed", "gpu-1"));
    await eventually(() => watching.out.includes("failed"));
    expect(watching.out.slice(TABLE.length).replace(/\d{4}-\d\d-\d\d \d\d:/g, "DAY HH:")).toBe(
      "DAY HH:04:05  suspect      gpu-1     10.0.0.7:7946        no answer?\n" +
        "DAY HH:04:05  failed       gpu-1     10.0.0.7:7946        no answer?\n",
    );
    watching.end();
    expect([await watching.code, watching.err]).toEqual([0, ""]);
    await eventually(() => node.cancelled === 1);
  });

  test.each([
    ["json", `${JSON.stringify({ members: MEMBERS })}\n${JSON.stringify(event(101, "failed", "gpu-1"))}\n`],
    ["text", "2026-01-02T03:04:05.000Z\tfailed\tgpu-1\t10.0.0.7:7946\tno answer?\n"],
    ["yaml", "---\nseq: 101\n"],
  ] as const)("as %s", async (output, part) => {
    const node = fakeNode();
    const watching = watch(at(node), { output });
    await eventually(() => watching.out.includes("router-a"));
    node.send(event(101, "failed", "gpu-1"));
    await eventually(() => watching.out.includes("failed"));
    expect(watching.out).toContain(part);
    if (output === "json") expect(watching.out).toBe(part);
  });

  test("of one that restarts: goes on after the last event, and says so on standard error", async () => {
    const first = fakeNode();
    const watching = watch(at(first));
    await eventually(() => watching.out === TABLE);
    first.send(event(101, "joined", "gpu-1"));
    await eventually(() => watching.out.includes("joined"));
    const port = await first.stop();
    await eventually(() => watching.err.includes("trying again"));
    const second = fakeNode(port);
    await eventually(() => watching.err.includes("again\n") && second.streams.length > 0, 10_000);
    second.send(event(5000, "failed", "gpu-2"));
    await eventually(() => watching.out.includes("failed"));
    expect(second.asked.at(-1)).toBe("?watch=1&after=101");
    expect(watching.err).toMatch(
      /^infermesh ctl: lost http:\/\/127\.0\.0\.1:\d+: .+; trying again\ninfermesh ctl: reached http:\/\/127\.0\.0\.1:\d+ again\n$/,
    );
    expect(watching.out.split("ID  ")).toHaveLength(2);
  });

  test("a heartbeat alone tells where to go on; an end in order is no end for the watcher", async () => {
    const node = fakeNode();
    const watching = watch(at(node));
    await eventually(() => watching.out === TABLE);
    node.streams[0]?.close();
    await eventually(() => node.asked.length === 2);
    expect(node.asked).toEqual(["?watch=1", "?watch=1&after=100"]);
    expect(watching.err).toContain("it ended the stream; it may be stopping; trying again\n");
  });

  test("shows the members anew, and says so, when the process is another one than before", async () => {
    const node = fakeNode();
    const watching = watch(at(node));
    await eventually(() => watching.out === TABLE);
    node.first = 5001;
    node.streams[0]?.close();
    await eventually(() => watching.out === TABLE + TABLE);
    expect(watching.err).toMatch(/ has begun anew; these are the members now\n$/);
  });

  test("asks less and less often where streams end at once, and shows the members when one begins", async () => {
    const node = fakeNode();
    node.broken = true;
    const startedMs = performance.now();
    const watching = watch(at(node));
    await eventually(() => node.asked.length === 4);
    // 250 + 500 + 1000 ms lie between four; without growth they would be 750.
    expect(performance.now() - startedMs).toBeGreaterThan(1700);
    expect(watching.out).toBe("");
    node.broken = false;
    await eventually(() => watching.out === TABLE, 10_000);
    expect(node.asked).toEqual(node.asked.map(() => "?watch=1"));
  });

  test("gives up on a line without an end", async () => {
    const node = fakeNode();
    const watching = watch(at(node));
    await eventually(() => watching.out === TABLE);
    node.streams[0]?.enqueue(new Uint8Array(2 ** 20 + 1).fill(0x61));
    expect(await watching.code).toBe(1);
    expect(watching.err).toContain("is this an infermesh --api port?");
  });

  test("shows the members anew when events were missed", async () => {
    const node = fakeNode();
    const watching = watch(at(node));
    await eventually(() => watching.out === TABLE);
    node.send({ kind: "gap", missed: 12, next: 112 });
    await eventually(() => watching.out === TABLE + TABLE);
    expect(watching.err).toBe("infermesh ctl: 12 events were missed; these are the members now\n");
  });

  test("takes nonsense for a lost connection", async () => {
    const node = fakeNode();
    const watching = watch(at(node));
    await eventually(() => watching.out === TABLE);
    node.streams[0]?.enqueue(new TextEncoder().encode("no json\n"));
    await eventually(() => watching.err.includes("it sent a line that is not JSON; trying again"));
  });

  test("ends with 3 where nobody ever was, and with 1 where there are no events", async () => {
    const nobody = watch("http://127.0.0.1:1");
    expect([await nobody.code, nobody.err]).toEqual([
      3,
      `infermesh ctl: can't reach http://127.0.0.1:1: nobody listens there\n${NOBODY_SAYS}`,
    ]);
    const other = watch(`${at(fakeNode())}/elsewhere`);
    expect(await other.code).toBe(1);
    expect(other.err).toContain("no such path (status 404)");
  });
});
