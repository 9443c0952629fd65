/**
 * The Scoring service: a router's choice of a node for gateways that carry requests themselves. What it admits is
 * counted at its node like the router's own requests, until its outcome is told or its lease ends.
 *
 * Limits: 10,000 requests admitted at once; leases of at most an hour. A node at which three in a row failed is left
 * alone for a while.
 */
import { MeshError } from "../base/errors.ts";
import type {
  AdmitRequest,
  AdmitResponse,
  HealthCheckRequest,
  HealthCheckResponse,
  Init,
  ReportOutcomeRequest,
  ReportOutcomeResponse,
  Scoring,
  ScoreTargetsRequest,
  ScoreTargetsResponse,
} from "../gen/services.js";
import type { Call } from "./services.ts";

export interface ScoredPlace {
  readonly node: string;
  readonly address: string;
  readonly seconds: number;
  readonly eligible: boolean;
  readonly reason: string;
  readonly row: number;
}

/** What a router can do for a gateway. */
export interface Scorer {
  /** The best first; throws `model_not_found`. */
  score(model: string, promptTokens: number, excluded: readonly string[]): readonly ScoredPlace[];
  /** Counts a request and its prompt; false when the place has no room any more. */
  begin(row: number, promptTokens: number): boolean;
  /** The prompt is computed. */
  endPrompt(row: number, promptTokens: number): void;
  end(row: number): void;
  /** Nothing is sent there for a moment. */
  eject(row: number, ms: number): void;
  /** Why no request can be sent at all; "" when some can. */
  obstacle(): string;
}

interface Ticket {
  readonly row: number;
  /** Not given back yet. */
  promptTokens: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

const TICKETS_MAX = 10_000;
const LEASE_MS = 600_000;
const LEASE_MS_MAX = 3_600_000;
const FAILURES_MAX = 3;
const EJECT_MS = 5000;
const PROMPT_TOKENS = 512;
/** As the data plane has it: more would not fit the table's sums. */
const PROMPT_TOKENS_MAX = 131_072;
const REASONS_MAX = 8;
const OUTCOMES = ["success", "failure", "cancelled"];

export class ScoringService implements Scoring<Call> {
  readonly #scorer: Scorer;
  readonly #tickets = new Map<string, Ticket>();
  /** Failures in a row, by row. */
  readonly #failures = new Map<number, number>();

  constructor(scorer: Scorer) {
    this.#scorer = scorer;
  }

  async scoreTargets({ model, promptTokens, exclude }: ScoreTargetsRequest): Promise<Init<ScoreTargetsResponse>> {
    const places = this.#scorer.score(named(model), tokensOf(promptTokens), exclude);
    return { targets: places };
  }

  async admit({ model, promptTokens, exclude, leaseMs }: AdmitRequest): Promise<Init<AdmitResponse>> {
    if (leaseMs > LEASE_MS_MAX) {
      throw new MeshError("bad_request", `leaseMs is ${leaseMs}; expected at most ${LEASE_MS_MAX}`, {
        param: "leaseMs",
      });
    }
    if (this.#tickets.size >= TICKETS_MAX) {
      throw new MeshError("over_capacity", `${TICKETS_MAX} requests are admitted already; report their outcomes`);
    }
    const tokens = tokensOf(promptTokens);
    const places = this.#scorer.score(named(model), tokens, exclude);
    for (const { row, node, address, seconds, eligible } of places) {
      if (!eligible || !this.#scorer.begin(row, tokens)) continue;
      const ticket = crypto.randomUUID();
      const timer = setTimeout(() => this.#end(ticket), leaseMs === 0 ? LEASE_MS : leaseMs);
      timer.unref();
      this.#tickets.set(ticket, { row, promptTokens: tokens, timer });
      return { ticket, node, address, seconds };
    }
    const isFull = places.some(({ reason }) => reason.startsWith("full"));
    if (isFull) throw new MeshError("over_capacity", `every node of ${model} is full`, { retryAfterSeconds: 1 });
    const why = reasonsOf(places);
    throw new MeshError("no_healthy_target", `no node of ${model} can be chosen now${why === "" ? "" : ` (${why})`}`);
  }

  async reportOutcome(request: ReportOutcomeRequest): Promise<Init<ReportOutcomeResponse>> {
    const { ticket: id, firstToken, outcome } = request;
    if (outcome !== "" && !OUTCOMES.includes(outcome)) {
      const why = `outcome is ${JSON.stringify(outcome.slice(0, 40))}; expected ${OUTCOMES.join(", ")}`;
      throw new MeshError("bad_request", why, { param: "outcome" });
    }
    const ticket = this.#tickets.get(id);
    if (ticket === undefined) return { known: false };
    if (firstToken) this.#endPrompt(ticket);
    if (outcome === "") return { known: true };
    this.#end(id);
    this.#judge(ticket.row, outcome);
    return { known: true };
  }

  async healthCheck({ model }: HealthCheckRequest): Promise<Init<HealthCheckResponse>> {
    if (model === "") {
      const reason = this.#scorer.obstacle();
      return { serving: reason === "", reason };
    }
    const places = this.#scorer.score(model, 1, []);
    const routableNodes = places.filter(({ eligible }) => eligible).length;
    const why = reasonsOf(places);
    return { serving: routableNodes > 0, routableNodes, reason: routableNodes > 0 ? "" : why };
  }

  /** Lets go of all that is admitted. */
  stop(): void {
    for (const id of this.#tickets.keys()) this.#end(id);
  }

  #endPrompt(ticket: Ticket): void {
    this.#scorer.endPrompt(ticket.row, ticket.promptTokens);
    ticket.promptTokens = 0;
  }

  #end(id: string): void {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined) return;
    this.#tickets.delete(id);
    clearTimeout(ticket.timer);
    this.#endPrompt(ticket);
    this.#scorer.end(ticket.row);
  }

  #judge(row: number, outcome: string): void {
    const failures = outcome === "failure" ? (this.#failures.get(row) ?? 0) + 1 : 0;
    if (outcome === "success" || failures >= FAILURES_MAX) this.#failures.delete(row);
    else if (failures > 0) this.#failures.set(row, failures);
    if (failures >= FAILURES_MAX) this.#scorer.eject(row, EJECT_MS);
  }
}

/** Why none can be chosen: of the first, since there may be thousands. */
function reasonsOf(places: readonly ScoredPlace[]): string {
  const shown = places.slice(0, REASONS_MAX).map(({ node, reason }) => `${node}: ${reason}`);
  const more = places.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

function tokensOf(promptTokens: number): number {
  return promptTokens === 0 ? PROMPT_TOKENS : Math.min(promptTokens, PROMPT_TOKENS_MAX);
}

function named(model: string): string {
  if (model !== "") return model;
  throw new MeshError("bad_request", "model is missing; expected a model's name", { param: "model" });
}
