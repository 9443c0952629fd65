/** Every metric there is, but for those of an agent alone (agent-metric-names.ts). docs/metrics.md lists the same, and a test holds the two together. */

import { defineMetric as metric } from "./exposition.ts";

/** Of every role. */
export const PROCESS_METRICS = {
  build: metric("gauge", "infermesh_build_info", ["version", "commit", "runtime"], "", "Always 1; tells what runs."),
  cpu: metric(
    "counter",
    "process_cpu_seconds_total",
    ["mode"],
    "seconds",
    "CPU time of all threads; mode is user or system.",
  ),
  memory: metric("gauge", "process_resident_memory_bytes", [], "bytes", "Resident memory."),
  descriptors: metric("gauge", "process_open_fds", [], "", "Open file descriptors, sockets included."),
  threads: metric("gauge", "process_threads", [], "", "Threads, those of the runtime included."),
  start: metric("gauge", "process_start_time_seconds", [], "seconds", "When the process started, in Unix time."),
  lag: metric(
    "gauge",
    "infermesh_event_loop_lag_seconds",
    [],
    "seconds",
    "Longest delay of the main thread's event loop since the last scrape.",
  ),
} as const;

/** Of the mesh as this node sees it, of either role. */
export const MESH_METRICS = {
  members: metric("gauge", "infermesh_mesh_members", ["status"], "", "Members known, this node included, by status."),
  health: metric("gauge", "infermesh_mesh_health_score", [], "", "0 is well; probes take 1 + this times their time."),
  incarnation: metric("gauge", "infermesh_mesh_incarnation", [], "", "This node's own; rises with each refutation."),
  events: metric("counter", "infermesh_mesh_events_total", ["kind"], "", "What became of members, this node included."),
  rttMedian: metric(
    "gauge",
    "infermesh_mesh_rtt_median_seconds",
    [],
    "seconds",
    "Median over members of their round trips.",
  ),
  rttMax: metric("gauge", "infermesh_mesh_rtt_max_seconds", [], "seconds", "Longest round trip of all members."),
  news: metric("gauge", "infermesh_mesh_news", [], "", "Pieces of news of members still being passed on."),
  drops: metric("counter", "infermesh_mesh_dropped_total", ["reason"], "", "Messages that opened but were not taken."),
} as const;

/** Of the gossip port: datagrams (packets), and requests over TCP. */
export const GOSSIP_METRICS = {
  packetsIn: metric("counter", "infermesh_gossip_received_packets_total", [], "", "Datagrams received."),
  bytesIn: metric("counter", "infermesh_gossip_received_bytes_total", [], "bytes", "Bytes of datagrams received."),
  packetsOut: metric("counter", "infermesh_gossip_sent_packets_total", [], "", "Datagrams sent."),
  bytesOut: metric("counter", "infermesh_gossip_sent_bytes_total", [], "bytes", "Bytes of datagrams sent."),
  dropped: metric("counter", "infermesh_gossip_dropped_total", ["reason"], "", "Received and did not open."),
  unsent: metric("counter", "infermesh_gossip_unsent_total", ["reason"], "", "Datagrams that could not be sent."),
  unreachable: metric(
    "counter",
    "infermesh_gossip_unreachable_total",
    [],
    "",
    "Reports that a host or port is not there.",
  ),
  requests: metric("counter", "infermesh_gossip_requests_total", [], "", "Requests of this node over TCP."),
  failed: metric(
    "counter",
    "infermesh_gossip_failed_requests_total",
    [],
    "",
    "Requests of this node that got no answer.",
  ),
  served: metric("counter", "infermesh_gossip_served_requests_total", [], "", "Requests of others that were answered."),
  cut: metric(
    "counter",
    "infermesh_gossip_cut_connections_total",
    ["reason"],
    "",
    "Connections of others that were cut.",
  ),
  waiting: metric("gauge", "infermesh_gossip_waiting_packets", [], "", "Datagrams that wait for their turn."),
  senders: metric("gauge", "infermesh_gossip_senders", [], "", "Senders remembered against replays."),
  connections: metric("gauge", "infermesh_gossip_connections", [], "", "TCP connections open now, in both directions."),
} as const;

