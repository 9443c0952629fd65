/** Sends what is planned on a thread's sockets, and waits for the ends of all of it. */
import type { Flight } from "../load/flight.ts";
import { GenerateAnswer, generateRequest, SERVICE as FMAAS } from "../load/fmaas.ts";
import { InferAnswer, inferRequest, SERVICE as KSERVE } from "../load/kserve.ts";
import { PromptWriter } from "../load/prompt.ts";
import { BodyWriter } from "../load/request.ts";
import { Run } from "../load/run.ts";
import type { Header, LoadConfig } from "../load/settings.ts";
import type { LoadTarget } from "../load/target.ts";
import type { Tally } from "../load/tally.ts";
import { limitsOf, planOf, type Share } from "../load/workload.ts";
import { Dialer } from "../net/dialer.ts";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import type { Arrival } from "../sim/arrival.ts";
import { MOONCAKE_BLOCK_TOKENS } from "../sim/traces.ts";
import { type GrpcOptions, GrpcSender } from "./grpc-sender.ts";
import { RequestWriter } from "./http-head.ts";
import { HttpSender } from "./http-sender.ts";
import { Lane } from "./lane.ts";
import type { Sender, SenderEvents } from "./sender.ts";

/** Requests that are begun before the answers that came meanwhile are looked at. */
const BURST = 64;

/** A thread's part of a run; it can be posted to one. */
export interface DrivePart {
  readonly config: LoadConfig;
  readonly target: LoadTarget;
  readonly headers: readonly Header[];
  readonly tls: TlsClientOptions;
  readonly model: string;
  /** Of the trace, those of this share; null: there is no trace. */
  readonly arrivals: readonly Arrival[] | null;
  readonly share: Share;
}

/** How far it has come. */
export interface DriveCounts {
  readonly sent: number;
  readonly inFlight: number;
  /** Due, and not sent. */
  readonly waiting: number;
  readonly ok: number;
  readonly failed: number;
}

export class Drive {
  readonly #run: Run;
  readonly #tally: Tally;
  readonly #lane: Lane;
  readonly #sender: Sender;
  readonly #over: (isStopped: boolean) => void;
  #isPumping = false;
  #isOver = false;

  /** `over` is called once: all has ended, or it was stopped before. */
  constructor(part: DrivePart, tally: Tally, over: (isStopped: boolean) => void) {
    const { config, arrivals, share } = part;
    this.#tally = tally;
    this.#over = over;
    const run = new Run(planOf(config, arrivals, share), limitsOf(config, share), tally);
    this.#run = run;
    this.#lane = new Lane(() => this.#pump());
    this.#sender = senderOf(part, this.#lane, {
      came: (flight, texts, nowMs) => run.came(flight, texts, nowMs),
      ended: (flight, failure, nowMs) => {
        run.ended(flight, failure, nowMs);
        if (run.waiting > 0 || config.concurrency > 0 || run.isOver) this.#pump();
      },
    });
  }

  /** At that time of performance.now(), which may be to come. */
  start(atMs: number): void {
    this.#run.start(atMs);
    if (atMs > performance.now()) this.#lane.wakeAt(atMs);
    else this.#pump();
  }

  stop(): void {
    for (const flight of this.#run.stop(performance.now())) this.#sender.cancel(flight);
    this.#end(true);
  }

  get counts(): DriveCounts {
    const { sentCount: sent, okCount: ok, failedCount: failed } = this.#tally;
    return { sent, inFlight: this.#run.inFlight, waiting: this.#run.waiting, ok, failed };
  }

  #pump(): void {
    // Ends that come of sending are seen to by the one that sends.
    if (this.#isPumping || this.#isOver) return;
    this.#isPumping = true;
    const run = this.#run;
    let sent = 0;
    run.wake(performance.now());
    for (const flight of run.expired()) this.#sender.cancel(flight);
    for (; sent < BURST; sent += 1) {
      const flight = run.next(performance.now());
      if (flight === null) break;
      this.#sender.send(flight);
    }
    this.#isPumping = false;
    this.#lane.wakeAt(sent === BURST ? performance.now() : run.wakeAtMs);
    if (run.isOver) this.#end(false);
  }

  #end(isStopped: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Whoever told of the last end may still be at work with its connection.
    queueMicrotask(() => {
      this.#sender.close();
      this.#lane.close();
      this.#over(isStopped);
    });
  }
}

function senderOf(part: DrivePart, lane: Lane, events: SenderEvents): Sender {
  const { config, target, headers, tls, model } = part;
  const prompts = new PromptWriter(config.seed, MOONCAKE_BLOCK_TOKENS);
  const { api, stream: isStreamed, usage: asksUsage, ignoreEos: ignoresEnd } = config;
  const { host, port, tls: isTls } = target;
  const [dialer, place] = [new Dialer(lane.transport, tls), { host, port, tls: isTls }];
  const promptOf = ({ planned, number }: Flight): string => prompts.text(planned.hashes, planned.promptTokens, number);
  if (target.protocol === "grpc") {
    const { timeoutMs } = config;
    const { authority } = target;
    const service = serviceOf(part, promptOf);
    return new GrpcSender({ dialer, place, authority, isStreamed, headers, timeoutMs, ...service }, events);
  }
  const bodies = new BodyWriter({ api, model, isStreamed, asksUsage, ignoresEnd });
  const path = `${target.path}${api === "chat" ? "/chat/completions" : "/completions"}`;
  const writer = new RequestWriter("POST", path, target.authority, headers);
  const bytesOf = (flight: Flight): Uint8Array =>
    writer.bytes(bodies.body(promptOf(flight), flight.planned.outputTokens));
  return new HttpSender({ dialer, place, bytesOf }, events);
}

/** What a gRPC target is asked by. */
function serviceOf(
  { config, model }: DrivePart,
  promptOf: (flight: Flight) => string,
): Pick<GrpcOptions, "path" | "bytesOf" | "answer"> {
  const { stream: isStreamed, usage: asksUsage, ignoreEos: exactly } = config;
  if (config.grpc === "kserve") {
    return {
      path: `/${KSERVE}/${isStreamed ? "ModelStreamInfer" : "ModelInfer"}`,
      bytesOf(flight) {
        const { outputTokens: tokens } = flight.planned;
        return inferRequest({ model, prompt: promptOf(flight), tokens, isStreamed, exactly, asksUsage });
      },
      answer: () => new InferAnswer(isStreamed),
    };
  }
  return {
    path: `/${FMAAS}/${isStreamed ? "GenerateStream" : "Generate"}`,
    bytesOf: (flight) => generateRequest(model, promptOf(flight), flight.planned.outputTokens, exactly),
    answer: () => new GenerateAnswer(isStreamed),
  };
}
