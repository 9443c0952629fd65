"""llama-server from the wheel xllamacpp, which has llama.cpp's own HTTP server but not its executable: takes the flags of
llama-server that tests and examples use, by the same names, and refuses the others. Ends at SIGTERM or SIGINT."""

import argparse
import signal
import sys

import xllamacpp


def arguments():
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    add = parser.add_argument
    add("-m", "--model", required=True)
    add("-a", "--alias")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8080)
    add("-c", "--ctx-size", type=int, default=0)
    add("-np", "--parallel", type=int, default=1)
    add("-t", "--threads", type=int, default=-1)
    add("-b", "--batch-size", type=int)
    add("-ub", "--ubatch-size", type=int)
    add("-n", "--n-predict", type=int)
    add("--metrics", action="store_true")
    add("--slots", action=argparse.BooleanOptionalAction, default=True)
    add("--props", action="store_true")
    add("--lora", action="append", default=[])
    add("--api-key", action="append", default=[])
    add("--api-prefix")
    add("--embedding", "--embeddings", action="store_true")
    add("--sleep-idle-seconds", type=int)
    add("--ssl-key-file")
    add("--ssl-cert-file")
    return parser.parse_args()


def parameters(given):
    params = xllamacpp.CommonParams()
    params.model.path = given.model
    if given.alias is not None:
        params.model_alias = {given.alias}
    params.hostnames = [given.host]
    params.port = given.port
    params.n_ctx = given.ctx_size
    params.n_parallel = given.parallel
    params.cpuparams.n_threads = given.threads
    params.cpuparams_batch.n_threads = given.threads
    params.endpoint_metrics = given.metrics
    params.endpoint_slots = given.slots
    params.endpoint_props = given.props
    params.api_keys = given.api_key
    params.embedding = given.embedding
    params.ui = False
    adapters = []
    for path in given.lora:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path = path
        adapter.scale = 1.0
        adapters.append(adapter)
    params.lora_adapters = adapters
    optional = {
        "api_prefix": given.api_prefix,
        "n_batch": given.batch_size,
        "n_ubatch": given.ubatch_size,
        "n_predict": given.n_predict,
        "sleep_idle_seconds": given.sleep_idle_seconds,
        "ssl_file_key": given.ssl_key_file,
        "ssl_file_cert": given.ssl_cert_file,
    }
    for name, value in optional.items():
        if value is not None:
            setattr(params, name, value)
    return params


def main():
    given = arguments()
    # Before the server's threads are there, so that these signals come to none of them.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        server = xllamacpp.Server(parameters(given))
    except RuntimeError as error:
        sys.exit(f"llama-server: {error}")
    signal.sigwait(ends)
    del server


if __name__ == "__main__":
    main()