/** The states on their way from nodes to routers: the first of a router, the last three of an agent. */
export const SIGNAL_METRICS = {
  heard: metric(
    "counter",
    "infermesh_signal_messages_total",
    ["result"],
    "",
    "Messages of nodes, by what became of them.",
  ),
  sources: metric("gauge", "infermesh_signal_sources", [], "", "Nodes that send their states."),
  peers: metric("gauge", "infermesh_signal_peers", [], "", "Other routers that have requests in flight."),
  routers: metric("gauge", "infermesh_signal_routers", [], "", "Routers that get this node's states."),
  sent: metric("counter", "infermesh_signal_sent_messages_total", [], "", "States and snapshots sent."),
  sentBytes: metric("counter", "infermesh_signal_sent_bytes_total", [], "bytes", "Bytes of them, without headers."),
} as const;

/** Of the router. */
export const ROUTER_METRICS = {
  requests: metric(
    "counter",
    "infermesh_router_requests_total",
    ["model", "code"],
    "",
    "Requests answered, by HTTP status (499: the client left first). The model is empty where none was known.",
  ),
  duration: metric(
    "histogram",
    "infermesh_router_request_duration_seconds",
    ["model"],
    "seconds",
    "From a request's head to the end of its answer.",
  ),
  firstToken: metric(
    "histogram",
    "infermesh_router_time_to_first_token_seconds",
    ["model"],
    "seconds",
    "From a request's head to the first byte of a successful answer's body.",
  ),
  tokenGap: metric(
    "histogram",
    "infermesh_router_inter_token_latency_seconds",
    ["model"],
    "seconds",
    "Between two events of an answer's stream, as they came from the target.",
  ),
  tokens: metric(
    "counter",
    "infermesh_router_tokens_total",
    ["model", "kind"],
    "tokens",
    "Tokens that answers told of (usage), by kind: prompt or completion; where a stream tells none, its events.",
  ),
  inFlight: metric(
    "gauge",
    "infermesh_router_requests_in_flight",
    ["target", "model"],
    "",
    "Requests at a target now, from all workers.",
  ),
  inFlightTokens: metric(
    "gauge",
    "infermesh_router_prefill_tokens_in_flight",
    ["target", "model"],
    "tokens",
    "Prompt tokens sent to a target that has not begun to answer, estimated from the bodies' sizes.",
  ),
  picks: metric(
    "counter",
    "infermesh_router_picks_total",
    ["target", "reason"],
    "",
    "How often a target was chosen: best (of several), only (one was left), retry, ejected-fallback (all were passed over), late (by the desk that binds late), shadow (for a copy).",
  ),
  upstreamErrors: metric(
    "counter",
    "infermesh_router_upstream_errors_total",
    ["target", "kind"],
    "",
    "Failures of targets: connect, timeout, reset, bad-response, truncated; exhausted is this router's own lack of descriptors or ports.",
  ),
  loadReports: metric(
    "counter",
    "infermesh_router_load_reports_total",
    ["result"],
    "",
    "Answers in which a target told of its load (ORCA): used, unknown (no figure of a row), malformed (or told twice).",
  ),
  decision: metric("histogram", "infermesh_router_decision_seconds", [], "seconds", "Time to choose a target."),
  retries: metric("counter", "infermesh_router_retries_total", [], "", "Requests sent again to another target."),
  hedges: metric(
    "counter",
    "infermesh_router_hedges_total",
    [],
    "",
    "Requests sent a second time since their first token was late.",
  ),
  hedgesWon: metric("counter", "infermesh_router_hedges_won_total", [], "", "Of these, answered first by the second."),
  hedgeWaste: metric("counter", "infermesh_router_hedge_wasted_tokens_total", [], "", "Prompt tokens sent in vain."),
  modules: metric(
    "counter",
    "infermesh_router_strategy_module_total",
    ["result"],
    "",
    "Of a strategy of one's own: threw, slow, invalid; agreed and differed of one in the shadow.",
  ),
  shadows: metric("counter", "infermesh_router_shadows_total", ["result"], "", "Copies: sent, skipped, failed."),
  fallbacks: metric("counter", "infermesh_router_fallbacks_total", [], "", "Requests given to a model that stands in."),
  waiting: metric("gauge", "infermesh_router_requests_waiting", [], "", "Requests that wait for a place at a target."),
  queued: metric("counter", "infermesh_router_queued_total", [], "", "Requests that had to wait for a place."),
  turnedAway: metric(
    "counter",
    "infermesh_router_turned_away_total",
    ["reason"],
    "",
    "Requests that got no place: refused (the wait would be too long), pushed-out (for others), expired.",
  ),
  breakerOpenings: metric(
    "counter",
    "infermesh_router_breaker_openings_total",
    [],
    "",
    "How often a worker's breaker held requests back from a target that failed.",
  ),
  cacheRequests: metric(
    "counter",
    "infermesh_router_cache_requests_total",
    ["result"],
    "",
    "Requests that the cache may answer: hit, shared (by the answer to another), miss.",
  ),
  cacheEntries: metric("gauge", "infermesh_router_cache_entries", [], "", "Answers kept."),
  cacheBytes: metric("gauge", "infermesh_router_cache_bytes", [], "bytes", "Memory of the answers kept."),
  connections: metric("gauge", "infermesh_router_connections_open", [], "", "Client connections open now."),
  connectionsTotal: metric("counter", "infermesh_router_connections_total", [], "", "Client connections accepted."),
  received: metric("counter", "infermesh_router_received_bytes_total", [], "bytes", "Bytes received from clients."),
  sent: metric("counter", "infermesh_router_sent_bytes_total", [], "bytes", "Bytes sent to clients."),
  targets: metric("gauge", "infermesh_router_targets", ["state"], "", "Targets known, by state."),
  workers: metric("gauge", "infermesh_router_workers", [], "", "Data-plane threads."),
  restarts: metric("counter", "infermesh_router_worker_restarts_total", [], "", "Workers that died and were replaced."),
  reloads: metric("counter", "infermesh_router_reloads_total", ["outcome"], "", "Loads of a configuration by outcome."),
  reloadOk: metric("gauge", "infermesh_router_last_reload_ok", [], "", "0 when the last configuration was refused."),
  replacements: metric("counter", "infermesh_router_worker_replacements_total", [], "", "Workers replaced in order."),
  retiring: metric(
    "gauge",
    "infermesh_router_workers_retiring",
    [],
    "",
    "Replaced workers that finish what they have.",
  ),
  scorer: metric("gauge", "infermesh_router_scorer_info", ["kind"], "", "Always 1; kind is c or typescript."),
  spans: metric("counter", "infermesh_router_spans_total", ["result"], "", "Spans, by what became of them."),
  spansWaiting: metric("gauge", "infermesh_router_spans_waiting", [], "", "Spans that wait for the collector."),
} as const;

