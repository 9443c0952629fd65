/** GET /events: the journal at once and as a stream, over the apps of both roles and over real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { type Hono } from "hono";
import { newApp } from "../../src/admin/app.ts";
import { type EventJournal, NDJSON_TYPE, eventRoutes, eventStream } from "../../src/admin/events.ts";
import type { EventType } from "../../src/base/event-types.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { type Front, serveApi } from "../../src/admin/front.ts";
import { eventually, RawClient } from "./raw-client.ts";

/** As mesh/journal.ts, with numbers from 1. */
class Log implements EventJournal {
  readonly first = 1;
  last = 0;
  ended = false;
  readonly listeners = new Set<() => void>();
  readonly #capacity: number;
  #kept: { seq: number; cause: string }[] = [];

  constructor(capacity = 8) {
    this.#capacity = capacity;
  }

  append(cause = "x"): void {
    this.#kept = [...this.#kept, { seq: (this.last += 1), cause }].slice(-this.#capacity);
    for (const listener of this.listeners) listener();
  }

  end(): void {
    this.ended = true;
    for (const listener of this.listeners) listener();
  }

  after(seq: number, max = this.#capacity) {
    const from = seq > this.last ? 0 : seq;
    const events = this.#kept.filter((entry) => entry.seq > from).slice(0, max);
    const next = events.at(-1)?.seq ?? this.last;
    return { events, missed: events.length === 0 ? 0 : (events[0]?.seq ?? 0) - from - 1, next };
  }

