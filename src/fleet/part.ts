/**
 * What of a node's sample is a target's. A node may have several runtimes, and a runtime several endpoints: each endpoint is
 * a target, which has its runtime's models and is ready when that is. Endpoints of one runtime share its figures.
 *
 * The GPUs stay those of the node: which models run on them, they tell themselves.
 */
import type { NodeRuntime, NodeSample } from "../score/sample.ts";
import type { PollResult } from "./event.ts";
import type { Target } from "./target.ts";

type Placed = Pick<Target, "endpoint" | "port" | "protocol">;

export function partOf(target: Placed, sample: NodeSample): NodeSample {
  const runtime = runtimeOf(target, sample.runtimes);
  // It does not tell of them, or not yet of this one.
  if (runtime === undefined) return sample;
  return {
    ...sample,
    ready: sample.ready && runtime.ready,
    draining: sample.draining || runtime.draining,
    runtimes: [runtime],
    models: sample.models.filter((model) => model.runtime === "" || model.runtime === runtime.name),
  };
}

function runtimeOf({ endpoint, port, protocol }: Placed, runtimes: readonly NodeRuntime[]): NodeRuntime | undefined {
  if (endpoint !== "") return runtimes.find(({ endpoints }) => endpoints.some(({ name }) => name === endpoint));
  if (runtimes.length <= 1) return runtimes[0];
  return runtimes.find(({ endpoints }) => endpoints.some((one) => one.port === port && one.protocol === protocol));
}

/** The node's sample again, of the parts that its targets have; undefined for none. */
export function wholeOf(parts: readonly NodeSample[]): NodeSample | undefined {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first;
  const runtimes = new Map(parts.flatMap((part) => part.runtimes).map((runtime) => [runtime.name, runtime]));
  const models = parts.flatMap((part) => part.models);
  return {
    ...first,
    ready: parts.some(({ ready }) => ready),
    draining: parts.every(({ draining }) => draining),
    runtimes: [...runtimes.values()],
    models: [...new Map(models.map((model) => [`${model.runtime}\n${model.model}`, model])).values()],
  };
}

/** A node may answer for more than the target that was asked. */
export function pollPart(result: PollResult, target: Target | undefined): PollResult {
  if (!result.ok || result.sample === null || target === undefined) return result;
  return { ...result, sample: partOf(target, result.sample) };
}