/** Of the router: policies, as they are in force in it. */
export const POLICY_METRICS = {
  revision: metric("gauge", "infermesh_policy_revision", [], "", "Revision of the policies that are in force here."),
  items: metric("gauge", "infermesh_policy_items", ["kind"], "", "Policies in force, by kind."),
  denied: metric("counter", "infermesh_policy_denied_total", [], "", "Requests that an access rule refused."),
  overQuota: metric(
    "counter",
    "infermesh_policy_over_quota_total",
    ["quota"],
    "",
    "Requests that a quota refused, by its name; of the first 100 quotas that did, the rest as other.",
  ),
  lateFirstTokens: metric(
    "counter",
    "infermesh_policy_late_first_tokens_total",
    [],
    "",
    "First tokens that came later than the ttftMs of their SLO policy.",
  ),
  leases: metric(
    "counter",
    "infermesh_policy_lease_calls_total",
    ["result"],
    "",
    "Calls to the store for shares of quotas: answered, failed.",
  ),
  grants: metric("counter", "infermesh_policy_grants_total", [], "", "Shares of quotas that the store granted."),
  leaseAge: metric(
    "gauge",
    "infermesh_policy_lease_age_seconds",
    [],
    "seconds",
    "Since the store last granted shares, while quotas are spent; more than 2: workers go on with what they have.",
  ),
  replicas: metric(
    "gauge",
    "infermesh_scaling_replicas",
    ["model"],
    "",
    "Nodes that serve a model for which there is a scaling policy.",
  ),
  replicasWanted: metric(
    "gauge",
    "infermesh_scaling_replicas_wanted",
    ["model"],
    "",
    "Nodes that should serve it by its load.",
  ),
} as const;

/** Of the control plane as this node sees it, of either role. */
export const CONTROL_METRICS = {
  writable: metric("gauge", "infermesh_control_writable", [], "", "1 when policies can be changed now, else 0."),
  leader: metric("gauge", "infermesh_control_leader_known", [], "", "1 while a leader is known, else 0."),
  leading: metric("gauge", "infermesh_control_leading", [], "", "1 at the node that leads, else 0."),
  term: metric("gauge", "infermesh_control_term", [], "", "Rises with each election."),
  logBytes: metric("gauge", "infermesh_control_log_bytes", [], "bytes", "Size of the log of changes."),
  members: metric("gauge", "infermesh_control_members", ["role"], "", "Control nodes, by their part."),
} as const;
