/** Answers from fixtures and by hand, and an adapter that is told them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "bun:test";
import type { Answer, ModelCall, Read } from "../../src/runtimes/adapter.ts";
import type { RuntimeReading } from "../../src/runtimes/reading.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import type { AdapterTable } from "../../src/runtimes/table.ts";

const encoder = new TextEncoder();
const FIXTURES = join(import.meta.dir, "fixtures");
const RECORDED = join(import.meta.dir, "..", "telemetry", "fixtures");

export function json(value: unknown, status = 200): Answer {
  return { status, contentType: "application/json", body: encoder.encode(JSON.stringify(value)) };
}

export function text(body: string, status = 200): Answer {
  return { status, contentType: "text/plain", body: encoder.encode(body) };
}

/** A page or an answer of fixtures/. */
export function fixture(name: string, status = 200): Answer {
  return file(FIXTURES, name, status);
}

/** One that was recorded from a server that runs. */
export function recorded(name: string, status = 200): Answer {
  return file(RECORDED, name, status);
}

/** The number behind a name without labels on a page. */
export function numberOn({ body }: Answer, name: string): number {
  const line = new TextDecoder()
    .decode(body)
    .split("\n")
    .find((each) => each.startsWith(`${name} `));
  if (line === undefined) throw new Error(`${name} is not on the page`);
  return Number(line.slice(name.length + 1));
}

function file(folder: string, name: string, status: number): Answer {
  const contentType = name.endsWith(".json") ? "application/json" : "text/plain; version=0.0.4";
  return { status, contentType, body: readFileSync(join(folder, name)) };
}

export class Replay {
  readonly adapter: TableAdapter;
  nowMs = 1000;

  constructor(table: AdapterTable) {
    this.adapter = new TableAdapter(table);
  }

  get names(): string[] {
    return this.adapter.looks.map(({ name }) => name);
  }

  read(name: string, answer: Answer): Read {
    const look = this.adapter.looks.find((each) => each.name === name);
    if (look === undefined) throw new Error(`nothing is asked as ${name}, but ${this.names.join(", ")}`);
    return this.adapter.answered(look, answer, this.nowMs);
  }

  /** Answers that must be read well, by the names of their looks. */
  tell(answers: Readonly<Record<string, Answer>>): this {
    for (const [name, answer] of Object.entries(answers)) expect(this.read(name, answer)).toEqual({ ok: true });
    return this;
  }

  after(passedMs: number): this {
    this.nowMs += passedMs;
    return this;
  }

  get reading(): RuntimeReading {
    return this.adapter.reading(this.nowMs);
  }

  /** State and reason of each model. */
  get states(): Record<string, string> {
    const said = this.reading.models.map(({ model, state, reason }) => [
      model,
      reason === "" ? state : `${state}: ${reason}`,
    ]);
    return Object.fromEntries(said) as Record<string, string>;
  }

  load(model: string, { source = "", parent = "" } = {}): ModelCall {
    const call = this.adapter.load(model, { source, parent }, this.reading);
    if (call === undefined) throw new Error("it has no plan to load");
    return call;
  }

  unload(model: string): ModelCall {
    const call = this.adapter.unload(model, this.reading);
    if (call === undefined) throw new Error("it has no plan to unload");
    return call;
  }
}

/** The figures after two pages, ten seconds apart. */
export function twoPages(table: AdapterTable, look: string, name: string) {
  const replay = new Replay(table).tell({ [look]: fixture(`${name}.metrics.1.txt`) });
  const first = replay.reading.figures;
  replay.after(10_000).tell({ [look]: fixture(`${name}.metrics.2.txt`) });
  return { first, figures: replay.reading.figures, replay };
}

/** What a call asks, in short. */
export function asked({ asks }: ModelCall): string[] {
  return asks.map(({ method, port, path, body }) => `${method} ${port} ${path}${body === undefined ? "" : ` ${body}`}`);
}

/** What the answer proves: states of the models as they are then; undefined where it proves nothing. */
export function provenBy(replay: Replay, call: ModelCall, answer: Answer): Record<string, string> | undefined {
  const models = call.proves?.(answer)?.models(replay.reading.models);
  return models && (Object.fromEntries(models.map(({ model, state }) => [model, state])) as Record<string, string>);
}

export function faultOf(call: ModelCall, answer: Answer, index = 0): string {
  return call.fault(answer, index);
}
