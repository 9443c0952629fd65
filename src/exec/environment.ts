/**
 * The environment of a supervised runtime: of the agent's own the variables that a set of names lets through, then the
 * GPUs that were assigned, then what --exec-env gives. The agent's own settings, and what its engine and its service
 * manager told it, are nothing to the runtime.
 */

/** What is let through by default; a * at the end stands for any ending. */
export const INHERITED: readonly string[] = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "LC_*",
  "TZ",
  "TERM",
  "TMPDIR",
  "XDG_*",
  "LD_LIBRARY_PATH",
  "VIRTUAL_ENV",
  "PYTHON*",
  "CONDA_*",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "CUDA_*",
  "NVIDIA_*",
  "NCCL_*",
  "HIP_*",
  "ROCR_*",
  "ROCM_*",
  "HSA_*",
  "RCCL_*",
  "GPU_*",
  "ZE_*",
  "ONEAPI_*",
  "HF_*",
  "HUGGING_FACE_*",
  "TRANSFORMERS_*",
  "TOKENIZERS_*",
  "TORCH*",
  "PYTORCH_*",
  "OMP_*",
  "MKL_*",
  "RAY_*",
  "VLLM_*",
  "SGLANG_*",
  "SGL_*",
  "OLLAMA_*",
  "LLAMA_*",
  "GGML_*",
  "TRITON_*",
  "OPENVINO_*",
  "OV_*",
];

/** Of the agent alone, whatever the set says. */
const NEVER =
  /^(?:INFERMESH_|BUN_|MIMALLOC_|NODE_CHANNEL_|LISTEN_(?:FDS|PID|FDNAMES)$|NOTIFY_SOCKET$|WATCHDOG_|INVOCATION_ID$)/;

export const INHERIT_PATTERN = /^(?:\*|[A-Za-z_][A-Za-z0-9_]*\*?)$/;

type Environment = Readonly<Record<string, string | undefined>>;

/** Later ones win; one that they give as undefined is not there. */
export function runtimeEnvironment(
  own: Environment,
  inherit: readonly string[],
  ...given: readonly Environment[]
): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !NEVER.test(name) && inherit.some((pattern) => matches(name, pattern)))
      kept[name] = value;
  }
  for (const more of given) {
    for (const [name, value] of Object.entries(more)) {
      if (value === undefined) delete kept[name];
      else kept[name] = value;
    }
  }
  return kept;
}

function matches(name: string, pattern: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
