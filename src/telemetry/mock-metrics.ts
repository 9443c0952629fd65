/** The simulated engine's metrics under vLLM's exact names and labels, as Prometheus text (format 0.0.4). */

import type { Histogram } from "../base/histogram.ts";
import type { BatchingStats } from "../sim/batching.ts";
import type { Profile } from "../sim/profile.ts";
import type { RequestHistograms } from "./mock-engine.ts";

export interface VllmFigures {
  readonly model: string;
  readonly profile: Profile;
  readonly stats: BatchingStats;
  readonly histograms: RequestHistograms;
  /** Choices that ended, by reason. */
  readonly finished: Readonly<Record<string, number>>;
}

export function vllmMetrics(figures: VllmFigures): string {
  const { stats, histograms, profile } = figures;
  const labels = `model_name="${escapeLabel(figures.model)}",engine="0"`;
  const lines: string[] = [];
  const head = (name: string, kind: string, help: string) => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
  };
  const one = (kind: "gauge" | "counter", name: string, help: string, value: number) => {
    head(name, kind, help);
    lines.push(`${name}{${labels}} ${value}`);
  };
  const distribution = (name: string, help: string, histogram: Histogram) => {
    head(name, "histogram", help);
    const counts = histogram.cumulative();
    for (const [index, bound] of histogram.bounds.entries()) {
      // Python prints a float's ".0", and vLLM's bounds are floats.
      const le = Number.isInteger(bound) ? `${bound}.0` : String(bound);
      lines.push(`${name}_bucket{le="${le}",${labels}} ${counts[index] ?? 0}`);
    }
    lines.push(`${name}_bucket{le="+Inf",${labels}} ${histogram.count}`);
    lines.push(`${name}_count{${labels}} ${histogram.count}`, `${name}_sum{${labels}} ${histogram.sum}`);
  };

  one("gauge", "vllm:num_requests_running", "Number of requests in model execution batches.", stats.running);
  one("gauge", "vllm:num_requests_waiting", "Number of requests waiting to be processed.", stats.waiting);
  const usage = stats.kvBlocksUsed / stats.kvBlocks;
  one("gauge", "vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", usage);
  const queried = "Prefix cache queries, in terms of number of queried tokens.";
  one("counter", "vllm:prefix_cache_queries_total", queried, stats.prefixQueryTokens);
  const hit = "Prefix cache hits, in terms of number of cached tokens.";
  one("counter", "vllm:prefix_cache_hits_total", hit, stats.prefixHitTokens);
  const preempted = "Cumulative number of preemption from the engine.";
  one("counter", "vllm:num_preemptions_total", preempted, stats.preemptions);
  one("counter", "vllm:prompt_tokens_total", "Number of prefill tokens processed.", stats.promptTokens);
  const generated = "Number of generation tokens processed.";
  one("counter", "vllm:generation_tokens_total", generated, stats.generationTokens);

  head("vllm:request_success_total", "counter", "Count of successfully processed requests.");
  for (const reason of ["stop", "length", "abort"]) {
    const count = figures.finished[reason] ?? 0;
    lines.push(`vllm:request_success_total{finished_reason="${reason}",${labels}} ${count}`);
  }

  const { timeToFirstToken, interToken, perOutputToken, endToEnd } = histograms;
  distribution("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", timeToFirstToken);
  distribution("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", interToken);
  const perToken = "Histogram of time_per_output_token_seconds per request.";
  distribution("vllm:request_time_per_output_token_seconds", perToken, perOutputToken);
  distribution("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", endToEnd);
  const spent = (phase: string) => `Histogram of time spent in ${phase} phase for request.`;
  distribution("vllm:request_queue_time_seconds", spent("WAITING"), histograms.queue);
  distribution("vllm:request_inference_time_seconds", spent("RUNNING"), histograms.inference);
  distribution("vllm:request_prefill_time_seconds", spent("PREFILL"), histograms.prefill);
  distribution("vllm:request_decode_time_seconds", spent("DECODE"), histograms.decode);
  distribution("vllm:request_prompt_tokens", "Number of prefill tokens processed.", histograms.promptTokens);
  distribution("vllm:request_generation_tokens", generated, histograms.generationTokens);
  distribution("vllm:request_params_n", "Histogram of the n request parameter.", histograms.choices);
  const maxTokens = "Histogram of the max_tokens request parameter.";
  distribution("vllm:request_params_max_tokens", maxTokens, histograms.maxTokens);

  head("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
  const config = `block_size="${profile.blockTokens}",num_gpu_blocks="${profile.kvBlocks}",enable_prefix_caching="True"`;
  lines.push(`vllm:cache_config_info{${config},gpu_memory_utilization="0.9",engine="0"} 1`);
  return `${lines.join("\n")}\n`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