  watch(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

type Line = { kind?: string; seq?: number; missed?: number; next?: number; first?: number };

function app(journal: EventJournal): Hono {
  const made = newApp(() => {});
  eventRoutes(made, journal);
  return made;
}

const linesOf = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as Line);

async function read(reader: {
  read(): Promise<{ value?: Uint8Array | undefined; done: boolean }>;
}): Promise<Line[] | null> {
  const { value, done } = await reader.read();
  return done ? null : linesOf(new TextDecoder().decode(value));
}

describe("GET /events", () => {
  test("gives what the journal holds after a number, and the number to go on after", async () => {
    const log = new Log();
    const made = app(log);
    expect(await (await made.request("/events")).json()).toEqual({ events: [], missed: 0, next: 0, first: 1 });
    for (let count = 0; count < 10; count += 1) log.append();
    const all = (await (await made.request("/events")).json()) as { events: Line[]; missed: number; next: number };
    expect(all.events.map(({ seq }) => seq)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
    expect([all.missed, all.next]).toEqual([2, 10]);
    expect(await (await made.request("/events?after=9&watch=0")).json()).toMatchObject({
      events: [{ seq: 10 }],
      next: 10,
    });
    expect(await (await made.request("/events?after=10")).json()).toEqual({
      events: [],
      missed: 0,
      next: 10,
      first: 1,
    });
  });

  test.each([
    ["after=-1", 'after is "-1"; expected the number of an event'],
    ["after=", 'after is ""; expected the number of an event'],
    ["after=1.5", 'after is "1.5"'],
    ["after=9999999999999999", 'after is "9999999999999999"'],
    ["after=1&after=2", "after is given 2 times; expected once"],
    ["watch=yes", 'watch is "yes"; expected 1, or 0'],
    ["afetr=1", 'there is no parameter "afetr"; expected after or watch'],
  ])("refuses %s", async (query, message) => {
    const response = await app(new Log()).request(`/events?${query}`);
    const body = (await response.json()) as { error: { message: string; code: string } };
    expect([response.status, body.error.code]).toEqual([400, "bad_request"]);
    expect(body.error.message).toContain(message);
  });

  test("takes no other method, and answers HEAD without holding on to anything", async () => {
    const log = new Log();
    const refused = await app(log).request("/events", { method: "POST" });
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const head = await app(log).request("/events?watch=1", { method: "HEAD" });
    expect([head.status, head.headers.get("content-type")]).toEqual([200, NDJSON_TYPE]);
    expect(log.listeners.size).toBe(0);
  });

  test("of a process that stops is no stream any more", async () => {
    const log = new Log();
    log.append();
    log.end();
    expect((await app(log).request("/events?watch=1")).status).toBe(503);
    expect(await (await app(log).request("/events")).json()).toMatchObject({ next: 1 });
  });
});

test("64 may watch at one port; one that goes makes room", async () => {
  const made = app(new Log());
  const readers = await Promise.all(
    Array.from({ length: 64 }, async () => {
      const { body } = await made.request("/events?watch=1");
      const reader = (body as ReadableStream<Uint8Array>).getReader();
      await reader.read();
      return reader;
    }),
  );
  const refused = await made.request("/events?watch=1");
  expect([refused.status, await refused.json()]).toMatchObject([429, { error: { code: "over_capacity" } }]);
  expect((await made.request("/events")).status).toBe(200);
  await readers.pop()?.cancel();
  expect((await made.request("/events?watch=1")).status).toBe(200);
  await Promise.all(readers.map((reader) => reader.cancel()));
});

describe("a stream of events", () => {
  test("begins with where it stands, brings each event, beats while nothing happens, and ends with the journal", async () => {
    const log = new Log();
    log.append();
    const reader = eventStream(log, log.last, 20).getReader();
    expect(await read(reader)).toEqual([{ kind: "heartbeat", next: 1, first: 1 }]);
    const second = read(reader);
    log.append();
    expect(await second).toMatchObject([{ seq: 2 }]);
    expect(await read(reader)).toEqual([{ kind: "heartbeat", next: 2, first: 1 }]);
    log.append();
    log.end();
    expect(await read(reader)).toMatchObject([{ seq: 3 }]);
    expect(await read(reader)).toBeNull();
    expect(log.listeners.size).toBe(0);
  });

  test("begins with what happened after the number that was given", async () => {
    const log = new Log();
    for (let count = 0; count < 3; count += 1) log.append();
    const reader = eventStream(log, 1, 1000).getReader();
    expect(await read(reader)).toMatchObject([{ kind: "heartbeat", next: 1 }, { seq: 2 }, { seq: 3 }]);
    await reader.cancel();
  });

  test("tells a reader that fell behind how much it missed, and goes on", async () => {
    const log = new Log(8);
    const reader = eventStream(log, 0, 1000).getReader();
    await read(reader);
    for (let count = 0; count < 20; count += 1) log.append();
    const [gap, ...events] = (await read(reader)) ?? [];
    expect(gap).toEqual({ kind: "gap", missed: 12, next: 12 });
    expect(events.map(({ seq }) => seq)).toEqual([13, 14, 15, 16, 17, 18, 19, 20]);
    await reader.cancel();
  });

  test("that is cancelled while it waits lets go of the journal", async () => {
    const log = new Log();
    const reader = eventStream(log, 0, 60_000).getReader();
    await read(reader);
    const waiting = reader.read();
    expect(log.listeners.size).toBe(1);
    await reader.cancel();
    expect((await waiting).done).toBe(true);
    await eventually(() => log.listeners.size === 0);
  });
});

describe("over a connection", () => {
  const fronts: Front[] = [];
  afterEach(async () => {
    for (const front of fronts.splice(0)) await front.stop(0);
  });

  function serve(log: Log): Front {
    const front = serveApi({ hostname: "127.0.0.1", port: 0, app: app(log) });
    fronts.push(front);
    return front;
  }

  /** The lines in a chunked body. */
  const chunkedLines = (received: string): Line[] =>
    linesOf(received.slice(received.indexOf("\r\n\r\n") + 4).replace(/(^|\r\n)[0-9a-f]+\r\n/g, ""));

  async function watch(front: Front, query = ""): Promise<RawClient> {
    const client = await RawClient.connect(front.port);
    client.send(`GET /events?watch=1${query} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await client.until((text) => text.includes('"heartbeat"'));
    return client;
  }

  test("events come as they happen, and the end of the journal ends the answer in order", async () => {
    const log = new Log();
    const front = serve(log);
    const client = await watch(front);
    expect(client.received).toContain("content-type: application/x-ndjson\r\n");
    log.append();
    await client.until((text) => text.includes('"seq":1'));
    log.append();
    await client.until((text) => text.includes('"seq":2'));
    const stopping = front.stop(5000);
    log.end();
    expect(await client.untilEnded()).toEndWith("\r\n0\r\n\r\n");
    client.end();
    await stopping;
  });

  test("a client that goes leaves nothing behind", async () => {
    const log = new Log();
    const front = serve(log);
    const client = await watch(front);
    await eventually(() => log.listeners.size === 1);
    client.reset();
    await eventually(() => log.listeners.size === 0 && front.connections === 0);
  });

  test("a client that does not read is told what it missed, and the rest of its events are in order", async () => {
    const log = new Log(64);
    const front = serve(log);
    const client = await watch(front, "&after=0");
    client.pause();
    // More than the sockets' buffers take, a few at a time, so that the stream could keep up with a client that reads.
    const cause = "c".repeat(16 * 1024);
    for (let count = 0; count < 2000; count += 1) {
      log.append(cause);
      if (count % 16 === 15) await Bun.sleep(0);
    }
    await eventually(() => log.listeners.size === 0);
    client.resume();
    await client.until((text) => text.endsWith("}\n\r\n") && text.includes(`"seq":${log.last},`), 20_000);
    const lines = chunkedLines(client.received);
    let at = 0;
    let missed = 0;
    for (const line of lines) {
      if (line.kind === "gap") {
        missed += line.missed ?? 0;
        at += line.missed ?? 0;
        expect(line.next).toBe(at);
      } else if (line.seq !== undefined) expect(line.seq).toBe((at += 1));
    }
    expect(at).toBe(2000);
    expect(missed).toBeGreaterThan(0);
  });
});

describe("events of every kind, over the mesh's own journal", () => {
  const START_MS = 1_795_000_000_000;
  const base = START_MS * 1000;
  function filled(): Journal {
    const journal = new Journal(START_MS);
    const news = (type: EventType, id: string, labels: Record<string, string>): void =>
      journal.append({ type, id, cause: "it did", labels }, START_MS);
    news("policy.changed", "pin/m", { kind: "pin", name: "m" });
    news("gpu.degraded", "GPU-1", { node: "n1", gpu: "GPU-1" });
    news("gpu.healthy", "GPU-2", { node: "n2", gpu: "GPU-2" });
    return journal;
  }

  test.each([
    ["", ["pin/m", "GPU-1", "GPU-2"]],
    ["?type=gpu", ["GPU-1", "GPU-2"]],
    ["?type=gpu.healthy,policy", ["pin/m", "GPU-2"]],
    ["?type=gpu.no", []],
    ["?label=node=n1", ["GPU-1"]],
    ["?label=node=n1&label=gpu=GPU-2", []],
    [`?since=${base + 2}`, ["GPU-2"]],
  ])("%s chooses", async (query, ids) => {
    const answer = (await (await app(filled()).request(`/events${query}`)).json()) as {
      events: { id: string }[];
      next: number;
    };
    expect([answer.events.map(({ id }) => id), answer.next]).toEqual([ids, base + 3]);
  });

  test.each([
    ["type=GPU", "expected one such as node.joined"],
    ["type=gp", "did you mean gpu?"],
    ["label=n1", "expected NAME=VALUE"],
    ["tpye=gpu", "did you mean type?"],
  ])("refuses %s", async (query, message) => {
    const response = await app(filled()).request(`/events?${query}`);
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(message)]);
  });

  test("as server-sent events: named, numbered, resumed, and with what was missed", async () => {
    const journal = filled();
    const ask = async (headers: Record<string, string>): Promise<string> => {
      const response = await app(journal).request("/events?type=gpu", {
        headers: { accept: "text/event-stream", ...headers },
      });
      expect(response.headers.get("content-type")).toBe("text/event-stream");
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const text = new TextDecoder().decode((await reader.read()).value);
      await reader.cancel();
      return text;
    };
    expect(await ask({ "last-event-id": String(base + 2) })).toStartWith(
      `id: ${base + 2}\nevent: position\ndata: {"next":${base + 2},"first":${base + 1}}\n\nid: ${base + 3}\nevent: gpu.healthy\ndata: {"seq":${base + 3},`,
    );
    // Without a number, or with one that is none, from now on.
    expect(await ask({ "last-event-id": "x" })).toBe(
      `id: ${base + 3}\nevent: position\ndata: {"next":${base + 3},"first":${base + 1}}\n\n`,
    );
    for (let count = 0; count < 2000; count++) journal.append({ type: "routing.x", id: "x", cause: "" }, START_MS);
    expect(await ask({ "last-event-id": String(base + 1) })).toContain(
      `event: missed\ndata: {"missed":978,"next":${base + 979}}`,
    );
  });
});

test("a watch has its place from the moment that it is admitted, until it ends or is never read", async () => {
  const watchers = { count: 0 };
  const watched = newApp(() => {});
  eventRoutes(watched, new Journal(1_795_000_000_000), watchers);
  const ask = async (method = "GET"): Promise<Response> => watched.request("/events?watch=1", { method });
  const streams = await Promise.all(Array.from({ length: 70 }, () => ask()));
  expect(streams.filter(({ status }) => status === 200)).toHaveLength(64);
  expect(watchers.count).toBe(64);
  for (const { body } of streams) await body?.cancel();
  expect(watchers.count).toBe(0);
  expect((await ask("HEAD")).status).toBe(200);
  expect(watchers.count).toBe(0);
});
