/** A page of vLLM's metrics as large as is wanted, as an engine with adapters and several ranks has it. */
const MODELS = ["meta-llama/Llama-3.1-8B-Instruct", "adapter-a", "adapter-b"];
const BOUNDS = [
  "0.001",
  "0.005",
  "0.01",
  "0.02",
  "0.04",
  "0.06",
  "0.08",
  "0.1",
  "0.25",
  "0.5",
  "0.75",
  "1.0",
  "2.5",
  "5.0",
  "7.5",
  "10.0",
  "20.0",
  "40.0",
  "80.0",
  "+Inf",
];
export const GAUGES = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "lora_requests_info"];
export const HISTOGRAMS = [
  "time_to_first_token_seconds",
  "inter_token_latency_seconds",
  "e2e_request_latency_seconds",
  "request_queue_time_seconds",
  "request_inference_time_seconds",
  "request_prefill_time_seconds",
  "request_decode_time_seconds",
  "request_prompt_tokens",
  "request_generation_tokens",
  "iteration_tokens_total",
];

/** `tick`: how far its counters are; those of a later page are higher. */
export function vllmPage(bytesMin: number, tick = 1): Uint8Array {
  const lines: string[] = [];
  let engine = 0;
  let bytes = 0;
  const add = (line: string): void => {
    lines.push(line);
    bytes += line.length + 1;
  };
  while (bytes < bytesMin) {
    for (const model of MODELS) {
      const labels = `engine="${engine}",model_name="${model}"`;
      for (const name of GAUGES) {
        add(`# HELP vllm:${name} What it is of.`);
        add(`# TYPE vllm:${name} gauge`);
        add(`vllm:${name}{${labels}} ${(engine * 37) % 101}.0`);
      }
      for (const name of HISTOGRAMS) {
        add(`# HELP vllm:${name} Histogram of it.`);
        add(`# TYPE vllm:${name} histogram`);
        for (const [i, le] of BOUNDS.entries()) add(`vllm:${name}_bucket{${labels},le="${le}"} ${i * 1234 * tick}.0`);
        add(`vllm:${name}_sum{${labels}} ${12345.678901234 * tick}${engine}`);
        add(`vllm:${name}_count{${labels}} ${24_680 * tick}.0`);
      }
    }
    engine++;
  }
  return new TextEncoder().encode(`${lines.join("\n")}\n`);
}
