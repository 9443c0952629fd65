// Generated from proto/ by scripts/generate-proto.ts: never edit. source 4137af251a1fdb028e9d683b output 8d168ce0ab2b2ee57b43906f
export const SCHEMA = {
 "messages": {
  "infermesh.control.v1.ErrorDetail": {
   "doc": "What an error tells beside its code and message; in google.rpc.Status's details for gRPC, in `details` for JSON.",
   "fields": [
    {
     "name": "code",
     "json": "code",
     "number": 1,
     "type": "string",
     "doc": "The mesh's own code, such as \"no_quorum\" or \"conflict\": docs/api.md lists them."
    },
    {
     "name": "source",
     "json": "source",
     "number": 2,
     "type": "string",
     "doc": "Whose fault it is: \"client\", \"upstream\", \"mesh\" or \"self\"."
    },
    {
     "name": "retryable",
     "json": "retryable",
     "number": 3,
     "type": "bool",
     "doc": "The same call may succeed later."
    },
    {
     "name": "param",
     "json": "param",
     "number": 4,
     "type": "string",
     "doc": "The field at fault."
    },
    {
     "name": "retry_after_seconds",
     "json": "retryAfterSeconds",
     "number": 5,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "write",
     "json": "write",
     "number": 6,
     "type": "uint32",
     "label": "optional",
     "doc": "Of a conflict: which of the writes, counted from 0, and the policy as it is now; none when it does not exist."
    },
    {
     "name": "current",
     "json": "current",
     "number": 7,
     "type": "message",
     "of": "infermesh.policy.v1.Policy"
    }
   ]
  },
  "infermesh.control.v1.Target": {
   "doc": "What a router knows of a node as a place to send requests to.",
   "fields": [
    {
     "name": "state",
     "json": "state",
     "number": 1,
     "type": "string",
     "doc": "\"unknown\", \"healthy\", \"unhealthy\" or \"draining\"."
    },
    {
     "name": "routable",
     "json": "routable",
     "number": 2,
     "type": "bool"
    },
    {
     "name": "source",
     "json": "source",
     "number": 3,
     "type": "string",
     "doc": "\"gossip\", \"registered\" or \"static\"."
    },
    {
     "name": "address",
     "json": "address",
     "number": 4,
     "type": "string"
    },
    {
     "name": "weight",
     "json": "weight",
     "number": 5,
     "type": "double"
    },
    {
     "name": "in_flight",
     "json": "inFlight",
     "number": 6,
     "type": "uint32"
    },
    {
     "name": "in_flight_tokens",
     "json": "inFlightTokens",
     "number": 7,
     "type": "uint64"
    },
    {
     "name": "others_in_flight",
     "json": "othersInFlight",
     "number": 8,
     "type": "uint32",
     "doc": "Requests there of the other routers, as they told of them."
    },
    {
     "name": "rtt_ms",
     "json": "rttMs",
     "number": 9,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "sampled_ago_ms",
     "json": "sampledAgoMs",
     "number": 10,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "failures_in_row",
     "json": "failuresInRow",
     "number": 11,
     "type": "uint32"
    },
    {
     "name": "last_error",
     "json": "lastError",
     "number": 12,
     "type": "string"
    },
    {
     "name": "id",
     "json": "id",
     "number": 13,
     "type": "string",
     "doc": "What clients see in x-infermesh-node: the node's id, or of a node with several endpoints NODE/ENDPOINT."
    },
    {
     "name": "endpoint",
     "json": "endpoint",
     "number": 14,
     "type": "string",
     "doc": "Its name among the node's; empty where it has none."
    },
    {
     "name": "protocol",
     "json": "protocol",
     "number": 15,
     "type": "string",
     "doc": "\"http\" or \"grpc\"."
    },
    {
     "name": "tls",
     "json": "tls",
     "number": 16,
     "type": "bool"
    },
    {
     "name": "models",
     "json": "models",
     "number": 17,
     "type": "string",
     "label": "repeated",
     "doc": "Those of the endpoint."
    }
   ]
  },
  "infermesh.control.v1.Node": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    },
    {
     "name": "role",
     "json": "role",
     "number": 2,
     "type": "string",
     "doc": "\"agent\", \"router\", \"client\" or \"unknown\"."
    },
    {
     "name": "status",
     "json": "status",
     "number": 3,
     "type": "string",
     "doc": "\"alive\", \"suspect\", \"failed\" or \"left\" for a member of the mesh; \"target\" for one that only a router knows."
    },
    {
     "name": "self",
     "json": "self",
     "number": 4,
     "type": "bool",
     "doc": "It is the process that is asked."
    },
    {
     "name": "zone",
     "json": "zone",
     "number": 5,
     "type": "string"
    },
    {
     "name": "labels",
     "json": "labels",
     "number": 6,
     "type": "string",
     "label": "map",
     "key": "string"
    },
    {
     "name": "version",
     "json": "version",
     "number": 7,
     "type": "string"
    },
    {
     "name": "incarnation",
     "json": "incarnation",
     "number": 8,
     "type": "uint64"
    },
    {
     "name": "models",
     "json": "models",
     "number": 9,
     "type": "string",
     "label": "repeated"
    },
    {
     "name": "gossip_address",
     "json": "gossipAddress",
     "number": 10,
     "type": "string",
     "doc": "\"host:port\" each; empty where it serves nothing of the kind."
    },
    {
     "name": "api_address",
     "json": "apiAddress",
     "number": 11,
     "type": "string"
    },
    {
     "name": "serving_address",
     "json": "servingAddress",
     "number": 12,
     "type": "string"
    },
    {
     "name": "healthy",
     "json": "healthy",
     "number": 13,
     "type": "bool",
     "label": "optional",
     "doc": "As the node itself says; absent while it has not."
    },
    {
     "name": "leaving",
     "json": "leaving",
     "number": 14,
     "type": "bool",
     "label": "optional"
    },
    {
     "name": "cordoned",
     "json": "cordoned",
     "number": 15,
     "type": "bool",
     "doc": "As a policy of kind \"node\" says."
    },
    {
     "name": "draining",
     "json": "draining",
     "number": 16,
     "type": "bool"
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 17,
     "type": "string",
     "doc": "Why, as the policy says."
    },
    {
     "name": "rtt_ms",
     "json": "rttMs",
     "number": 18,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "since_ms",
     "json": "sinceMs",
     "number": 19,
     "type": "double",
     "label": "optional",
     "doc": "How long it has had its status."
    },
    {
     "name": "seen_ago_ms",
     "json": "seenAgoMs",
     "number": 20,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "target",
     "json": "target",
     "number": 21,
     "type": "message",
     "of": "infermesh.control.v1.Target",
     "doc": "Routers only. Of a node with several endpoints one that requests can be sent to, where there is such."
    },
    {
     "name": "state",
     "json": "state",
     "number": 22,
     "type": "message",
     "of": "infermesh.state.v1.NodeState",
     "doc": "Its newest state, where it is known here."
    },
    {
     "name": "targets",
     "json": "targets",
     "number": 23,
     "type": "message",
     "of": "infermesh.control.v1.Target",
     "label": "repeated",
     "doc": "Routers only: a target for each endpoint of the node."
    }
   ]
  },
  "infermesh.control.v1.ListNodesRequest": {
   "fields": [
    {
     "name": "role",
     "json": "role",
     "number": 1,
     "type": "string",
     "doc": "Empty: every role."
    },
    {
     "name": "model",
     "json": "model",
     "number": 2,
     "type": "string",
     "doc": "Nodes that serve this model."
    },
    {
     "name": "zone",
     "json": "zone",
     "number": 3,
     "type": "string"
    },
    {
     "name": "selector",
     "json": "selector",
     "number": 4,
     "type": "string",
     "label": "map",
     "key": "string",
     "doc": "Labels that a node must have, all of them."
    },
    {
     "name": "with_state",
     "json": "withState",
     "number": 5,
     "type": "bool",
     "doc": "With `state`, which is long."
    }
   ]
  },
  "infermesh.control.v1.ListNodesResponse": {
   "fields": [
    {
     "name": "nodes",
     "json": "nodes",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.Node",
     "label": "repeated"
    }
   ]
  },
  "infermesh.control.v1.GetNodeRequest": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    }
   ]
  },
  "infermesh.control.v1.GetNodeResponse": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.Node"
    }
   ]
  },
  "infermesh.control.v1.ChangeNodeRequest": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 2,
     "type": "string",
     "doc": "For people."
    },
    {
     "name": "if_revision",
     "json": "ifRevision",
     "number": 3,
     "type": "uint64",
     "label": "optional",
     "doc": "The policy's revision that the change is based on, 0 for \"there is none\"; any other is a conflict. By default the one that it has: what else the policy says is kept."
    },
    {
     "name": "idempotency_key",
     "json": "idempotencyKey",
     "number": 4,
     "type": "string",
     "doc": "Not needed: doing it twice is doing it once."
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 5,
     "type": "bool",
     "doc": "Checks, warns, and changes nothing."
    },
    {
     "name": "allow_unknown",
     "json": "allowUnknown",
     "number": 6,
     "type": "bool",
     "doc": "The node may be one that nobody knows (yet); else that is refused."
    }
   ]
  },
  "infermesh.control.v1.WriteResponse": {
   "fields": [
    {
     "name": "policies",
     "json": "policies",
     "number": 1,
     "type": "message",
     "of": "infermesh.policy.v1.Policy",
     "label": "repeated",
     "doc": "As they are now, in the order of the writes, without those deleted."
    },
    {
     "name": "deleted",
     "json": "deleted",
     "number": 2,
     "type": "message",
     "of": "infermesh.policy.v1.PolicyKey",
     "label": "repeated"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 3,
     "type": "uint64",
     "doc": "Of the store after the write."
    },
    {
     "name": "changed",
     "json": "changed",
     "number": 4,
     "type": "bool",
     "doc": "Something is different now."
    },
    {
     "name": "already_applied",
     "json": "alreadyApplied",
     "number": 5,
     "type": "bool",
     "doc": "An earlier call with the same key had done it."
    },
    {
     "name": "warnings",
     "json": "warnings",
     "number": 6,
     "type": "string",
     "label": "repeated",
     "doc": "What is probably not meant: unknown names, selectors that match nothing."
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 7,
     "type": "bool"
    }
   ]
  },
  "infermesh.control.v1.ModelNode": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    },
    {
     "name": "state",
     "json": "state",
     "number": 2,
     "type": "string",
     "doc": "As of Target.state; the member's status where no router is asked."
    },
    {
     "name": "routable",
     "json": "routable",
     "number": 3,
     "type": "bool"
    },
    {
     "name": "model_state",
     "json": "modelState",
     "number": 4,
     "type": "message",
     "of": "infermesh.state.v1.ModelState",
     "doc": "Its figures of this model, where they are known here."
    }
   ]
  },
  "infermesh.control.v1.Model": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    },
    {
     "name": "nodes",
     "json": "nodes",
     "number": 2,
     "type": "message",
     "of": "infermesh.control.v1.ModelNode",
     "label": "repeated"
    },
    {
     "name": "routable_nodes",
     "json": "routableNodes",
     "number": 3,
     "type": "uint32"
    },
    {
     "name": "missing_replicas",
     "json": "missingReplicas",
     "number": 4,
     "type": "uint32",
     "doc": "Nodes wanted and missing by its pin."
    },
    {
     "name": "pin",
     "json": "pin",
     "number": 5,
     "type": "message",
     "of": "infermesh.policy.v1.Policy"
    }
   ]
  },
  "infermesh.control.v1.ListModelsRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Models that this node serves."
    }
   ]
  },
  "infermesh.control.v1.ListModelsResponse": {
   "fields": [
    {
     "name": "models",
     "json": "models",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.Model",
     "label": "repeated"
    }
   ]
  },
  "infermesh.control.v1.GetModelRequest": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    }
   ]
  },
  "infermesh.control.v1.GetModelResponse": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.Model"
    },
    {
     "name": "policies",
     "json": "policies",
     "number": 2,
     "type": "message",
     "of": "infermesh.policy.v1.Policy",
     "label": "repeated",
     "doc": "All policies that decide about this model."
    }
   ]
  },
  "infermesh.control.v1.PinModelRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 2,
     "type": "string"
    },
    {
     "name": "nodes",
     "json": "nodes",
     "number": 3,
     "type": "string",
     "label": "repeated"
    },
    {
     "name": "selector",
     "json": "selector",
     "number": 4,
     "type": "string",
     "label": "map",
     "key": "string"
    },
    {
     "name": "min_replicas",
     "json": "minReplicas",
     "number": 5,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "max_replicas",
     "json": "maxReplicas",
     "number": 6,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "if_revision",
     "json": "ifRevision",
     "number": 7,
     "type": "uint64",
     "label": "optional",
     "doc": "As in SetPolicyRequest."
    },
    {
     "name": "idempotency_key",
     "json": "idempotencyKey",
     "number": 8,
     "type": "string"
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 9,
     "type": "bool"
    }
   ]
  },
  "infermesh.control.v1.UnpinModelRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string"
    },
    {
     "name": "if_revision",
     "json": "ifRevision",
     "number": 2,
     "type": "uint64",
     "label": "optional",
     "doc": "As in SetPolicyRequest."
    },
    {
     "name": "idempotency_key",
     "json": "idempotencyKey",
     "number": 3,
     "type": "string"
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 4,
     "type": "bool"
    }
   ]
  },
  "infermesh.control.v1.ListPinsRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string",
     "doc": "Only the pin of this model."
    },
    {
     "name": "local",
     "json": "local",
     "number": 2,
     "type": "bool",
     "doc": "As in GetPolicyRequest."
    }
   ]
  },
  "infermesh.control.v1.LoadModelRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: the process that is asked."
    },
    {
     "name": "model",
     "json": "model",
     "number": 2,
     "type": "string"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 3,
     "type": "string"
    },
    {
     "name": "source",
     "json": "source",
     "number": 4,
     "type": "string",
     "doc": "Where the runtime shall take it from, as the runtime understands it: a path, or a name. Empty: where it looks by itself."
    },
    {
     "name": "parent",
     "json": "parent",
     "number": 5,
     "type": "string",
     "doc": "Of a LoRA adapter: the model that it adapts."
    },
    {
     "name": "runtime",
     "json": "runtime",
     "number": 6,
     "type": "string",
     "doc": "By its name on the node. Empty: the only one, or the one that knows the model."
    }
   ]
  },
  "infermesh.control.v1.UnloadModelRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: the process that is asked."
    },
    {
     "name": "model",
     "json": "model",
     "number": 2,
     "type": "string"
    },
    {
     "name": "drain_ms",
     "json": "drainMs",
     "number": 3,
     "type": "double",
     "label": "optional",
     "doc": "How long its requests may go on before they are cut off; by default as long as they take, within the call's deadline."
    },
    {
     "name": "runtime",
     "json": "runtime",
     "number": 4,
     "type": "string",
     "doc": "By its name on the node. Empty: the one that has the model."
    }
   ]
  },
  "infermesh.control.v1.LoadModelResponse": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "model",
     "json": "model",
     "number": 2,
     "type": "string"
    },
    {
     "name": "changed",
     "json": "changed",
     "number": 3,
     "type": "bool",
     "doc": "False when it was so before."
    },
    {
     "name": "models",
     "json": "models",
     "number": 4,
     "type": "string",
     "label": "repeated",
     "doc": "What the node serves now."
    }
   ]
  },
  "infermesh.control.v1.GetGpuRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: whichever node has it."
    },
    {
     "name": "gpu",
     "json": "gpu",
     "number": 2,
     "type": "string",
     "doc": "Its index, its UUID or that of one of its MIG slices, or the beginning of one that no other GPU has. INDEX@NODE names the node too."
    }
   ]
  },
  "infermesh.control.v1.GetGpuResponse": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "gpu",
     "json": "gpu",
     "number": 2,
     "type": "string",
     "doc": "JSON, described in docs/api.md: identity, load, traffic, wear, health with reasons, what reads it."
    },
    {
     "name": "partial",
     "json": "partial",
     "number": 3,
     "type": "string",
     "doc": "Why this is only what the process that was asked knows itself; empty where the node's agent told it."
    }
   ]
  },
  "infermesh.control.v1.ClearGpuRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: the process that is asked."
    },
    {
     "name": "gpu",
     "json": "gpu",
     "number": 2,
     "type": "string",
     "doc": "As in GetGpuRequest; empty: each GPU of the node."
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 3,
     "type": "bool",
     "doc": "Tells what would end, and ends nothing."
    }
   ]
  },
  "infermesh.control.v1.ClearedGpu": {
   "fields": [
    {
     "name": "uuid",
     "json": "uuid",
     "number": 1,
     "type": "string"
    },
    {
     "name": "index",
     "json": "index",
     "number": 2,
     "type": "uint32"
    },
    {
     "name": "name",
     "json": "name",
     "number": 3,
     "type": "string"
    },
    {
     "name": "ended",
     "json": "ended",
     "number": 4,
     "type": "string",
     "label": "repeated",
     "doc": "Reasons that ended, in words."
    },
    {
     "name": "forgotten",
     "json": "forgotten",
     "number": 5,
     "type": "bool",
     "doc": "It was lost, and is not looked for any more."
    },
    {
     "name": "health",
     "json": "health",
     "number": 6,
     "type": "string",
     "doc": "\"healthy\", \"degraded\" or \"quarantined\", as it is then."
    },
    {
     "name": "remaining",
     "json": "remaining",
     "number": 7,
     "type": "string",
     "label": "repeated",
     "doc": "Reasons that remain, in words."
    }
   ]
  },
  "infermesh.control.v1.ClearGpuResponse": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "gpus",
     "json": "gpus",
     "number": 2,
     "type": "message",
     "of": "infermesh.control.v1.ClearedGpu",
     "label": "repeated",
     "doc": "Those with something that ended, or that are not well."
    },
    {
     "name": "changed",
     "json": "changed",
     "number": 3,
     "type": "bool",
     "doc": "Something ended."
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 4,
     "type": "bool"
    }
   ]
  },
  "infermesh.control.v1.SetPolicyRequest": {
   "fields": [
    {
     "name": "kind",
     "json": "kind",
     "number": 1,
     "type": "string",
     "doc": "May be left out: the spec says it."
    },
    {
     "name": "name",
     "json": "name",
     "number": 2,
     "type": "string"
    },
    {
     "name": "if_revision",
     "json": "ifRevision",
     "number": 3,
     "type": "uint64",
     "label": "optional",
     "doc": "The policy's revision that the change is based on, 0 for \"there is none\"; any other is a conflict."
    },
    {
     "name": "idempotency_key",
     "json": "idempotencyKey",
     "number": 4,
     "type": "string",
     "doc": "A call with the key of an earlier one changes nothing and is answered as that one was."
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 5,
     "type": "bool",
     "doc": "Checks, warns, and changes nothing."
    },
    {
     "name": "pin",
     "json": "pin",
     "number": 10,
     "type": "message",
     "of": "infermesh.policy.v1.Pin",
     "oneof": "spec"
    },
    {
     "name": "quota",
     "json": "quota",
     "number": 11,
     "type": "message",
     "of": "infermesh.policy.v1.Quota",
     "oneof": "spec"
    },
    {
     "name": "acl",
     "json": "acl",
     "number": 12,
     "type": "message",
     "of": "infermesh.policy.v1.Acl",
     "oneof": "spec"
    },
    {
     "name": "balance",
     "json": "balance",
     "number": 13,
     "type": "message",
     "of": "infermesh.policy.v1.Balance",
     "oneof": "spec"
    },
    {
     "name": "scaling",
     "json": "scaling",
     "number": 14,
     "type": "message",
     "of": "infermesh.policy.v1.Scaling",
     "oneof": "spec"
    },
    {
     "name": "slo",
     "json": "slo",
     "number": 15,
     "type": "message",
     "of": "infermesh.policy.v1.Slo",
     "oneof": "spec"
    },
    {
     "name": "priority",
     "json": "priority",
     "number": 16,
     "type": "message",
     "of": "infermesh.policy.v1.Priority",
     "oneof": "spec"
    },
    {
     "name": "node",
     "json": "node",
     "number": 17,
     "type": "message",
     "of": "infermesh.policy.v1.NodePolicy",
     "oneof": "spec"
    }
   ]
  },
  "infermesh.control.v1.GetPolicyRequest": {
   "fields": [
    {
     "name": "kind",
     "json": "kind",
     "number": 1,
     "type": "string"
    },
    {
     "name": "name",
     "json": "name",
     "number": 2,
     "type": "string"
    },
    {
     "name": "local",
     "json": "local",
     "number": 3,
     "type": "bool",
     "doc": "Answers from what is known here, without asking the control nodes: also without their majority."
    }
   ]
  },
  "infermesh.control.v1.GetPolicyResponse": {
   "fields": [
    {
     "name": "policy",
     "json": "policy",
     "number": 1,
     "type": "message",
     "of": "infermesh.policy.v1.Policy"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 2,
     "type": "uint64",
     "doc": "Of the store."
    }
   ]
  },
  "infermesh.control.v1.DeletePolicyRequest": {
   "fields": [
    {
     "name": "kind",
     "json": "kind",
     "number": 1,
     "type": "string"
    },
    {
     "name": "name",
     "json": "name",
     "number": 2,
     "type": "string"
    },
    {
     "name": "if_revision",
     "json": "ifRevision",
     "number": 3,
     "type": "uint64",
     "label": "optional",
     "doc": "As in SetPolicyRequest."
    },
    {
     "name": "idempotency_key",
     "json": "idempotencyKey",
     "number": 4,
     "type": "string"
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 5,
     "type": "bool"
    }
   ]
  },
  "infermesh.control.v1.ListPoliciesRequest": {
   "fields": [
    {
     "name": "kind",
     "json": "kind",
     "number": 1,
     "type": "string",
     "doc": "Empty: every kind."
    },
    {
     "name": "name_prefix",
     "json": "namePrefix",
     "number": 2,
     "type": "string"
    },
    {
     "name": "local",
     "json": "local",
     "number": 3,
     "type": "bool",
     "doc": "As in GetPolicyRequest."
    }
   ]
  },
  "infermesh.control.v1.ListPoliciesResponse": {
   "fields": [
    {
     "name": "policies",
     "json": "policies",
     "number": 1,
     "type": "message",
     "of": "infermesh.policy.v1.Policy",
     "label": "repeated",
     "doc": "By kind and name."
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 2,
     "type": "uint64"
    }
   ]
  },
  "infermesh.control.v1.PolicyWrite": {
   "fields": [
    {
     "name": "put",
     "json": "put",
     "number": 1,
     "type": "message",
     "of": "infermesh.policy.v1.Policy",
     "oneof": "change"
    },
    {
     "name": "delete",
     "json": "delete",
     "number": 2,
     "type": "message",
     "of": "infermesh.policy.v1.PolicyKey",
     "oneof": "change"
    },
    {
     "name": "if_revision",
     "json": "ifRevision",
     "number": 3,
     "type": "uint64",
     "label": "optional"
    }
   ]
  },
  "infermesh.control.v1.ApplyPoliciesRequest": {
   "fields": [
    {
     "name": "writes",
     "json": "writes",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.PolicyWrite",
     "label": "repeated"
    },
    {
     "name": "idempotency_key",
     "json": "idempotencyKey",
     "number": 2,
     "type": "string"
    },
    {
     "name": "dry_run",
     "json": "dryRun",
     "number": 3,
     "type": "bool"
    }
   ]
  },
  "infermesh.control.v1.Event": {
   "fields": [
    {
     "name": "number",
     "json": "number",
     "number": 1,
     "type": "uint64",
     "doc": "Rises with each event of a process, and over its restarts."
    },
    {
     "name": "at_ms",
     "json": "atMs",
     "number": 2,
     "type": "uint64"
    },
    {
     "name": "type",
     "json": "type",
     "number": 3,
     "type": "string",
     "doc": "\"node.joined\", \"model.loaded\", \"policy.changed\", \"gpu.degraded\", \"routing.unhealthy\" and so on."
    },
    {
     "name": "subject",
     "json": "subject",
     "number": 4,
     "type": "string",
     "doc": "What it is about: a node's id, a model, a policy's KIND/NAME."
    },
    {
     "name": "message",
     "json": "message",
     "number": 5,
     "type": "string",
     "doc": "In words."
    },
    {
     "name": "labels",
     "json": "labels",
     "number": 6,
     "type": "string",
     "label": "map",
     "key": "string",
     "doc": "\"node\", \"model\", \"zone\", \"kind\" and whatever else there is to select by."
    }
   ]
  },
  "infermesh.control.v1.SubscribeEventsRequest": {
   "fields": [
    {
     "name": "since",
     "json": "since",
     "number": 1,
     "type": "uint64",
     "label": "optional",
     "doc": "Events after this number; absent: from now on; 0: all that is still kept."
    },
    {
     "name": "types",
     "json": "types",
     "number": 2,
     "type": "string",
     "label": "repeated",
     "doc": "\"node.joined\", or \"node\" for all that begin with \"node.\"; empty: every type."
    },
    {
     "name": "labels",
     "json": "labels",
     "number": 3,
     "type": "string",
     "label": "map",
     "key": "string",
     "doc": "Labels that an event must have, all of them."
    }
   ]
  },
  "infermesh.control.v1.SubscribeEventsResponse": {
   "fields": [
    {
     "name": "event",
     "json": "event",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.Event",
     "oneof": "what"
    },
    {
     "name": "missed",
     "json": "missed",
     "number": 2,
     "type": "message",
     "of": "infermesh.control.v1.SubscribeEventsResponse.Missed",
     "oneof": "what"
    },
    {
     "name": "position",
     "json": "position",
     "number": 3,
     "type": "message",
     "of": "infermesh.control.v1.SubscribeEventsResponse.Position",
     "oneof": "what"
    },
    {
     "name": "next",
     "json": "next",
     "number": 4,
     "type": "uint64",
     "doc": "To go on after this message."
    }
   ]
  },
  "infermesh.control.v1.SubscribeEventsResponse.Missed": {
   "doc": "So many events that nobody can tell any more came before this.",
   "fields": [
    {
     "name": "count",
     "json": "count",
     "number": 1,
     "type": "uint64"
    }
   ]
  },
  "infermesh.control.v1.SubscribeEventsResponse.Position": {
   "doc": "Where the stream stands; first of all, and again while nothing happens.",
   "fields": [
    {
     "name": "first",
     "json": "first",
     "number": 1,
     "type": "uint64",
     "doc": "The number of the first event since the start of the process: another one than before tells of a restart."
    }
   ]
  },
  "infermesh.control.v1.ExplainRouteRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string",
     "doc": "Either a model, for a request as it would be sent now,"
    },
    {
     "name": "prompt_tokens",
     "json": "promptTokens",
     "number": 2,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "request_id",
     "json": "requestId",
     "number": 3,
     "type": "string",
     "doc": "or a request of the past, by its x-request-id."
    },
    {
     "name": "tenant",
     "json": "tenant",
     "number": 4,
     "type": "string",
     "label": "optional",
     "doc": "With a model: whose request it would be, \"\" for one without a tenant. Absent: whether somebody may is not looked at."
    }
   ]
  },
  "infermesh.control.v1.Term": {
   "fields": [
    {
     "name": "name",
     "json": "name",
     "number": 1,
     "type": "string",
     "doc": "\"prefill\", \"active\", \"queue\", \"kv\", \"penalty\"."
    },
    {
     "name": "seconds",
     "json": "seconds",
     "number": 2,
     "type": "double"
    },
    {
     "name": "detail",
     "json": "detail",
     "number": 3,
     "type": "string",
     "doc": "How it came about, in words."
    }
   ]
  },
  "infermesh.control.v1.Candidate": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "address",
     "json": "address",
     "number": 2,
     "type": "string"
    },
    {
     "name": "eligible",
     "json": "eligible",
     "number": 3,
     "type": "bool",
     "doc": "It may be chosen."
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 4,
     "type": "string",
     "doc": "Why not, in words."
    },
    {
     "name": "seconds",
     "json": "seconds",
     "number": 5,
     "type": "double",
     "doc": "The sum of the terms: the time to the first token that is expected."
    },
    {
     "name": "terms",
     "json": "terms",
     "number": 6,
     "type": "message",
     "of": "infermesh.control.v1.Term",
     "label": "repeated"
    },
    {
     "name": "active_requests",
     "json": "activeRequests",
     "number": 7,
     "type": "double"
    },
    {
     "name": "queued_tokens",
     "json": "queuedTokens",
     "number": 8,
     "type": "double"
    },
    {
     "name": "capacity",
     "json": "capacity",
     "number": 9,
     "type": "uint32"
    },
    {
     "name": "chosen",
     "json": "chosen",
     "number": 10,
     "type": "bool"
    },
    {
     "name": "share",
     "json": "share",
     "number": 11,
     "type": "double",
     "doc": "How much of many requests like this one would go there as things are, 0 to 1: where chance or turns decide, several have some."
    },
    {
     "name": "weight",
     "json": "weight",
     "number": 12,
     "type": "double"
    },
    {
     "name": "rates",
     "json": "rates",
     "number": 13,
     "type": "message",
     "of": "infermesh.control.v1.LearntRates",
     "doc": "How fast it is taken to be, of one that serves the model; for a request of the past as of now."
    }
   ]
  },
  "infermesh.control.v1.LearntRates": {
   "doc": "What a target's rates are taken for, and how that came about.",
   "fields": [
    {
     "name": "prefill_used",
     "json": "prefillUsed",
     "number": 1,
     "type": "double",
     "doc": "Prompt tokens a second: what is reckoned with, what the target or the settings tell, and what first tokens of this router's requests alone tell."
    },
    {
     "name": "prefill_told",
     "json": "prefillTold",
     "number": 2,
     "type": "double"
    },
    {
     "name": "prefill_learnt",
     "json": "prefillLearnt",
     "number": 3,
     "type": "double"
    },
    {
     "name": "confidence",
     "json": "confidence",
     "number": 4,
     "type": "double",
     "doc": "How much the last counts, 0 to 1; from how many requests it comes, of which older ones count less."
    },
    {
     "name": "requests",
     "json": "requests",
     "number": 5,
     "type": "double"
    },
    {
     "name": "seen_ago_ms",
     "json": "seenAgoMs",
     "number": 6,
     "type": "uint64",
     "label": "optional",
     "doc": "Since the last of these; absent: there was none."
    },
    {
     "name": "step_seconds",
     "json": "stepSeconds",
     "number": 7,
     "type": "double",
     "doc": "Between two tokens of an answer: seconds for a batch of none, and those that each request adds, from so many streams."
    },
    {
     "name": "step_seconds_per_request",
     "json": "stepSecondsPerRequest",
     "number": 8,
     "type": "double"
    },
    {
     "name": "streams",
     "json": "streams",
     "number": 9,
     "type": "double"
    }
   ]
  },
  "infermesh.control.v1.ExplainRouteResponse": {
   "fields": [
    {
     "name": "request_id",
     "json": "requestId",
     "number": 1,
     "type": "string"
    },
    {
     "name": "model",
     "json": "model",
     "number": 2,
     "type": "string"
    },
    {
     "name": "prompt_tokens",
     "json": "promptTokens",
     "number": 3,
     "type": "uint32"
    },
    {
     "name": "at_ms",
     "json": "atMs",
     "number": 4,
     "type": "uint64",
     "doc": "When it was decided."
    },
    {
     "name": "winner",
     "json": "winner",
     "number": 5,
     "type": "string",
     "doc": "The node chosen, or the likeliest where chance decides; empty: none."
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 6,
     "type": "string",
     "doc": "Why, in words."
    },
    {
     "name": "candidates",
     "json": "candidates",
     "number": 7,
     "type": "message",
     "of": "infermesh.control.v1.Candidate",
     "label": "repeated",
     "doc": "The likeliest and cheapest first, then those that can't be chosen, then some that do not serve the model."
    },
    {
     "name": "strategy",
     "json": "strategy",
     "number": 8,
     "type": "string",
     "doc": "How requests of the model are balanced: \"late\", \"ttft\" or another strategy (docs/strategies.md)."
    }
   ]
  },
  "infermesh.control.v1.ForgetRatesRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: of every node, and of every model."
    },
    {
     "name": "model",
     "json": "model",
     "number": 2,
     "type": "string"
    }
   ]
  },
  "infermesh.control.v1.ForgetRatesResponse": {
   "fields": [
    {
     "name": "forgotten",
     "json": "forgotten",
     "number": 1,
     "type": "uint32",
     "doc": "Pairs of a target and a model of which something was learnt."
    }
   ]
  },
  "infermesh.control.v1.GetRecommendationsRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string",
     "doc": "Empty: of every model."
    }
   ]
  },
  "infermesh.control.v1.Recommendation": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string"
    },
    {
     "name": "replicas",
     "json": "replicas",
     "number": 2,
     "type": "uint32",
     "doc": "That serve it now, and that should."
    },
    {
     "name": "wanted",
     "json": "wanted",
     "number": 3,
     "type": "uint32"
    },
    {
     "name": "why",
     "json": "why",
     "number": 4,
     "type": "string",
     "doc": "Why, in words."
    },
    {
     "name": "policy",
     "json": "policy",
     "number": 5,
     "type": "string",
     "doc": "Which policy asks for it: \"scaling/MODEL\" or \"pin/MODEL\"."
    }
   ]
  },
  "infermesh.control.v1.GetRecommendationsResponse": {
   "fields": [
    {
     "name": "recommendations",
     "json": "recommendations",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.Recommendation",
     "label": "repeated",
     "doc": "By model: one for each scaling policy, also where nothing is to be changed, and one for each pin that lacks replicas."
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 2,
     "type": "uint64",
     "doc": "Of the policies that they follow from."
    }
   ]
  },
  "infermesh.control.v1.ControlMember": {
   "fields": [
    {
     "name": "member",
     "json": "member",
     "number": 1,
     "type": "string",
     "doc": "Hexadecimal; of etcd its own ids."
    },
    {
     "name": "node",
     "json": "node",
     "number": 2,
     "type": "string",
     "doc": "The mesh's name of its node; empty while unknown."
    },
    {
     "name": "address",
     "json": "address",
     "number": 3,
     "type": "string"
    },
    {
     "name": "role",
     "json": "role",
     "number": 4,
     "type": "string",
     "doc": "\"leader\", \"follower\", \"learner\" or \"unknown\"."
    },
    {
     "name": "match_index",
     "json": "matchIndex",
     "number": 5,
     "type": "uint64",
     "label": "optional",
     "doc": "The last entry of the log that the leader knows it to have, and whether the leader has heard of it lately: where the process that is asked can know."
    },
    {
     "name": "active",
     "json": "active",
     "number": 6,
     "type": "bool",
     "label": "optional"
    }
   ]
  },
  "infermesh.control.v1.GetStoreStatusRequest": {
   "fields": []
  },
  "infermesh.control.v1.GetStoreStatusResponse": {
   "fields": [
    {
     "name": "engine",
     "json": "engine",
     "number": 1,
     "type": "string",
     "doc": "\"embedded\", \"follower\" or \"etcd\"."
    },
    {
     "name": "cluster",
     "json": "cluster",
     "number": 2,
     "type": "string"
    },
    {
     "name": "leader",
     "json": "leader",
     "number": 3,
     "type": "string",
     "doc": "The id of the node that leads; empty: nobody does."
    },
    {
     "name": "term",
     "json": "term",
     "number": 4,
     "type": "uint64"
    },
    {
     "name": "commit_index",
     "json": "commitIndex",
     "number": 5,
     "type": "uint64"
    },
    {
     "name": "applied_index",
     "json": "appliedIndex",
     "number": 6,
     "type": "uint64"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 7,
     "type": "uint64",
     "doc": "Of the policies, and how many there are."
    },
    {
     "name": "items",
     "json": "items",
     "number": 8,
     "type": "uint32"
    },
    {
     "name": "members",
     "json": "members",
     "number": 9,
     "type": "message",
     "of": "infermesh.control.v1.ControlMember",
     "label": "repeated"
    },
    {
     "name": "writable",
     "json": "writable",
     "number": 10,
     "type": "bool",
     "doc": "A write could be taken now, as far as the process that is asked can tell."
    },
    {
     "name": "alarm",
     "json": "alarm",
     "number": 11,
     "type": "string",
     "doc": "Why not, in a sentence; empty while all is well."
    },
    {
     "name": "log_bytes",
     "json": "logBytes",
     "number": 12,
     "type": "uint64"
    },
    {
     "name": "changing",
     "json": "changing",
     "number": 13,
     "type": "bool",
     "doc": "A change of members is under way: until it is done, the majority of those before counts as well."
    }
   ]
  },
  "infermesh.control.v1.AddControlMemberRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "address",
     "json": "address",
     "number": 2,
     "type": "string",
     "doc": "\"host:port\" of its control port; by default where the mesh knows it."
    }
   ]
  },
  "infermesh.control.v1.RemoveControlMemberRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    }
   ]
  },
  "infermesh.control.v1.TransferLeadershipRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    }
   ]
  },
  "infermesh.control.v1.ControlMembersResponse": {
   "fields": [
    {
     "name": "members",
     "json": "members",
     "number": 1,
     "type": "message",
     "of": "infermesh.control.v1.ControlMember",
     "label": "repeated"
    },
    {
     "name": "leader",
     "json": "leader",
     "number": 2,
     "type": "string"
    }
   ]
  },
  "infermesh.control.v1.SaveSnapshotRequest": {
   "fields": []
  },
  "infermesh.control.v1.SaveSnapshotResponse": {
   "fields": [
    {
     "name": "snapshot",
     "json": "snapshot",
     "number": 1,
     "type": "bytes"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 2,
     "type": "uint64"
    }
   ]
  },
  "infermesh.control.v1.RestoreSnapshotRequest": {
   "fields": [
    {
     "name": "snapshot",
     "json": "snapshot",
     "number": 1,
     "type": "bytes"
    }
   ]
  },
  "infermesh.control.v1.RestoreSnapshotResponse": {
   "fields": [
    {
     "name": "revision",
     "json": "revision",
     "number": 1,
     "type": "uint64"
    }
   ]
  },
  "infermesh.policy.v1.Pin": {
   "doc": "Where a model is to be served. Either nodes or a selector, or neither for \"wherever it is\".",
   "fields": [
    {
     "name": "revision",
     "json": "revision",
     "number": 1,
     "type": "string",
     "doc": "The revision to serve: a commit, a tag, a date. Empty: any."
    },
    {
     "name": "nodes",
     "json": "nodes",
     "number": 2,
     "type": "string",
     "label": "repeated",
     "doc": "Ids of nodes."
    },
    {
     "name": "selector",
     "json": "selector",
     "number": 3,
     "type": "string",
     "label": "map",
     "key": "string",
     "doc": "Labels that a node must have, all of them."
    },
    {
     "name": "min_replicas",
     "json": "minReplicas",
     "number": 4,
     "type": "uint32",
     "label": "optional",
     "doc": "At least so many nodes should serve it."
    },
    {
     "name": "max_replicas",
     "json": "maxReplicas",
     "number": 5,
     "type": "uint32",
     "label": "optional",
     "doc": "At most so many, at least 1."
    }
   ]
  },
  "infermesh.policy.v1.Quota": {
   "doc": "How much a tenant may use of a model; at least one of the limits, each above zero.",
   "fields": [
    {
     "name": "requests_per_second",
     "json": "requestsPerSecond",
     "number": 1,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "tokens_per_minute",
     "json": "tokensPerMinute",
     "number": 2,
     "type": "double",
     "label": "optional",
     "doc": "Prompt and output tokens together."
    },
    {
     "name": "concurrency",
     "json": "concurrency",
     "number": 3,
     "type": "uint32",
     "label": "optional",
     "doc": "Requests under way at once."
    }
   ]
  },
  "infermesh.policy.v1.Acl": {
   "doc": "Who may do what with a model.",
   "fields": [
    {
     "name": "effect",
     "json": "effect",
     "number": 1,
     "type": "string",
     "doc": "\"allow\" or \"deny\"."
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 2,
     "type": "string",
     "doc": "For people: told to who is refused."
    }
   ]
  },
  "infermesh.policy.v1.Balance": {
   "doc": "How requests for a model are spread over its nodes.",
   "fields": [
    {
     "name": "strategy",
     "json": "strategy",
     "number": 1,
     "type": "string",
     "doc": "\"late\", \"ttft\", \"round-robin\" or another one of docs/strategies.md."
    },
    {
     "name": "weights",
     "json": "weights",
     "number": 2,
     "type": "double",
     "label": "map",
     "key": "string",
     "doc": "Relative capacity by node, above zero; 1 is usual."
    },
    {
     "name": "zone",
     "json": "zone",
     "number": 3,
     "type": "string",
     "label": "optional",
     "doc": "\"any\", \"prefer\" or \"only\": what it counts that a node stands in the router's own zone."
    },
    {
     "name": "session",
     "json": "session",
     "number": 4,
     "type": "message",
     "of": "infermesh.policy.v1.Session"
    },
    {
     "name": "split",
     "json": "split",
     "number": 5,
     "type": "double",
     "label": "map",
     "key": "string",
     "doc": "Shares of requests, each above 0 and at most 1 together, by the label `revision` of the nodes that get them."
    },
    {
     "name": "shadow",
     "json": "shadow",
     "number": 6,
     "type": "message",
     "of": "infermesh.policy.v1.Shadow"
    }
   ]
  },
  "infermesh.policy.v1.Session": {
   "doc": "Requests of one session go to one node, while that costs little.",
   "fields": [
    {
     "name": "field",
     "json": "field",
     "number": 1,
     "type": "string",
     "doc": "The field of a request's head that names the session."
    },
    {
     "name": "slack_ms",
     "json": "slackMs",
     "number": 2,
     "type": "double",
     "label": "optional",
     "doc": "By how much the node may be behind the best one."
    }
   ]
  },
  "infermesh.policy.v1.Shadow": {
   "doc": "Copies of requests, whose answers nobody gets.",
   "fields": [
    {
     "name": "revision",
     "json": "revision",
     "number": 1,
     "type": "string",
     "doc": "The label `revision` of the nodes that get them, and nothing else unless the split says so."
    },
    {
     "name": "share",
     "json": "share",
     "number": 2,
     "type": "double",
     "doc": "Of the requests, above 0 and at most 1."
    }
   ]
  },
  "infermesh.policy.v1.ScalingTarget": {
   "fields": [
    {
     "name": "metric",
     "json": "metric",
     "number": 1,
     "type": "string",
     "doc": "\"queue-seconds\", \"kv-usage\" or \"running-requests\"."
    },
    {
     "name": "value",
     "json": "value",
     "number": 2,
     "type": "double"
    }
   ]
  },
  "infermesh.policy.v1.Scaling": {
   "doc": "How many nodes a model should have, by its load: makes recommendations, starts nothing.",
   "fields": [
    {
     "name": "min_replicas",
     "json": "minReplicas",
     "number": 1,
     "type": "uint32"
    },
    {
     "name": "max_replicas",
     "json": "maxReplicas",
     "number": 2,
     "type": "uint32"
    },
    {
     "name": "target",
     "json": "target",
     "number": 3,
     "type": "message",
     "of": "infermesh.policy.v1.ScalingTarget"
    }
   ]
  },
  "infermesh.policy.v1.Slo": {
   "doc": "What requests are promised.",
   "fields": [
    {
     "name": "class",
     "json": "class",
     "number": 1,
     "type": "string",
     "doc": "\"latency\" or \"throughput\"."
    },
    {
     "name": "deadline_ms",
     "json": "deadlineMs",
     "number": 2,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "ttft_ms",
     "json": "ttftMs",
     "number": 3,
     "type": "double",
     "label": "optional",
     "doc": "Time to the first token."
    }
   ]
  },
  "infermesh.policy.v1.Priority": {
   "fields": [
    {
     "name": "priority",
     "json": "priority",
     "number": 1,
     "type": "uint32",
     "doc": "0 to 3, 0 being served first, as the header x-infermesh-priority has it."
    }
   ]
  },
  "infermesh.policy.v1.NodePolicy": {
   "doc": "What an operator has decided about a node.",
   "fields": [
    {
     "name": "cordoned",
     "json": "cordoned",
     "number": 1,
     "type": "bool",
     "label": "optional",
     "doc": "Takes no new requests unless a client names it."
    },
    {
     "name": "draining",
     "json": "draining",
     "number": 2,
     "type": "bool",
     "label": "optional",
     "doc": "Takes no new requests and finishes what it has."
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 3,
     "type": "string"
    }
   ]
  },
  "infermesh.policy.v1.Policy": {
   "doc": "One policy: its kind is the field of `spec` that is set.",
   "fields": [
    {
     "name": "kind",
     "json": "kind",
     "number": 1,
     "type": "string",
     "doc": "\"pin\", \"quota\", \"acl\", \"balance\", \"scaling\", \"slo\", \"priority\" or \"node\". May be left out where a spec is given."
    },
    {
     "name": "name",
     "json": "name",
     "number": 2,
     "type": "string",
     "doc": "What it is about, by kind: a model (pin, balance, scaling, slo), TENANT/MODEL (quota, slo, priority), SUBJECT/MODEL/ACTION (acl), a tenant (priority), a node's id (node). At most 253 characters."
    },
    {
     "name": "pin",
     "json": "pin",
     "number": 10,
     "type": "message",
     "of": "infermesh.policy.v1.Pin",
     "oneof": "spec"
    },
    {
     "name": "quota",
     "json": "quota",
     "number": 11,
     "type": "message",
     "of": "infermesh.policy.v1.Quota",
     "oneof": "spec"
    },
    {
     "name": "acl",
     "json": "acl",
     "number": 12,
     "type": "message",
     "of": "infermesh.policy.v1.Acl",
     "oneof": "spec"
    },
    {
     "name": "balance",
     "json": "balance",
     "number": 13,
     "type": "message",
     "of": "infermesh.policy.v1.Balance",
     "oneof": "spec"
    },
    {
     "name": "scaling",
     "json": "scaling",
     "number": 14,
     "type": "message",
     "of": "infermesh.policy.v1.Scaling",
     "oneof": "spec"
    },
    {
     "name": "slo",
     "json": "slo",
     "number": 15,
     "type": "message",
     "of": "infermesh.policy.v1.Slo",
     "oneof": "spec"
    },
    {
     "name": "priority",
     "json": "priority",
     "number": 16,
     "type": "message",
     "of": "infermesh.policy.v1.Priority",
     "oneof": "spec"
    },
    {
     "name": "node",
     "json": "node",
     "number": 17,
     "type": "message",
     "of": "infermesh.policy.v1.NodePolicy",
     "oneof": "spec"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 3,
     "type": "uint64",
     "doc": "Given by the store: the revisions of its last change and of its making, and when it was changed."
    },
    {
     "name": "created_revision",
     "json": "createdRevision",
     "number": 4,
     "type": "uint64"
    },
    {
     "name": "updated_at_ms",
     "json": "updatedAtMs",
     "number": 5,
     "type": "uint64"
    }
   ]
  },
  "infermesh.policy.v1.PolicyKey": {
   "fields": [
    {
     "name": "kind",
     "json": "kind",
     "number": 1,
     "type": "string"
    },
    {
     "name": "name",
     "json": "name",
     "number": 2,
     "type": "string"
    }
   ]
  },
  "infermesh.scoring.v1.ScoreTargetsRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string"
    },
    {
     "name": "prompt_tokens",
     "json": "promptTokens",
     "number": 2,
     "type": "uint32"
    },
    {
     "name": "exclude",
     "json": "exclude",
     "number": 3,
     "type": "string",
     "label": "repeated",
     "doc": "Nodes that are not wanted, such as those that were tried."
    }
   ]
  },
  "infermesh.scoring.v1.ScoredTarget": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "address",
     "json": "address",
     "number": 2,
     "type": "string",
     "doc": "\"host:port\" to send to."
    },
    {
     "name": "seconds",
     "json": "seconds",
     "number": 3,
     "type": "double",
     "doc": "Expected time to the first token."
    },
    {
     "name": "eligible",
     "json": "eligible",
     "number": 4,
     "type": "bool"
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 5,
     "type": "string",
     "doc": "Why not, in words."
    }
   ]
  },
  "infermesh.scoring.v1.ScoreTargetsResponse": {
   "fields": [
    {
     "name": "targets",
     "json": "targets",
     "number": 1,
     "type": "message",
     "of": "infermesh.scoring.v1.ScoredTarget",
     "label": "repeated",
     "doc": "The best first."
    }
   ]
  },
  "infermesh.scoring.v1.AdmitRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string"
    },
    {
     "name": "prompt_tokens",
     "json": "promptTokens",
     "number": 2,
     "type": "uint32"
    },
    {
     "name": "exclude",
     "json": "exclude",
     "number": 3,
     "type": "string",
     "label": "repeated"
    },
    {
     "name": "lease_ms",
     "json": "leaseMs",
     "number": 4,
     "type": "uint32",
     "doc": "After so long without an outcome the request is taken for lost; 0: 10 min. At most 1 h."
    }
   ]
  },
  "infermesh.scoring.v1.AdmitResponse": {
   "fields": [
    {
     "name": "ticket",
     "json": "ticket",
     "number": 1,
     "type": "string",
     "doc": "For ReportOutcome."
    },
    {
     "name": "node",
     "json": "node",
     "number": 2,
     "type": "string"
    },
    {
     "name": "address",
     "json": "address",
     "number": 3,
     "type": "string"
    },
    {
     "name": "seconds",
     "json": "seconds",
     "number": 4,
     "type": "double"
    }
   ]
  },
  "infermesh.scoring.v1.ReportOutcomeRequest": {
   "fields": [
    {
     "name": "ticket",
     "json": "ticket",
     "number": 1,
     "type": "string"
    },
    {
     "name": "first_token",
     "json": "firstToken",
     "number": 2,
     "type": "bool",
     "doc": "The first token has come: the prompt is computed. The ticket stays."
    },
    {
     "name": "outcome",
     "json": "outcome",
     "number": 3,
     "type": "string",
     "doc": "It is over: \"success\", \"failure\" or \"cancelled\". Empty while it goes on."
    }
   ]
  },
  "infermesh.scoring.v1.ReportOutcomeResponse": {
   "fields": [
    {
     "name": "known",
     "json": "known",
     "number": 1,
     "type": "bool",
     "doc": "False when the ticket was known no more: its lease had ended, or its outcome was told before."
    }
   ]
  },
  "infermesh.scoring.v1.HealthCheckRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string",
     "doc": "Empty: the router; else a model."
    }
   ]
  },
  "infermesh.scoring.v1.HealthCheckResponse": {
   "fields": [
    {
     "name": "serving",
     "json": "serving",
     "number": 1,
     "type": "bool",
     "doc": "Requests can be sent."
    },
    {
     "name": "routable_nodes",
     "json": "routableNodes",
     "number": 2,
     "type": "uint32"
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 3,
     "type": "string"
    }
   ]
  },
  "infermesh.state.v1.Labels": {
   "doc": "What a state is about. Empty means not said.",
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string"
    },
    {
     "name": "revision",
     "json": "revision",
     "number": 2,
     "type": "string",
     "doc": "The model's revision: a commit, a tag, a date."
    },
    {
     "name": "quant",
     "json": "quant",
     "number": 3,
     "type": "string",
     "doc": "Quantisation, for example \"fp8\" or \"awq-int4\"."
    },
    {
     "name": "runtime",
     "json": "runtime",
     "number": 4,
     "type": "string",
     "doc": "The serving runtime, for example \"vllm\", \"sglang\", \"tgi\", \"mock\"."
    },
    {
     "name": "node",
     "json": "node",
     "number": 5,
     "type": "string"
    },
    {
     "name": "gpu_uuid",
     "json": "gpuUuid",
     "number": 6,
     "type": "string"
    },
    {
     "name": "mig_profile",
     "json": "migProfile",
     "number": 7,
     "type": "string",
     "doc": "MIG profile, for example \"3g.40gb\"."
    },
    {
     "name": "tenant",
     "json": "tenant",
     "number": 8,
     "type": "string"
    },
    {
     "name": "zone",
     "json": "zone",
     "number": 9,
     "type": "string"
    },
    {
     "name": "custom",
     "json": "custom",
     "number": 10,
     "type": "string",
     "label": "map",
     "key": "string",
     "doc": "Anything else that an operator wants to select by."
    }
   ]
  },
  "infermesh.state.v1.Quantile": {
   "doc": "One quantile of a distribution.",
   "fields": [
    {
     "name": "quantile",
     "json": "quantile",
     "number": 1,
     "type": "double",
     "doc": "In (0, 1): 0.5, 0.95, 0.99."
    },
    {
     "name": "seconds",
     "json": "seconds",
     "number": 2,
     "type": "double"
    }
   ]
  },
  "infermesh.state.v1.ModelState": {
   "fields": [
    {
     "name": "labels",
     "json": "labels",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.Labels",
     "doc": "`runtime` is the kind of the runtime that serves it, where that is known."
    },
    {
     "name": "status",
     "json": "status",
     "number": 2,
     "type": "enum",
     "of": "infermesh.state.v1.ModelStatus"
    },
    {
     "name": "running_requests",
     "json": "runningRequests",
     "number": 3,
     "type": "uint32"
    },
    {
     "name": "waiting_requests",
     "json": "waitingRequests",
     "number": 4,
     "type": "uint32"
    },
    {
     "name": "queued_prefill_tokens",
     "json": "queuedPrefillTokens",
     "number": 5,
     "type": "uint64",
     "label": "optional",
     "doc": "Prompt tokens that wait for their prefill, the rest of half-done prompts included."
    },
    {
     "name": "kv_usage",
     "json": "kvUsage",
     "number": 6,
     "type": "double",
     "label": "optional",
     "doc": "Used fraction of the KV cache."
    },
    {
     "name": "kv_capacity_tokens",
     "json": "kvCapacityTokens",
     "number": 7,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "prefill_tokens_per_second",
     "json": "prefillTokensPerSecond",
     "number": 8,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "decode_tokens_per_second",
     "json": "decodeTokensPerSecond",
     "number": 9,
     "type": "double",
     "label": "optional",
     "doc": "Of the whole batch, not of one request."
    },
    {
     "name": "slots",
     "json": "slots",
     "number": 10,
     "type": "uint32",
     "label": "optional",
     "doc": "How many requests the runtime batches at most."
    },
    {
     "name": "time_to_first_token",
     "json": "timeToFirstToken",
     "number": 11,
     "type": "message",
     "of": "infermesh.state.v1.Quantile",
     "label": "repeated",
     "doc": "Time to first token and time between tokens over the last window."
    },
    {
     "name": "inter_token_latency",
     "json": "interTokenLatency",
     "number": 12,
     "type": "message",
     "of": "infermesh.state.v1.Quantile",
     "label": "repeated"
    },
    {
     "name": "runtime",
     "json": "runtime",
     "number": 13,
     "type": "string",
     "doc": "Which of the node's runtimes serves it, by name; empty where the node has one only."
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 14,
     "type": "string",
     "doc": "Why it failed, in words."
    },
    {
     "name": "parent",
     "json": "parent",
     "number": 15,
     "type": "string",
     "doc": "The model whose weights it adapts, such as a LoRA adapter's; empty for one that stands alone."
    },
    {
     "name": "context_tokens_max",
     "json": "contextTokensMax",
     "number": 16,
     "type": "uint64",
     "label": "optional",
     "doc": "Tokens of prompt and answer together at most."
    },
    {
     "name": "capabilities",
     "json": "capabilities",
     "number": 17,
     "type": "string",
     "label": "repeated",
     "doc": "What it can be asked for: \"chat\", \"completions\", \"embeddings\", ...; empty: not told."
    },
    {
     "name": "cache_hit_rate",
     "json": "cacheHitRate",
     "number": 18,
     "type": "double",
     "label": "optional",
     "doc": "Share of the last window's prompt tokens that was in the cache."
    },
    {
     "name": "preemptions_per_second",
     "json": "preemptionsPerSecond",
     "number": 19,
     "type": "double",
     "label": "optional",
     "doc": "Requests that were put back to the queue for want of KV cache."
    },
    {
     "name": "work_left_seconds",
     "json": "workLeftSeconds",
     "number": 20,
     "type": "double",
     "label": "optional",
     "doc": "How long what is accepted will take."
    },
    {
     "name": "load_seconds",
     "json": "loadSeconds",
     "number": 22,
     "type": "double",
     "label": "optional",
     "doc": "Of one that is not loaded and takes requests all the same, since its runtime loads what it is asked for: how long that takes, or still takes."
    },
    {
     "name": "figures_age_seconds",
     "json": "figuresAgeSeconds",
     "number": 21,
     "type": "double",
     "label": "optional",
     "doc": "How old its load was when the state was taken; absent: it was of that moment."
    }
   ]
  },
  "infermesh.state.v1.Endpoint": {
   "doc": "A place where a runtime takes requests.",
   "fields": [
    {
     "name": "name",
     "json": "name",
     "number": 1,
     "type": "string",
     "doc": "Unique on the node."
    },
    {
     "name": "address",
     "json": "address",
     "number": 2,
     "type": "string",
     "doc": "\"host:port\"."
    },
    {
     "name": "protocol",
     "json": "protocol",
     "number": 3,
     "type": "string",
     "doc": "\"http\" or \"grpc\"."
    },
    {
     "name": "tls",
     "json": "tls",
     "number": 4,
     "type": "bool"
    }
   ]
  },
  "infermesh.state.v1.RuntimeState": {
   "doc": "One runtime of a node that has several, or whose runtime is told of.",
   "fields": [
    {
     "name": "name",
     "json": "name",
     "number": 1,
     "type": "string",
     "doc": "Unique on the node."
    },
    {
     "name": "kind",
     "json": "kind",
     "number": 2,
     "type": "string",
     "doc": "\"vllm\", \"triton\", ..."
    },
    {
     "name": "version",
     "json": "version",
     "number": 3,
     "type": "string"
    },
    {
     "name": "ready",
     "json": "ready",
     "number": 4,
     "type": "bool"
    },
    {
     "name": "draining",
     "json": "draining",
     "number": 5,
     "type": "bool"
    },
    {
     "name": "state",
     "json": "state",
     "number": 6,
     "type": "string",
     "doc": "\"connecting\", \"starting\", \"ready\", \"slow\", \"unresponsive\", \"down\", \"foreign\" or \"denied\"."
    },
    {
     "name": "message",
     "json": "message",
     "number": 7,
     "type": "string",
     "doc": "What that means, in words."
    },
    {
     "name": "since_ms",
     "json": "sinceMs",
     "number": 8,
     "type": "uint64",
     "doc": "Since when."
    },
    {
     "name": "endpoints",
     "json": "endpoints",
     "number": 9,
     "type": "message",
     "of": "infermesh.state.v1.Endpoint",
     "label": "repeated"
    }
   ]
  },
  "infermesh.state.v1.GpuState": {
   "fields": [
    {
     "name": "labels",
     "json": "labels",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.Labels"
    },
    {
     "name": "index",
     "json": "index",
     "number": 2,
     "type": "uint32"
    },
    {
     "name": "name",
     "json": "name",
     "number": 3,
     "type": "string"
    },
    {
     "name": "memory_total_bytes",
     "json": "memoryTotalBytes",
     "number": 4,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "memory_used_bytes",
     "json": "memoryUsedBytes",
     "number": 5,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "utilization",
     "json": "utilization",
     "number": 6,
     "type": "double",
     "label": "optional",
     "doc": "Busy fraction of the last sampling period."
    },
    {
     "name": "power_watts",
     "json": "powerWatts",
     "number": 7,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "power_limit_watts",
     "json": "powerLimitWatts",
     "number": 8,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "temperature_celsius",
     "json": "temperatureCelsius",
     "number": 9,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "throttle_reasons",
     "json": "throttleReasons",
     "number": 10,
     "type": "string",
     "label": "repeated",
     "doc": "Why the clocks are below what was asked for, in the vendor's words, lower case: \"power_cap\", \"hw_thermal\"."
    },
    {
     "name": "health",
     "json": "health",
     "number": 11,
     "type": "enum",
     "of": "infermesh.state.v1.GpuHealth"
    },
    {
     "name": "health_reason",
     "json": "healthReason",
     "number": 12,
     "type": "string",
     "label": "optional",
     "doc": "Why it is not healthy, in words: \"XID 79: GPU has fallen off the bus\"."
    },
    {
     "name": "health_since_ms",
     "json": "healthSinceMs",
     "number": 13,
     "type": "uint64",
     "label": "optional",
     "doc": "Since when its health is what it is."
    },
    {
     "name": "models",
     "json": "models",
     "number": 14,
     "type": "string",
     "label": "repeated",
     "doc": "Models of the node that run on it; empty where none does, or where that is not known."
    },
    {
     "name": "runtimes",
     "json": "runtimes",
     "number": 15,
     "type": "string",
     "label": "repeated",
     "doc": "Names of the node's runtimes that are on it, or may be; empty where none is, or where that is not told."
    }
   ]
  },
  "infermesh.state.v1.Vitals": {
   "doc": "What a node says about itself as a process.",
   "fields": [
    {
     "name": "requests_in_progress",
     "json": "requestsInProgress",
     "number": 1,
     "type": "uint32"
    },
    {
     "name": "cpu_usage",
     "json": "cpuUsage",
     "number": 2,
     "type": "double",
     "label": "optional",
     "doc": "Fractions of the machine."
    },
    {
     "name": "memory_usage",
     "json": "memoryUsage",
     "number": 3,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "gpu_usage",
     "json": "gpuUsage",
     "number": 4,
     "type": "double",
     "label": "optional",
     "doc": "Mean over the node's GPUs."
    },
    {
     "name": "failed_responses",
     "json": "failedResponses",
     "number": 5,
     "type": "uint64"
    },
    {
     "name": "connected_peers",
     "json": "connectedPeers",
     "number": 6,
     "type": "uint32"
    },
    {
     "name": "backoff_requests",
     "json": "backoffRequests",
     "number": 7,
     "type": "uint64",
     "doc": "Requests answered \"try again later\" since the start."
    },
    {
     "name": "uptime_seconds",
     "json": "uptimeSeconds",
     "number": 8,
     "type": "double"
    }
   ]
  },
  "infermesh.state.v1.Addresses": {
   "fields": [
    {
     "name": "serve",
     "json": "serve",
     "number": 1,
     "type": "string",
     "doc": "\"host:port\" each; empty where the node does not serve it."
    },
    {
     "name": "api",
     "json": "api",
     "number": 2,
     "type": "string"
    },
    {
     "name": "metrics",
     "json": "metrics",
     "number": 3,
     "type": "string"
    },
    {
     "name": "gossip",
     "json": "gossip",
     "number": 4,
     "type": "string"
    }
   ]
  },
  "infermesh.state.v1.NodeState": {
   "fields": [
    {
     "name": "id",
     "json": "id",
     "number": 1,
     "type": "string"
    },
    {
     "name": "incarnation",
     "json": "incarnation",
     "number": 2,
     "type": "uint64",
     "doc": "Grows at every start of the node: of two states with one id, the higher incarnation is the living one."
    },
    {
     "name": "role",
     "json": "role",
     "number": 3,
     "type": "string",
     "doc": "\"gpu\", \"router\", ...: what the operator called it."
    },
    {
     "name": "version",
     "json": "version",
     "number": 4,
     "type": "string"
    },
    {
     "name": "zone",
     "json": "zone",
     "number": 5,
     "type": "string"
    },
    {
     "name": "ready",
     "json": "ready",
     "number": 6,
     "type": "bool"
    },
    {
     "name": "observed_at_ms",
     "json": "observedAtMs",
     "number": 7,
     "type": "uint64",
     "doc": "When the samples below were taken, by the node's own clock."
    },
    {
     "name": "addresses",
     "json": "addresses",
     "number": 8,
     "type": "message",
     "of": "infermesh.state.v1.Addresses"
    },
    {
     "name": "vitals",
     "json": "vitals",
     "number": 9,
     "type": "message",
     "of": "infermesh.state.v1.Vitals"
    },
    {
     "name": "models",
     "json": "models",
     "number": 10,
     "type": "message",
     "of": "infermesh.state.v1.ModelState",
     "label": "repeated"
    },
    {
     "name": "gpus",
     "json": "gpus",
     "number": 11,
     "type": "message",
     "of": "infermesh.state.v1.GpuState",
     "label": "repeated"
    },
    {
     "name": "labels",
     "json": "labels",
     "number": 12,
     "type": "message",
     "of": "infermesh.state.v1.Labels",
     "doc": "The node's own labels, as given by --label."
    },
    {
     "name": "draining",
     "json": "draining",
     "number": 13,
     "type": "bool",
     "label": "optional",
     "doc": "It finishes what it has and wants nothing new; absent in the states of earlier versions, whose models say so."
    },
    {
     "name": "runtimes",
     "json": "runtimes",
     "number": 14,
     "type": "message",
     "of": "infermesh.state.v1.RuntimeState",
     "label": "repeated"
    }
   ]
  },
  "infermesh.state.v1.ModelStateDelta": {
   "doc": "What is different of one model on one node; what is absent is as it was.",
   "fields": [
    {
     "name": "labels",
     "json": "labels",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.Labels",
     "doc": "Says which: `model` at least."
    },
    {
     "name": "status",
     "json": "status",
     "number": 2,
     "type": "enum",
     "of": "infermesh.state.v1.ModelStatus",
     "label": "optional"
    },
    {
     "name": "running_requests",
     "json": "runningRequests",
     "number": 3,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "waiting_requests",
     "json": "waitingRequests",
     "number": 4,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "queued_prefill_tokens",
     "json": "queuedPrefillTokens",
     "number": 5,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "kv_usage",
     "json": "kvUsage",
     "number": 6,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "kv_capacity_tokens",
     "json": "kvCapacityTokens",
     "number": 7,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "prefill_tokens_per_second",
     "json": "prefillTokensPerSecond",
     "number": 8,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "decode_tokens_per_second",
     "json": "decodeTokensPerSecond",
     "number": 9,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "slots",
     "json": "slots",
     "number": 10,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "time_to_first_token",
     "json": "timeToFirstToken",
     "number": 11,
     "type": "message",
     "of": "infermesh.state.v1.Quantile",
     "label": "repeated",
     "doc": "Replace those of before, where there are any."
    },
    {
     "name": "inter_token_latency",
     "json": "interTokenLatency",
     "number": 12,
     "type": "message",
     "of": "infermesh.state.v1.Quantile",
     "label": "repeated"
    },
    {
     "name": "removed",
     "json": "removed",
     "number": 13,
     "type": "bool",
     "doc": "The model is served no more."
    },
    {
     "name": "unknown",
     "json": "unknown",
     "number": 14,
     "type": "string",
     "label": "repeated",
     "doc": "Names of fields that are not known any more."
    },
    {
     "name": "runtime",
     "json": "runtime",
     "number": 15,
     "type": "string",
     "label": "optional"
    },
    {
     "name": "reason",
     "json": "reason",
     "number": 16,
     "type": "string",
     "label": "optional"
    },
    {
     "name": "parent",
     "json": "parent",
     "number": 17,
     "type": "string",
     "label": "optional"
    },
    {
     "name": "context_tokens_max",
     "json": "contextTokensMax",
     "number": 18,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "capabilities",
     "json": "capabilities",
     "number": 19,
     "type": "string",
     "label": "repeated",
     "doc": "Replace those of before, where there are any."
    },
    {
     "name": "cache_hit_rate",
     "json": "cacheHitRate",
     "number": 20,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "preemptions_per_second",
     "json": "preemptionsPerSecond",
     "number": 21,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "work_left_seconds",
     "json": "workLeftSeconds",
     "number": 22,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "load_seconds",
     "json": "loadSeconds",
     "number": 23,
     "type": "double",
     "label": "optional"
    }
   ]
  },
  "infermesh.state.v1.ReportModelStateRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "The node that is spoken of; the same in all reports of a stream."
    },
    {
     "name": "sequence",
     "json": "sequence",
     "number": 2,
     "type": "uint64"
    },
    {
     "name": "full",
     "json": "full",
     "number": 3,
     "type": "bool",
     "doc": "All that there is: what is not in it is served no more."
    },
    {
     "name": "models",
     "json": "models",
     "number": 4,
     "type": "message",
     "of": "infermesh.state.v1.ModelStateDelta",
     "label": "repeated"
    },
    {
     "name": "observed_at_ms",
     "json": "observedAtMs",
     "number": 5,
     "type": "uint64",
     "doc": "When it was measured, by the reporter's clock."
    },
    {
     "name": "ttl_ms",
     "json": "ttlMs",
     "number": 6,
     "type": "uint32",
     "doc": "After so long without a report the stream's word is forgotten; 0: 15 s. At least 1 s, at most 10 min."
    }
   ]
  },
  "infermesh.state.v1.GpuStateDelta": {
   "doc": "As ModelStateDelta, of one GPU.",
   "fields": [
    {
     "name": "labels",
     "json": "labels",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.Labels",
     "doc": "Says which: `gpu_uuid` at least."
    },
    {
     "name": "index",
     "json": "index",
     "number": 2,
     "type": "uint32",
     "label": "optional"
    },
    {
     "name": "name",
     "json": "name",
     "number": 3,
     "type": "string",
     "label": "optional"
    },
    {
     "name": "memory_total_bytes",
     "json": "memoryTotalBytes",
     "number": 4,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "memory_used_bytes",
     "json": "memoryUsedBytes",
     "number": 5,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "utilization",
     "json": "utilization",
     "number": 6,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "power_watts",
     "json": "powerWatts",
     "number": 7,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "power_limit_watts",
     "json": "powerLimitWatts",
     "number": 8,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "temperature_celsius",
     "json": "temperatureCelsius",
     "number": 9,
     "type": "double",
     "label": "optional"
    },
    {
     "name": "throttle_reasons",
     "json": "throttleReasons",
     "number": 10,
     "type": "string",
     "label": "repeated",
     "doc": "Replace those of before, where there are any."
    },
    {
     "name": "health",
     "json": "health",
     "number": 11,
     "type": "enum",
     "of": "infermesh.state.v1.GpuHealth",
     "label": "optional"
    },
    {
     "name": "removed",
     "json": "removed",
     "number": 12,
     "type": "bool"
    },
    {
     "name": "unknown",
     "json": "unknown",
     "number": 13,
     "type": "string",
     "label": "repeated"
    },
    {
     "name": "health_reason",
     "json": "healthReason",
     "number": 14,
     "type": "string",
     "label": "optional"
    },
    {
     "name": "health_since_ms",
     "json": "healthSinceMs",
     "number": 15,
     "type": "uint64",
     "label": "optional"
    },
    {
     "name": "models",
     "json": "models",
     "number": 16,
     "type": "string",
     "label": "repeated",
     "doc": "Replace those of before, where there are any."
    }
   ]
  },
  "infermesh.state.v1.ReportGpuStateRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string"
    },
    {
     "name": "sequence",
     "json": "sequence",
     "number": 2,
     "type": "uint64"
    },
    {
     "name": "full",
     "json": "full",
     "number": 3,
     "type": "bool"
    },
    {
     "name": "gpus",
     "json": "gpus",
     "number": 4,
     "type": "message",
     "of": "infermesh.state.v1.GpuStateDelta",
     "label": "repeated"
    },
    {
     "name": "observed_at_ms",
     "json": "observedAtMs",
     "number": 5,
     "type": "uint64"
    },
    {
     "name": "ttl_ms",
     "json": "ttlMs",
     "number": 6,
     "type": "uint32"
    }
   ]
  },
  "infermesh.state.v1.ReportAck": {
   "fields": [
    {
     "name": "sequence",
     "json": "sequence",
     "number": 1,
     "type": "uint64",
     "doc": "The report that is answered."
    },
    {
     "name": "applied",
     "json": "applied",
     "number": 2,
     "type": "bool",
     "doc": "It was taken."
    },
    {
     "name": "full_wanted",
     "json": "fullWanted",
     "number": 3,
     "type": "bool",
     "doc": "A full report is wanted next."
    },
    {
     "name": "faults",
     "json": "faults",
     "number": 4,
     "type": "string",
     "label": "repeated",
     "doc": "What of it was left out, and why."
    }
   ]
  },
  "infermesh.state.v1.GetModelStatesRequest": {
   "fields": [
    {
     "name": "model",
     "json": "model",
     "number": 1,
     "type": "string",
     "doc": "Empty: every model."
    },
    {
     "name": "node",
     "json": "node",
     "number": 2,
     "type": "string"
    }
   ]
  },
  "infermesh.state.v1.GetModelStatesResponse": {
   "fields": [
    {
     "name": "states",
     "json": "states",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.ModelState",
     "label": "repeated"
    }
   ]
  },
  "infermesh.state.v1.GetGpuStatesRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: every node."
    }
   ]
  },
  "infermesh.state.v1.GetGpuStatesResponse": {
   "fields": [
    {
     "name": "states",
     "json": "states",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.GpuState",
     "label": "repeated"
    }
   ]
  },
  "infermesh.state.v1.ListNodeStatesRequest": {
   "fields": [
    {
     "name": "node",
     "json": "node",
     "number": 1,
     "type": "string",
     "doc": "Empty: every node."
    }
   ]
  },
  "infermesh.state.v1.ListNodeStatesResponse": {
   "fields": [
    {
     "name": "nodes",
     "json": "nodes",
     "number": 1,
     "type": "message",
     "of": "infermesh.state.v1.NodeState",
     "label": "repeated"
    }
   ]
  },
  "grpc.health.v1.HealthCheckRequest": {
   "fields": [
    {
     "name": "service",
     "json": "service",
     "number": 1,
     "type": "string",
     "doc": "\"\" for the router, else a model's name."
    }
   ]
  },
  "grpc.health.v1.HealthCheckResponse": {
   "fields": [
    {
     "name": "status",
     "json": "status",
     "number": 1,
     "type": "enum",
     "of": "grpc.health.v1.HealthCheckResponse.ServingStatus"
    }
   ]
  }
 },
 "enums": {
  "infermesh.state.v1.ModelStatus": {
   "values": {
    "MODEL_STATUS_UNSPECIFIED": 0,
    "MODEL_STATUS_LOADING": 1,
    "MODEL_STATUS_READY": 2,
    "MODEL_STATUS_DRAINING": 3,
    "MODEL_STATUS_FAILED": 4,
    "MODEL_STATUS_AVAILABLE": 5,
    "MODEL_STATUS_WARMING": 6,
    "MODEL_STATUS_UNLOADING": 7
   }
  },
  "infermesh.state.v1.GpuHealth": {
   "values": {
    "GPU_HEALTH_UNSPECIFIED": 0,
    "GPU_HEALTH_HEALTHY": 1,
    "GPU_HEALTH_DEGRADED": 2,
    "GPU_HEALTH_QUARANTINED": 3
   }
  },
  "grpc.health.v1.HealthCheckResponse.ServingStatus": {
   "values": {
    "UNKNOWN": 0,
    "SERVING": 1,
    "NOT_SERVING": 2,
    "SERVICE_UNKNOWN": 3
   }
  }
 },
 "services": [
  {
   "name": "infermesh.control.v1.ControlPlane",
   "methods": [
    {
     "name": "ListNodes",
     "doc": "The nodes of the mesh as the process that is asked sees it.",
     "input": "infermesh.control.v1.ListNodesRequest",
     "output": "infermesh.control.v1.ListNodesResponse",
     "reads": true
    },
    {
     "name": "GetNode",
     "doc": "One node, with all that is known of it.",
     "input": "infermesh.control.v1.GetNodeRequest",
     "output": "infermesh.control.v1.GetNodeResponse",
     "reads": true
    },
    {
     "name": "DrainNode",
     "doc": "Sends no new requests to a node; those that it has are finished.",
     "input": "infermesh.control.v1.ChangeNodeRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "UndrainNode",
     "input": "infermesh.control.v1.ChangeNodeRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "CordonNode",
     "doc": "Sends no new requests to a node but those that name it.",
     "input": "infermesh.control.v1.ChangeNodeRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "UncordonNode",
     "input": "infermesh.control.v1.ChangeNodeRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "ListModels",
     "doc": "The models that nodes serve, or that a pin names.",
     "input": "infermesh.control.v1.ListModelsRequest",
     "output": "infermesh.control.v1.ListModelsResponse",
     "reads": true
    },
    {
     "name": "GetModel",
     "input": "infermesh.control.v1.GetModelRequest",
     "output": "infermesh.control.v1.GetModelResponse",
     "reads": true
    },
    {
     "name": "PinModel",
     "doc": "Decides where a model is served.",
     "input": "infermesh.control.v1.PinModelRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "UnpinModel",
     "input": "infermesh.control.v1.UnpinModelRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "ListPins",
     "input": "infermesh.control.v1.ListPinsRequest",
     "output": "infermesh.control.v1.ListPoliciesResponse",
     "reads": true
    },
    {
     "name": "LoadModel",
     "doc": "Has a node's runtime load a model; answers when that is done.",
     "input": "infermesh.control.v1.LoadModelRequest",
     "output": "infermesh.control.v1.LoadModelResponse"
    },
    {
     "name": "UnloadModel",
     "doc": "Has a node's runtime unload a model once its requests are finished.",
     "input": "infermesh.control.v1.UnloadModelRequest",
     "output": "infermesh.control.v1.LoadModelResponse"
    },
    {
     "name": "GetGpu",
     "doc": "All that is known of one GPU, told by the agent of its node whoever is asked.",
     "input": "infermesh.control.v1.GetGpuRequest",
     "output": "infermesh.control.v1.GetGpuResponse",
     "reads": true
    },
    {
     "name": "ClearGpu",
     "doc": "Ends by hand what is wrong with GPUs of a node and does not end by itself. What the readings still say stays.",
     "input": "infermesh.control.v1.ClearGpuRequest",
     "output": "infermesh.control.v1.ClearGpuResponse"
    },
    {
     "name": "SetPolicy",
     "doc": "Makes or replaces one policy.",
     "input": "infermesh.control.v1.SetPolicyRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "GetPolicy",
     "input": "infermesh.control.v1.GetPolicyRequest",
     "output": "infermesh.control.v1.GetPolicyResponse",
     "reads": true
    },
    {
     "name": "DeletePolicy",
     "input": "infermesh.control.v1.DeletePolicyRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "ListPolicies",
     "input": "infermesh.control.v1.ListPoliciesRequest",
     "output": "infermesh.control.v1.ListPoliciesResponse",
     "reads": true
    },
    {
     "name": "ApplyPolicies",
     "doc": "Many changes at once: all of them or none.",
     "input": "infermesh.control.v1.ApplyPoliciesRequest",
     "output": "infermesh.control.v1.WriteResponse"
    },
    {
     "name": "SubscribeEvents",
     "doc": "What happens, as it happens.",
     "input": "infermesh.control.v1.SubscribeEventsRequest",
     "output": "infermesh.control.v1.SubscribeEventsResponse",
     "serverStreams": true,
     "reads": true
    },
    {
     "name": "ExplainRoute",
     "doc": "Every candidate for a request with each term of its score, and why the winner won. Routers only.",
     "input": "infermesh.control.v1.ExplainRouteRequest",
     "output": "infermesh.control.v1.ExplainRouteResponse",
     "reads": true
    },
    {
     "name": "ForgetRates",
     "doc": "Forgets what the router that is asked has learnt of its targets' rates from its own requests. Routers only.",
     "input": "infermesh.control.v1.ForgetRatesRequest",
     "output": "infermesh.control.v1.ForgetRatesResponse"
    },
    {
     "name": "GetRecommendations",
     "doc": "How many replicas models should have, by scaling policies and by pins that are not fulfilled, as the router that is asked sees it: for whoever starts and stops nodes. Routers only.",
     "input": "infermesh.control.v1.GetRecommendationsRequest",
     "output": "infermesh.control.v1.GetRecommendationsResponse",
     "reads": true
    },
    {
     "name": "GetStoreStatus",
     "doc": "The store that holds the policies.",
     "input": "infermesh.control.v1.GetStoreStatusRequest",
     "output": "infermesh.control.v1.GetStoreStatusResponse",
     "reads": true
    },
    {
     "name": "AddControlMember",
     "input": "infermesh.control.v1.AddControlMemberRequest",
     "output": "infermesh.control.v1.ControlMembersResponse"
    },
    {
     "name": "RemoveControlMember",
     "input": "infermesh.control.v1.RemoveControlMemberRequest",
     "output": "infermesh.control.v1.ControlMembersResponse"
    },
    {
     "name": "TransferLeadership",
     "input": "infermesh.control.v1.TransferLeadershipRequest",
     "output": "infermesh.control.v1.ControlMembersResponse"
    },
    {
     "name": "SaveSnapshot",
     "doc": "All policies, as bytes that RestoreSnapshot takes.",
     "input": "infermesh.control.v1.SaveSnapshotRequest",
     "output": "infermesh.control.v1.SaveSnapshotResponse"
    },
    {
     "name": "RestoreSnapshot",
     "doc": "Replaces all policies by those of a snapshot.",
     "input": "infermesh.control.v1.RestoreSnapshotRequest",
     "output": "infermesh.control.v1.RestoreSnapshotResponse"
    }
   ]
  },
  {
   "name": "infermesh.scoring.v1.Scoring",
   "methods": [
    {
     "name": "ScoreTargets",
     "input": "infermesh.scoring.v1.ScoreTargetsRequest",
     "output": "infermesh.scoring.v1.ScoreTargetsResponse",
     "reads": true
    },
    {
     "name": "Admit",
     "input": "infermesh.scoring.v1.AdmitRequest",
     "output": "infermesh.scoring.v1.AdmitResponse"
    },
    {
     "name": "ReportOutcome",
     "input": "infermesh.scoring.v1.ReportOutcomeRequest",
     "output": "infermesh.scoring.v1.ReportOutcomeResponse"
    },
    {
     "name": "HealthCheck",
     "input": "infermesh.scoring.v1.HealthCheckRequest",
     "output": "infermesh.scoring.v1.HealthCheckResponse",
     "reads": true
    }
   ]
  },
  {
   "name": "infermesh.state.v1.StatePlane",
   "methods": [
    {
     "name": "ReportModelState",
     "input": "infermesh.state.v1.ReportModelStateRequest",
     "output": "infermesh.state.v1.ReportAck",
     "clientStreams": true,
     "serverStreams": true
    },
    {
     "name": "ReportGpuState",
     "input": "infermesh.state.v1.ReportGpuStateRequest",
     "output": "infermesh.state.v1.ReportAck",
     "clientStreams": true,
     "serverStreams": true
    },
    {
     "name": "GetModelStates",
     "input": "infermesh.state.v1.GetModelStatesRequest",
     "output": "infermesh.state.v1.GetModelStatesResponse",
     "reads": true
    },
    {
     "name": "GetGpuStates",
     "input": "infermesh.state.v1.GetGpuStatesRequest",
     "output": "infermesh.state.v1.GetGpuStatesResponse",
     "reads": true
    },
    {
     "name": "ListNodeStates",
     "input": "infermesh.state.v1.ListNodeStatesRequest",
     "output": "infermesh.state.v1.ListNodeStatesResponse",
     "reads": true
    }
   ]
  },
  {
   "name": "grpc.health.v1.Health",
   "methods": [
    {
     "name": "Check",
     "input": "grpc.health.v1.HealthCheckRequest",
     "output": "grpc.health.v1.HealthCheckResponse"
    },
    {
     "name": "Watch",
     "input": "grpc.health.v1.HealthCheckRequest",
     "output": "grpc.health.v1.HealthCheckResponse",
     "serverStreams": true
    }
   ]
  }
 ],
 "files": [
  {
   "file": "infermesh/control/v1/control_plane.proto",
   "dependencies": [
    "infermesh/policy/v1/policy.proto",
    "infermesh/state/v1/state.proto"
   ],
   "services": [
    "infermesh.control.v1.ControlPlane"
   ],
   "symbols": [
    "infermesh.control.v1.ErrorDetail",
    "infermesh.control.v1.Target",
    "infermesh.control.v1.Node",
    "infermesh.control.v1.ListNodesRequest",
    "infermesh.control.v1.ListNodesResponse",
    "infermesh.control.v1.GetNodeRequest",
    "infermesh.control.v1.GetNodeResponse",
    "infermesh.control.v1.ChangeNodeRequest",
    "infermesh.control.v1.WriteResponse",
    "infermesh.control.v1.ModelNode",
    "infermesh.control.v1.Model",
    "infermesh.control.v1.ListModelsRequest",
    "infermesh.control.v1.ListModelsResponse",
    "infermesh.control.v1.GetModelRequest",
    "infermesh.control.v1.GetModelResponse",
    "infermesh.control.v1.PinModelRequest",
    "infermesh.control.v1.UnpinModelRequest",
    "infermesh.control.v1.ListPinsRequest",
    "infermesh.control.v1.LoadModelRequest",
    "infermesh.control.v1.UnloadModelRequest",
    "infermesh.control.v1.LoadModelResponse",
    "infermesh.control.v1.GetGpuRequest",
    "infermesh.control.v1.GetGpuResponse",
    "infermesh.control.v1.ClearGpuRequest",
    "infermesh.control.v1.ClearedGpu",
    "infermesh.control.v1.ClearGpuResponse",
    "infermesh.control.v1.SetPolicyRequest",
    "infermesh.control.v1.GetPolicyRequest",
    "infermesh.control.v1.GetPolicyResponse",
    "infermesh.control.v1.DeletePolicyRequest",
    "infermesh.control.v1.ListPoliciesRequest",
    "infermesh.control.v1.ListPoliciesResponse",
    "infermesh.control.v1.PolicyWrite",
    "infermesh.control.v1.ApplyPoliciesRequest",
    "infermesh.control.v1.Event",
    "infermesh.control.v1.SubscribeEventsRequest",
    "infermesh.control.v1.SubscribeEventsResponse",
    "infermesh.control.v1.SubscribeEventsResponse.Missed",
    "infermesh.control.v1.SubscribeEventsResponse.Position",
    "infermesh.control.v1.ExplainRouteRequest",
    "infermesh.control.v1.Term",
    "infermesh.control.v1.Candidate",
    "infermesh.control.v1.LearntRates",
    "infermesh.control.v1.ExplainRouteResponse",
    "infermesh.control.v1.ForgetRatesRequest",
    "infermesh.control.v1.ForgetRatesResponse",
    "infermesh.control.v1.GetRecommendationsRequest",
    "infermesh.control.v1.Recommendation",
    "infermesh.control.v1.GetRecommendationsResponse",
    "infermesh.control.v1.ControlMember",
    "infermesh.control.v1.GetStoreStatusRequest",
    "infermesh.control.v1.GetStoreStatusResponse",
    "infermesh.control.v1.AddControlMemberRequest",
    "infermesh.control.v1.RemoveControlMemberRequest",
    "infermesh.control.v1.TransferLeadershipRequest",
    "infermesh.control.v1.ControlMembersResponse",
    "infermesh.control.v1.SaveSnapshotRequest",
    "infermesh.control.v1.SaveSnapshotResponse",
    "infermesh.control.v1.RestoreSnapshotRequest",
    "infermesh.control.v1.RestoreSnapshotResponse",
    "infermesh.control.v1.ControlPlane",
    "infermesh.control.v1.ControlPlane.ListNodes",
    "infermesh.control.v1.ControlPlane.GetNode",
    "infermesh.control.v1.ControlPlane.DrainNode",
    "infermesh.control.v1.ControlPlane.UndrainNode",
    "infermesh.control.v1.ControlPlane.CordonNode",
    "infermesh.control.v1.ControlPlane.UncordonNode",
    "infermesh.control.v1.ControlPlane.ListModels",
    "infermesh.control.v1.ControlPlane.GetModel",
    "infermesh.control.v1.ControlPlane.PinModel",
    "infermesh.control.v1.ControlPlane.UnpinModel",
    "infermesh.control.v1.ControlPlane.ListPins",
    "infermesh.control.v1.ControlPlane.LoadModel",
    "infermesh.control.v1.ControlPlane.UnloadModel",
    "infermesh.control.v1.ControlPlane.GetGpu",
    "infermesh.control.v1.ControlPlane.ClearGpu",
    "infermesh.control.v1.ControlPlane.SetPolicy",
    "infermesh.control.v1.ControlPlane.GetPolicy",
    "infermesh.control.v1.ControlPlane.DeletePolicy",
    "infermesh.control.v1.ControlPlane.ListPolicies",
    "infermesh.control.v1.ControlPlane.ApplyPolicies",
    "infermesh.control.v1.ControlPlane.SubscribeEvents",
    "infermesh.control.v1.ControlPlane.ExplainRoute",
    "infermesh.control.v1.ControlPlane.ForgetRates",
    "infermesh.control.v1.ControlPlane.GetRecommendations",
    "infermesh.control.v1.ControlPlane.GetStoreStatus",
    "infermesh.control.v1.ControlPlane.AddControlMember",
    "infermesh.control.v1.ControlPlane.RemoveControlMember",
    "infermesh.control.v1.ControlPlane.TransferLeadership",
    "infermesh.control.v1.ControlPlane.SaveSnapshot",
    "infermesh.control.v1.ControlPlane.RestoreSnapshot"
   ],
   "bytes": "CihpbmZlcm1lc2gvY29udHJvbC92MS9jb250cm9sX3BsYW5lLnByb3RvEhRpbmZlcm1lc2guY29udHJvbC52MRogaW5mZXJtZXNoL3BvbGljeS92MS9wb2xpY3kucHJvdG8aHmluZmVybWVzaC9zdGF0ZS92MS9zdGF0ZS5wcm90byKWAgoLRXJyb3JEZXRhaWwSEgoEY29kZRgBIAEoCVIEY29kZRIWCgZzb3VyY2UYAiABKAlSBnNvdXJjZRIcCglyZXRyeWFibGUYAyABKAhSCXJldHJ5YWJsZRIUCgVwYXJhbRgEIAEoCVIFcGFyYW0SMwoTcmV0cnlfYWZ0ZXJfc2Vjb25kcxgFIAEoDUgAUhFyZXRyeUFmdGVyU2Vjb25kc4gBARIZCgV3cml0ZRgGIAEoDUgBUgV3cml0ZYgBARI1CgdjdXJyZW50GAcgASgLMhsuaW5mZXJtZXNoLnBvbGljeS52MS5Qb2xpY3lSB2N1cnJlbnRCFgoUX3JldHJ5X2FmdGVyX3NlY29uZHNCCAoGX3dyaXRlIpMECgZUYXJnZXQSFAoFc3RhdGUYASABKAlSBXN0YXRlEhoKCHJvdXRhYmxlGAIgASgIUghyb3V0YWJsZRIWCgZzb3VyY2UYAyABKAlSBnNvdXJjZRIYCgdhZGRyZXNzGAQgASgJUgdhZGRyZXNzEhYKBndlaWdodBgFIAEoAVIGd2VpZ2h0EhsKCWluX2ZsaWdodBgGIAEoDVIIaW5GbGlnaHQSKAoQaW5fZmxpZ2h0X3Rva2VucxgHIAEoBFIOaW5GbGlnaHRUb2tlbnMSKAoQb3RoZXJzX2luX2ZsaWdodBgIIAEoDVIOb3RoZXJzSW5GbGlnaHQSGgoGcnR0X21zGAkgASgBSABSBXJ0dE1ziAEBEikKDnNhbXBsZWRfYWdvX21zGAogASgBSAFSDHNhbXBsZWRBZ29Nc4gBARImCg9mYWlsdXJlc19pbl9yb3cYCyABKA1SDWZhaWx1cmVzSW5Sb3cSHQoKbGFzdF9lcnJvchgMIAEoCVIJbGFzdEVycm9yEg4KAmlkGA0gASgJUgJpZBIaCghlbmRwb2ludBgOIAEoCVIIZW5kcG9pbnQSGgoIcHJvdG9jb2wYDyABKAlSCHByb3RvY29sEhAKA3RscxgQIAEoCFIDdGxzEhYKBm1vZGVscxgRIAMoCVIGbW9kZWxzQgkKB19ydHRfbXNCEQoPX3NhbXBsZWRfYWdvX21zIvwGCgROb2RlEg4KAmlkGAEgASgJUgJpZBISCgRyb2xlGAIgASgJUgRyb2xlEhYKBnN0YXR1cxgDIAEoCVIGc3RhdHVzEhIKBHNlbGYYBCABKAhSBHNlbGYSEgoEem9uZRgFIAEoCVIEem9uZRI+CgZsYWJlbHMYBiADKAsyJi5pbmZlcm1lc2guY29udHJvbC52MS5Ob2RlLkxhYmVsc0VudHJ5UgZsYWJlbHMSGAoHdmVyc2lvbhgHIAEoCVIHdmVyc2lvbhIgCgtpbmNhcm5hdGlvbhgIIAEoBFILaW5jYXJuYXRpb24SFgoGbW9kZWxzGAkgAygJUgZtb2RlbHMSJQoOZ29zc2lwX2FkZHJlc3MYCiABKAlSDWdvc3NpcEFkZHJlc3MSHwoLYXBpX2FkZHJlc3MYCyABKAlSCmFwaUFkZHJlc3MSJwoPc2VydmluZ19hZGRyZXNzGAwgASgJUg5zZXJ2aW5nQWRkcmVzcxIdCgdoZWFsdGh5GA0gASgISABSB2hlYWx0aHmIAQESHQoHbGVhdmluZxgOIAEoCEgBUgdsZWF2aW5niAEBEhoKCGNvcmRvbmVkGA8gASgIUghjb3Jkb25lZBIaCghkcmFpbmluZxgQIAEoCFIIZHJhaW5pbmcSFgoGcmVhc29uGBEgASgJUgZyZWFzb24SGgoGcnR0X21zGBIgASgBSAJSBXJ0dE1ziAEBEh4KCHNpbmNlX21zGBMgASgBSANSB3NpbmNlTXOIAQESIwoLc2Vlbl9hZ29fbXMYFCABKAFIBFIJc2VlbkFnb01ziAEBEjQKBnRhcmdldBgVIAEoCzIcLmluZmVybWVzaC5jb250cm9sLnYxLlRhcmdldFIGdGFyZ2V0EjMKBXN0YXRlGBYgASgLMh0uaW5mZXJtZXNoLnN0YXRlLnYxLk5vZGVTdGF0ZVIFc3RhdGUSNgoHdGFyZ2V0cxgXIAMoCzIcLmluZmVybWVzaC5jb250cm9sLnYxLlRhcmdldFIHdGFyZ2V0cxo5CgtMYWJlbHNFbnRyeRIQCgNrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBQgoKCF9oZWFsdGh5QgoKCF9sZWF2aW5nQgkKB19ydHRfbXNCCwoJX3NpbmNlX21zQg4KDF9zZWVuX2Fnb19tcyL+AQoQTGlzdE5vZGVzUmVxdWVzdBISCgRyb2xlGAEgASgJUgRyb2xlEhQKBW1vZGVsGAIgASgJUgVtb2RlbBISCgR6b25lGAMgASgJUgR6b25lElAKCHNlbGVjdG9yGAQgAygLMjQuaW5mZXJtZXNoLmNvbnRyb2wudjEuTGlzdE5vZGVzUmVxdWVzdC5TZWxlY3RvckVudHJ5UghzZWxlY3RvchIdCgp3aXRoX3N0YXRlGAUgASgIUgl3aXRoU3RhdGUaOwoNU2VsZWN0b3JFbnRyeRIQCgNrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBIkUKEUxpc3ROb2Rlc1Jlc3BvbnNlEjAKBW5vZGVzGAEgAygLMhouaW5mZXJtZXNoLmNvbnRyb2wudjEuTm9kZVIFbm9kZXMiIAoOR2V0Tm9kZVJlcXVlc3QSDgoCaWQYASABKAlSAmlkIkEKD0dldE5vZGVSZXNwb25zZRIuCgRub2RlGAEgASgLMhouaW5mZXJtZXNoLmNvbnRyb2wudjEuTm9kZVIEbm9kZSLYAQoRQ2hhbmdlTm9kZVJlcXVlc3QSDgoCaWQYASABKAlSAmlkEhYKBnJlYXNvbhgCIAEoCVIGcmVhc29uEiQKC2lmX3JldmlzaW9uGAMgASgESABSCmlmUmV2aXNpb26IAQESJwoPaWRlbXBvdGVuY3lfa2V5GAQgASgJUg5pZGVtcG90ZW5jeUtleRIXCgdkcnlfcnVuGAUgASgIUgZkcnlSdW4SIwoNYWxsb3dfdW5rbm93bhgGIAEoCFIMYWxsb3dVbmtub3duQg4KDF9pZl9yZXZpc2lvbiKWAgoNV3JpdGVSZXNwb25zZRI3Cghwb2xpY2llcxgBIAMoCzIbLmluZmVybWVzaC5wb2xpY3kudjEuUG9saWN5Ughwb2xpY2llcxI4CgdkZWxldGVkGAIgAygLMh4uaW5mZXJtZXNoLnBvbGljeS52MS5Qb2xpY3lLZXlSB2RlbGV0ZWQSGgoIcmV2aXNpb24YAyABKARSCHJldmlzaW9uEhgKB2NoYW5nZWQYBCABKAhSB2NoYW5nZWQSJwoPYWxyZWFkeV9hcHBsaWVkGAUgASgIUg5hbHJlYWR5QXBwbGllZBIaCgh3YXJuaW5ncxgGIAMoCVIId2FybmluZ3MSFwoHZHJ5X3J1bhgHIAEoCFIGZHJ5UnVuIo4BCglNb2RlbE5vZGUSDgoCaWQYASABKAlSAmlkEhQKBXN0YXRlGAIgASgJUgVzdGF0ZRIaCghyb3V0YWJsZRgDIAEoCFIIcm91dGFibGUSPwoLbW9kZWxfc3RhdGUYBCABKAsyHi5pbmZlcm1lc2guc3RhdGUudjEuTW9kZWxTdGF0ZVIKbW9kZWxTdGF0ZSLPAQoFTW9kZWwSDgoCaWQYASABKAlSAmlkEjUKBW5vZGVzGAIgAygLMh8uaW5mZXJtZXNoLmNvbnRyb2wudjEuTW9kZWxOb2RlUgVub2RlcxIlCg5yb3V0YWJsZV9ub2RlcxgDIAEoDVINcm91dGFibGVOb2RlcxIpChBtaXNzaW5nX3JlcGxpY2FzGAQgASgNUg9taXNzaW5nUmVwbGljYXMSLQoDcGluGAUgASgLMhsuaW5mZXJtZXNoLnBvbGljeS52MS5Qb2xpY3lSA3BpbiInChFMaXN0TW9kZWxzUmVxdWVzdBISCgRub2RlGAEgASgJUgRub2RlIkkKEkxpc3RNb2RlbHNSZXNwb25zZRIzCgZtb2RlbHMYASADKAsyGy5pbmZlcm1lc2guY29udHJvbC52MS5Nb2RlbFIGbW9kZWxzIiEKD0dldE1vZGVsUmVxdWVzdBIOCgJpZBgBIAEoCVICaWQifgoQR2V0TW9kZWxSZXNwb25zZRIxCgVtb2RlbBgBIAEoCzIbLmluZmVybWVzaC5jb250cm9sLnYxLk1vZGVsUgVtb2RlbBI3Cghwb2xpY2llcxgCIAMoCzIbLmluZmVybWVzaC5wb2xpY3kudjEuUG9saWN5Ughwb2xpY2llcyLRAwoPUGluTW9kZWxSZXF1ZXN0EhQKBW1vZGVsGAEgASgJUgVtb2RlbBIaCghyZXZpc2lvbhgCIAEoCVIIcmV2aXNpb24SFAoFbm9kZXMYAyADKAlSBW5vZGVzEk8KCHNlbGVjdG9yGAQgAygLMjMuaW5mZXJtZXNoLmNvbnRyb2wudjEuUGluTW9kZWxSZXF1ZXN0LlNlbGVjdG9yRW50cnlSCHNlbGVjdG9yEiYKDG1pbl9yZXBsaWNhcxgFIAEoDUgAUgttaW5SZXBsaWNhc4gBARImCgxtYXhfcmVwbGljYXMYBiABKA1IAVILbWF4UmVwbGljYXOIAQESJAoLaWZfcmV2aXNpb24YByABKARIAlIKaWZSZXZpc2lvbogBARInCg9pZGVtcG90ZW5jeV9rZXkYCCABKAlSDmlkZW1wb3RlbmN5S2V5EhcKB2RyeV9ydW4YCSABKAhSBmRyeVJ1bho7Cg1TZWxlY3RvckVudHJ5EhAKA2tleRgBIAEoCVIDa2V5EhQKBXZhbHVlGAIgASgJUgV2YWx1ZToCOAFCDwoNX21pbl9yZXBsaWNhc0IPCg1fbWF4X3JlcGxpY2FzQg4KDF9pZl9yZXZpc2lvbiKhAQoRVW5waW5Nb2RlbFJlcXVlc3QSFAoFbW9kZWwYASABKAlSBW1vZGVsEiQKC2lmX3JldmlzaW9uGAIgASgESABSCmlmUmV2aXNpb26IAQESJwoPaWRlbXBvdGVuY3lfa2V5GAMgASgJUg5pZGVtcG90ZW5jeUtleRIXCgdkcnlfcnVuGAQgASgIUgZkcnlSdW5CDgoMX2lmX3JldmlzaW9uIj0KD0xpc3RQaW5zUmVxdWVzdBIUCgVtb2RlbBgBIAEoCVIFbW9kZWwSFAoFbG9jYWwYAiABKAhSBWxvY2FsIqIBChBMb2FkTW9kZWxSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUSFAoFbW9kZWwYAiABKAlSBW1vZGVsEhoKCHJldmlzaW9uGAMgASgJUghyZXZpc2lvbhIWCgZzb3VyY2UYBCABKAlSBnNvdXJjZRIWCgZwYXJlbnQYBSABKAlSBnBhcmVudBIYCgdydW50aW1lGAYgASgJUgdydW50aW1lIoUBChJVbmxvYWRNb2RlbFJlcXVlc3QSEgoEbm9kZRgBIAEoCVIEbm9kZRIUCgVtb2RlbBgCIAEoCVIFbW9kZWwSHgoIZHJhaW5fbXMYAyABKAFIAFIHZHJhaW5Nc4gBARIYCgdydW50aW1lGAQgASgJUgdydW50aW1lQgsKCV9kcmFpbl9tcyJvChFMb2FkTW9kZWxSZXNwb25zZRISCgRub2RlGAEgASgJUgRub2RlEhQKBW1vZGVsGAIgASgJUgVtb2RlbBIYCgdjaGFuZ2VkGAMgASgIUgdjaGFuZ2VkEhYKBm1vZGVscxgEIAMoCVIGbW9kZWxzIjUKDUdldEdwdVJlcXVlc3QSEgoEbm9kZRgBIAEoCVIEbm9kZRIQCgNncHUYAiABKAlSA2dwdSJQCg5HZXRHcHVSZXNwb25zZRISCgRub2RlGAEgASgJUgRub2RlEhAKA2dwdRgCIAEoCVIDZ3B1EhgKB3BhcnRpYWwYAyABKAlSB3BhcnRpYWwiUAoPQ2xlYXJHcHVSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUSEAoDZ3B1GAIgASgJUgNncHUSFwoHZHJ5X3J1bhgDIAEoCFIGZHJ5UnVuIrQBCgpDbGVhcmVkR3B1EhIKBHV1aWQYASABKAlSBHV1aWQSFAoFaW5kZXgYAiABKA1SBWluZGV4EhIKBG5hbWUYAyABKAlSBG5hbWUSFAoFZW5kZWQYBCADKAlSBWVuZGVkEhwKCWZvcmdvdHRlbhgFIAEoCFIJZm9yZ290dGVuEhYKBmhlYWx0aBgGIAEoCVIGaGVhbHRoEhwKCXJlbWFpbmluZxgHIAMoCVIJcmVtYWluaW5nIo8BChBDbGVhckdwdVJlc3BvbnNlEhIKBG5vZGUYASABKAlSBG5vZGUSNAoEZ3B1cxgCIAMoCzIgLmluZmVybWVzaC5jb250cm9sLnYxLkNsZWFyZWRHcHVSBGdwdXMSGAoHY2hhbmdlZBgDIAEoCFIHY2hhbmdlZBIXCgdkcnlfcnVuGAQgASgIUgZkcnlSdW4i4AQKEFNldFBvbGljeVJlcXVlc3QSEgoEa2luZBgBIAEoCVIEa2luZBISCgRuYW1lGAIgASgJUgRuYW1lEiQKC2lmX3JldmlzaW9uGAMgASgESAFSCmlmUmV2aXNpb26IAQESJwoPaWRlbXBvdGVuY3lfa2V5GAQgASgJUg5pZGVtcG90ZW5jeUtleRIXCgdkcnlfcnVuGAUgASgIUgZkcnlSdW4SLAoDcGluGAogASgLMhguaW5mZXJtZXNoLnBvbGljeS52MS5QaW5IAFIDcGluEjIKBXF1b3RhGAsgASgLMhouaW5mZXJtZXNoLnBvbGljeS52MS5RdW90YUgAUgVxdW90YRIsCgNhY2wYDCABKAsyGC5pbmZlcm1lc2gucG9saWN5LnYxLkFjbEgAUgNhY2wSOAoHYmFsYW5jZRgNIAEoCzIcLmluZmVybWVzaC5wb2xpY3kudjEuQmFsYW5jZUgAUgdiYWxhbmNlEjgKB3NjYWxpbmcYDiABKAsyHC5pbmZlcm1lc2gucG9saWN5LnYxLlNjYWxpbmdIAFIHc2NhbGluZxIsCgNzbG8YDyABKAsyGC5pbmZlcm1lc2gucG9saWN5LnYxLlNsb0gAUgNzbG8SOwoIcHJpb3JpdHkYECABKAsyHS5pbmZlcm1lc2gucG9saWN5LnYxLlByaW9yaXR5SABSCHByaW9yaXR5EjUKBG5vZGUYESABKAsyHy5pbmZlcm1lc2gucG9saWN5LnYxLk5vZGVQb2xpY3lIAFIEbm9kZUIGCgRzcGVjQg4KDF9pZl9yZXZpc2lvbiJQChBHZXRQb2xpY3lSZXF1ZXN0EhIKBGtpbmQYASABKAlSBGtpbmQSEgoEbmFtZRgCIAEoCVIEbmFtZRIUCgVsb2NhbBgDIAEoCFIFbG9jYWwiZAoRR2V0UG9saWN5UmVzcG9uc2USMwoGcG9saWN5GAEgASgLMhsuaW5mZXJtZXNoLnBvbGljeS52MS5Qb2xpY3lSBnBvbGljeRIaCghyZXZpc2lvbhgCIAEoBFIIcmV2aXNpb24itQEKE0RlbGV0ZVBvbGljeVJlcXVlc3QSEgoEa2luZBgBIAEoCVIEa2luZBISCgRuYW1lGAIgASgJUgRuYW1lEiQKC2lmX3JldmlzaW9uGAMgASgESABSCmlmUmV2aXNpb26IAQESJwoPaWRlbXBvdGVuY3lfa2V5GAQgASgJUg5pZGVtcG90ZW5jeUtleRIXCgdkcnlfcnVuGAUgASgIUgZkcnlSdW5CDgoMX2lmX3JldmlzaW9uImAKE0xpc3RQb2xpY2llc1JlcXVlc3QSEgoEa2luZBgBIAEoCVIEa2luZBIfCgtuYW1lX3ByZWZpeBgCIAEoCVIKbmFtZVByZWZpeBIUCgVsb2NhbBgDIAEoCFIFbG9jYWwiawoUTGlzdFBvbGljaWVzUmVzcG9uc2USNwoIcG9saWNpZXMYASADKAsyGy5pbmZlcm1lc2gucG9saWN5LnYxLlBvbGljeVIIcG9saWNpZXMSGgoIcmV2aXNpb24YAiABKARSCHJldmlzaW9uIrgBCgtQb2xpY3lXcml0ZRIvCgNwdXQYASABKAsyGy5pbmZlcm1lc2gucG9saWN5LnYxLlBvbGljeUgAUgNwdXQSOAoGZGVsZXRlGAIgASgLMh4uaW5mZXJtZXNoLnBvbGljeS52MS5Qb2xpY3lLZXlIAFIGZGVsZXRlEiQKC2lmX3JldmlzaW9uGAMgASgESAFSCmlmUmV2aXNpb26IAQFCCAoGY2hhbmdlQg4KDF9pZl9yZXZpc2lvbiKTAQoUQXBwbHlQb2xpY2llc1JlcXVlc3QSOQoGd3JpdGVzGAEgAygLMiEuaW5mZXJtZXNoLmNvbnRyb2wudjEuUG9saWN5V3JpdGVSBndyaXRlcxInCg9pZGVtcG90ZW5jeV9rZXkYAiABKAlSDmlkZW1wb3RlbmN5S2V5EhcKB2RyeV9ydW4YAyABKAhSBmRyeVJ1biL4AQoFRXZlbnQSFgoGbnVtYmVyGAEgASgEUgZudW1iZXISEwoFYXRfbXMYAiABKARSBGF0TXMSEgoEdHlwZRgDIAEoCVIEdHlwZRIYCgdzdWJqZWN0GAQgASgJUgdzdWJqZWN0EhgKB21lc3NhZ2UYBSABKAlSB21lc3NhZ2USPwoGbGFiZWxzGAYgAygLMicuaW5mZXJtZXNoLmNvbnRyb2wudjEuRXZlbnQuTGFiZWxzRW50cnlSBmxhYmVscxo5CgtMYWJlbHNFbnRyeRIQCgNrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBIuABChZTdWJzY3JpYmVFdmVudHNSZXF1ZXN0EhkKBXNpbmNlGAEgASgESABSBXNpbmNliAEBEhQKBXR5cGVzGAIgAygJUgV0eXBlcxJQCgZsYWJlbHMYAyADKAsyOC5pbmZlcm1lc2guY29udHJvbC52MS5TdWJzY3JpYmVFdmVudHNSZXF1ZXN0LkxhYmVsc0VudHJ5UgZsYWJlbHMaOQoLTGFiZWxzRW50cnkSEAoDa2V5GAEgASgJUgNrZXkSFAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4AUIICgZfc2luY2Ui0gIKF1N1YnNjcmliZUV2ZW50c1Jlc3BvbnNlEjMKBWV2ZW50GAEgASgLMhsuaW5mZXJtZXNoLmNvbnRyb2wudjEuRXZlbnRIAFIFZXZlbnQSTgoGbWlzc2VkGAIgASgLMjQuaW5mZXJtZXNoLmNvbnRyb2wudjEuU3Vic2NyaWJlRXZlbnRzUmVzcG9uc2UuTWlzc2VkSABSBm1pc3NlZBJUCghwb3NpdGlvbhgDIAEoCzI2LmluZmVybWVzaC5jb250cm9sLnYxLlN1YnNjcmliZUV2ZW50c1Jlc3BvbnNlLlBvc2l0aW9uSABSCHBvc2l0aW9uEhIKBG5leHQYBCABKARSBG5leHQaHgoGTWlzc2VkEhQKBWNvdW50GAEgASgEUgVjb3VudBogCghQb3NpdGlvbhIUCgVmaXJzdBgBIAEoBFIFZmlyc3RCBgoEd2hhdCKuAQoTRXhwbGFpblJvdXRlUmVxdWVzdBIUCgVtb2RlbBgBIAEoCVIFbW9kZWwSKAoNcHJvbXB0X3Rva2VucxgCIAEoDUgAUgxwcm9tcHRUb2tlbnOIAQESHQoKcmVxdWVzdF9pZBgDIAEoCVIJcmVxdWVzdElkEhsKBnRlbmFudBgEIAEoCUgBUgZ0ZW5hbnSIAQFCEAoOX3Byb21wdF90b2tlbnNCCQoHX3RlbmFudCJMCgRUZXJtEhIKBG5hbWUYASABKAlSBG5hbWUSGAoHc2Vjb25kcxgCIAEoAVIHc2Vjb25kcxIWCgZkZXRhaWwYAyABKAlSBmRldGFpbCKiAwoJQ2FuZGlkYXRlEhIKBG5vZGUYASABKAlSBG5vZGUSGAoHYWRkcmVzcxgCIAEoCVIHYWRkcmVzcxIaCghlbGlnaWJsZRgDIAEoCFIIZWxpZ2libGUSFgoGcmVhc29uGAQgASgJUgZyZWFzb24SGAoHc2Vjb25kcxgFIAEoAVIHc2Vjb25kcxIwCgV0ZXJtcxgGIAMoCzIaLmluZmVybWVzaC5jb250cm9sLnYxLlRlcm1SBXRlcm1zEicKD2FjdGl2ZV9yZXF1ZXN0cxgHIAEoAVIOYWN0aXZlUmVxdWVzdHMSIwoNcXVldWVkX3Rva2VucxgIIAEoAVIMcXVldWVkVG9rZW5zEhoKCGNhcGFjaXR5GAkgASgNUghjYXBhY2l0eRIWCgZjaG9zZW4YCiABKAhSBmNob3NlbhIUCgVzaGFyZRgLIAEoAVIFc2hhcmUSFgoGd2VpZ2h0GAwgASgBUgZ3ZWlnaHQSNwoFcmF0ZXMYDSABKAsyIS5pbmZlcm1lc2guY29udHJvbC52MS5MZWFybnRSYXRlc1IFcmF0ZXMi4QIKC0xlYXJudFJhdGVzEiEKDHByZWZpbGxfdXNlZBgBIAEoAVILcHJlZmlsbFVzZWQSIQoMcHJlZmlsbF90b2xkGAIgASgBUgtwcmVmaWxsVG9sZBIlCg5wcmVmaWxsX2xlYXJudBgDIAEoAVINcHJlZmlsbExlYXJudBIeCgpjb25maWRlbmNlGAQgASgBUgpjb25maWRlbmNlEhoKCHJlcXVlc3RzGAUgASgBUghyZXF1ZXN0cxIjCgtzZWVuX2Fnb19tcxgGIAEoBEgAUglzZWVuQWdvTXOIAQESIQoMc3RlcF9zZWNvbmRzGAcgASgBUgtzdGVwU2Vjb25kcxI3ChhzdGVwX3NlY29uZHNfcGVyX3JlcXVlc3QYCCABKAFSFXN0ZXBTZWNvbmRzUGVyUmVxdWVzdBIYCgdzdHJlYW1zGAkgASgBUgdzdHJlYW1zQg4KDF9zZWVuX2Fnb19tcyKSAgoURXhwbGFpblJvdXRlUmVzcG9uc2USHQoKcmVxdWVzdF9pZBgBIAEoCVIJcmVxdWVzdElkEhQKBW1vZGVsGAIgASgJUgVtb2RlbBIjCg1wcm9tcHRfdG9rZW5zGAMgASgNUgxwcm9tcHRUb2tlbnMSEwoFYXRfbXMYBCABKARSBGF0TXMSFgoGd2lubmVyGAUgASgJUgZ3aW5uZXISFgoGcmVhc29uGAYgASgJUgZyZWFzb24SPwoKY2FuZGlkYXRlcxgHIAMoCzIfLmluZmVybWVzaC5jb250cm9sLnYxLkNhbmRpZGF0ZVIKY2FuZGlkYXRlcxIaCghzdHJhdGVneRgIIAEoCVIIc3RyYXRlZ3kiPgoSRm9yZ2V0UmF0ZXNSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUSFAoFbW9kZWwYAiABKAlSBW1vZGVsIjMKE0ZvcmdldFJhdGVzUmVzcG9uc2USHAoJZm9yZ290dGVuGAEgASgNUglmb3Jnb3R0ZW4iMQoZR2V0UmVjb21tZW5kYXRpb25zUmVxdWVzdBIUCgVtb2RlbBgBIAEoCVIFbW9kZWwihAEKDlJlY29tbWVuZGF0aW9uEhQKBW1vZGVsGAEgASgJUgVtb2RlbBIaCghyZXBsaWNhcxgCIAEoDVIIcmVwbGljYXMSFgoGd2FudGVkGAMgASgNUgZ3YW50ZWQSEAoDd2h5GAQgASgJUgN3aHkSFgoGcG9saWN5GAUgASgJUgZwb2xpY3kiiAEKGkdldFJlY29tbWVuZGF0aW9uc1Jlc3BvbnNlEk4KD3JlY29tbWVuZGF0aW9ucxgBIAMoCzIkLmluZmVybWVzaC5jb250cm9sLnYxLlJlY29tbWVuZGF0aW9uUg9yZWNvbW1lbmRhdGlvbnMSGgoIcmV2aXNpb24YAiABKARSCHJldmlzaW9uIscBCg1Db250cm9sTWVtYmVyEhYKBm1lbWJlchgBIAEoCVIGbWVtYmVyEhIKBG5vZGUYAiABKAlSBG5vZGUSGAoHYWRkcmVzcxgDIAEoCVIHYWRkcmVzcxISCgRyb2xlGAQgASgJUgRyb2xlEiQKC21hdGNoX2luZGV4GAUgASgESABSCm1hdGNoSW5kZXiIAQESGwoGYWN0aXZlGAYgASgISAFSBmFjdGl2ZYgBAUIOCgxfbWF0Y2hfaW5kZXhCCQoHX2FjdGl2ZSIXChVHZXRTdG9yZVN0YXR1c1JlcXVlc3QimgMKFkdldFN0b3JlU3RhdHVzUmVzcG9uc2USFgoGZW5naW5lGAEgASgJUgZlbmdpbmUSGAoHY2x1c3RlchgCIAEoCVIHY2x1c3RlchIWCgZsZWFkZXIYAyABKAlSBmxlYWRlchISCgR0ZXJtGAQgASgEUgR0ZXJtEiEKDGNvbW1pdF9pbmRleBgFIAEoBFILY29tbWl0SW5kZXgSIwoNYXBwbGllZF9pbmRleBgGIAEoBFIMYXBwbGllZEluZGV4EhoKCHJldmlzaW9uGAcgASgEUghyZXZpc2lvbhIUCgVpdGVtcxgIIAEoDVIFaXRlbXMSPQoHbWVtYmVycxgJIAMoCzIjLmluZmVybWVzaC5jb250cm9sLnYxLkNvbnRyb2xNZW1iZXJSB21lbWJlcnMSGgoId3JpdGFibGUYCiABKAhSCHdyaXRhYmxlEhQKBWFsYXJtGAsgASgJUgVhbGFybRIbCglsb2dfYnl0ZXMYDCABKARSCGxvZ0J5dGVzEhoKCGNoYW5naW5nGA0gASgIUghjaGFuZ2luZyJHChdBZGRDb250cm9sTWVtYmVyUmVxdWVzdBISCgRub2RlGAEgASgJUgRub2RlEhgKB2FkZHJlc3MYAiABKAlSB2FkZHJlc3MiMAoaUmVtb3ZlQ29udHJvbE1lbWJlclJlcXVlc3QSEgoEbm9kZRgBIAEoCVIEbm9kZSIvChlUcmFuc2ZlckxlYWRlcnNoaXBSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUibwoWQ29udHJvbE1lbWJlcnNSZXNwb25zZRI9CgdtZW1iZXJzGAEgAygLMiMuaW5mZXJtZXNoLmNvbnRyb2wudjEuQ29udHJvbE1lbWJlclIHbWVtYmVycxIWCgZsZWFkZXIYAiABKAlSBmxlYWRlciIVChNTYXZlU25hcHNob3RSZXF1ZXN0Ik4KFFNhdmVTbmFwc2hvdFJlc3BvbnNlEhoKCHNuYXBzaG90GAEgASgMUghzbmFwc2hvdBIaCghyZXZpc2lvbhgCIAEoBFIIcmV2aXNpb24iNAoWUmVzdG9yZVNuYXBzaG90UmVxdWVzdBIaCghzbmFwc2hvdBgBIAEoDFIIc25hcHNob3QiNQoXUmVzdG9yZVNuYXBzaG90UmVzcG9uc2USGgoIcmV2aXNpb24YASABKARSCHJldmlzaW9uMuAYCgxDb250cm9sUGxhbmUSZQoJTGlzdE5vZGVzEiYuaW5mZXJtZXNoLmNvbnRyb2wudjEuTGlzdE5vZGVzUmVxdWVzdBonLmluZmVybWVzaC5jb250cm9sLnYxLkxpc3ROb2Rlc1Jlc3BvbnNlIgOQAgEoADAAEl8KB0dldE5vZGUSJC5pbmZlcm1lc2guY29udHJvbC52MS5HZXROb2RlUmVxdWVzdBolLmluZmVybWVzaC5jb250cm9sLnYxLkdldE5vZGVSZXNwb25zZSIDkAIBKAAwABJdCglEcmFpbk5vZGUSJy5pbmZlcm1lc2guY29udHJvbC52MS5DaGFuZ2VOb2RlUmVxdWVzdBojLmluZmVybWVzaC5jb250cm9sLnYxLldyaXRlUmVzcG9uc2UoADAAEl8KC1VuZHJhaW5Ob2RlEicuaW5mZXJtZXNoLmNvbnRyb2wudjEuQ2hhbmdlTm9kZVJlcXVlc3QaIy5pbmZlcm1lc2guY29udHJvbC52MS5Xcml0ZVJlc3BvbnNlKAAwABJeCgpDb3Jkb25Ob2RlEicuaW5mZXJtZXNoLmNvbnRyb2wudjEuQ2hhbmdlTm9kZVJlcXVlc3QaIy5pbmZlcm1lc2guY29udHJvbC52MS5Xcml0ZVJlc3BvbnNlKAAwABJgCgxVbmNvcmRvbk5vZGUSJy5pbmZlcm1lc2guY29udHJvbC52MS5DaGFuZ2VOb2RlUmVxdWVzdBojLmluZmVybWVzaC5jb250cm9sLnYxLldyaXRlUmVzcG9uc2UoADAAEmgKCkxpc3RNb2RlbHMSJy5pbmZlcm1lc2guY29udHJvbC52MS5MaXN0TW9kZWxzUmVxdWVzdBooLmluZmVybWVzaC5jb250cm9sLnYxLkxpc3RNb2RlbHNSZXNwb25zZSIDkAIBKAAwABJiCghHZXRNb2RlbBIlLmluZmVybWVzaC5jb250cm9sLnYxLkdldE1vZGVsUmVxdWVzdBomLmluZmVybWVzaC5jb250cm9sLnYxLkdldE1vZGVsUmVzcG9uc2UiA5ACASgAMAASWgoIUGluTW9kZWwSJS5pbmZlcm1lc2guY29udHJvbC52MS5QaW5Nb2RlbFJlcXVlc3QaIy5pbmZlcm1lc2guY29udHJvbC52MS5Xcml0ZVJlc3BvbnNlKAAwABJeCgpVbnBpbk1vZGVsEicuaW5mZXJtZXNoLmNvbnRyb2wudjEuVW5waW5Nb2RlbFJlcXVlc3QaIy5pbmZlcm1lc2guY29udHJvbC52MS5Xcml0ZVJlc3BvbnNlKAAwABJmCghMaXN0UGlucxIlLmluZmVybWVzaC5jb250cm9sLnYxLkxpc3RQaW5zUmVxdWVzdBoqLmluZmVybWVzaC5jb250cm9sLnYxLkxpc3RQb2xpY2llc1Jlc3BvbnNlIgOQAgEoADAAEmAKCUxvYWRNb2RlbBImLmluZmVybWVzaC5jb250cm9sLnYxLkxvYWRNb2RlbFJlcXVlc3QaJy5pbmZlcm1lc2guY29udHJvbC52MS5Mb2FkTW9kZWxSZXNwb25zZSgAMAASZAoLVW5sb2FkTW9kZWwSKC5pbmZlcm1lc2guY29udHJvbC52MS5VbmxvYWRNb2RlbFJlcXVlc3QaJy5pbmZlcm1lc2guY29udHJvbC52MS5Mb2FkTW9kZWxSZXNwb25zZSgAMAASXAoGR2V0R3B1EiMuaW5mZXJtZXNoLmNvbnRyb2wudjEuR2V0R3B1UmVxdWVzdBokLmluZmVybWVzaC5jb250cm9sLnYxLkdldEdwdVJlc3BvbnNlIgOQAgEoADAAEl0KCENsZWFyR3B1EiUuaW5mZXJtZXNoLmNvbnRyb2wudjEuQ2xlYXJHcHVSZXF1ZXN0GiYuaW5mZXJtZXNoLmNvbnRyb2wudjEuQ2xlYXJHcHVSZXNwb25zZSgAMAASXAoJU2V0UG9saWN5EiYuaW5mZXJtZXNoLmNvbnRyb2wudjEuU2V0UG9saWN5UmVxdWVzdBojLmluZmVybWVzaC5jb250cm9sLnYxLldyaXRlUmVzcG9uc2UoADAAEmUKCUdldFBvbGljeRImLmluZmVybWVzaC5jb250cm9sLnYxLkdldFBvbGljeVJlcXVlc3QaJy5pbmZlcm1lc2guY29udHJvbC52MS5HZXRQb2xpY3lSZXNwb25zZSIDkAIBKAAwABJiCgxEZWxldGVQb2xpY3kSKS5pbmZlcm1lc2guY29udHJvbC52MS5EZWxldGVQb2xpY3lSZXF1ZXN0GiMuaW5mZXJtZXNoLmNvbnRyb2wudjEuV3JpdGVSZXNwb25zZSgAMAASbgoMTGlzdFBvbGljaWVzEikuaW5mZXJtZXNoLmNvbnRyb2wudjEuTGlzdFBvbGljaWVzUmVxdWVzdBoqLmluZmVybWVzaC5jb250cm9sLnYxLkxpc3RQb2xpY2llc1Jlc3BvbnNlIgOQAgEoADAAEmQKDUFwcGx5UG9saWNpZXMSKi5pbmZlcm1lc2guY29udHJvbC52MS5BcHBseVBvbGljaWVzUmVxdWVzdBojLmluZmVybWVzaC5jb250cm9sLnYxLldyaXRlUmVzcG9uc2UoADAAEncKD1N1YnNjcmliZUV2ZW50cxIsLmluZmVybWVzaC5jb250cm9sLnYxLlN1YnNjcmliZUV2ZW50c1JlcXVlc3QaLS5pbmZlcm1lc2guY29udHJvbC52MS5TdWJzY3JpYmVFdmVudHNSZXNwb25zZSIDkAIBKAAwARJuCgxFeHBsYWluUm91dGUSKS5pbmZlcm1lc2guY29udHJvbC52MS5FeHBsYWluUm91dGVSZXF1ZXN0GiouaW5mZXJtZXNoLmNvbnRyb2wudjEuRXhwbGFpblJvdXRlUmVzcG9uc2UiA5ACASgAMAASZgoLRm9yZ2V0UmF0ZXMSKC5pbmZlcm1lc2guY29udHJvbC52MS5Gb3JnZXRSYXRlc1JlcXVlc3QaKS5pbmZlcm1lc2guY29udHJvbC52MS5Gb3JnZXRSYXRlc1Jlc3BvbnNlKAAwABKAAQoSR2V0UmVjb21tZW5kYXRpb25zEi8uaW5mZXJtZXNoLmNvbnRyb2wudjEuR2V0UmVjb21tZW5kYXRpb25zUmVxdWVzdBowLmluZmVybWVzaC5jb250cm9sLnYxLkdldFJlY29tbWVuZGF0aW9uc1Jlc3BvbnNlIgOQAgEoADAAEnQKDkdldFN0b3JlU3RhdHVzEisuaW5mZXJtZXNoLmNvbnRyb2wudjEuR2V0U3RvcmVTdGF0dXNSZXF1ZXN0GiwuaW5mZXJtZXNoLmNvbnRyb2wudjEuR2V0U3RvcmVTdGF0dXNSZXNwb25zZSIDkAIBKAAwABJzChBBZGRDb250cm9sTWVtYmVyEi0uaW5mZXJtZXNoLmNvbnRyb2wudjEuQWRkQ29udHJvbE1lbWJlclJlcXVlc3QaLC5pbmZlcm1lc2guY29udHJvbC52MS5Db250cm9sTWVtYmVyc1Jlc3BvbnNlKAAwABJ5ChNSZW1vdmVDb250cm9sTWVtYmVyEjAuaW5mZXJtZXNoLmNvbnRyb2wudjEuUmVtb3ZlQ29udHJvbE1lbWJlclJlcXVlc3QaLC5pbmZlcm1lc2guY29udHJvbC52MS5Db250cm9sTWVtYmVyc1Jlc3BvbnNlKAAwABJ3ChJUcmFuc2ZlckxlYWRlcnNoaXASLy5pbmZlcm1lc2guY29udHJvbC52MS5UcmFuc2ZlckxlYWRlcnNoaXBSZXF1ZXN0GiwuaW5mZXJtZXNoLmNvbnRyb2wudjEuQ29udHJvbE1lbWJlcnNSZXNwb25zZSgAMAASaQoMU2F2ZVNuYXBzaG90EikuaW5mZXJtZXNoLmNvbnRyb2wudjEuU2F2ZVNuYXBzaG90UmVxdWVzdBoqLmluZmVybWVzaC5jb250cm9sLnYxLlNhdmVTbmFwc2hvdFJlc3BvbnNlKAAwABJyCg9SZXN0b3JlU25hcHNob3QSLC5pbmZlcm1lc2guY29udHJvbC52MS5SZXN0b3JlU25hcHNob3RSZXF1ZXN0Gi0uaW5mZXJtZXNoLmNvbnRyb2wudjEuUmVzdG9yZVNuYXBzaG90UmVzcG9uc2UoADAAYgZwcm90bzM="
  },
  {
   "file": "infermesh/policy/v1/policy.proto",
   "dependencies": [],
   "services": [],
   "symbols": [
    "infermesh.policy.v1.Pin",
    "infermesh.policy.v1.Quota",
    "infermesh.policy.v1.Acl",
    "infermesh.policy.v1.Balance",
    "infermesh.policy.v1.Session",
    "infermesh.policy.v1.Shadow",
    "infermesh.policy.v1.ScalingTarget",
    "infermesh.policy.v1.Scaling",
    "infermesh.policy.v1.Slo",
    "infermesh.policy.v1.Priority",
    "infermesh.policy.v1.NodePolicy",
    "infermesh.policy.v1.Policy",
    "infermesh.policy.v1.PolicyKey"
   ],
   "bytes": "CiBpbmZlcm1lc2gvcG9saWN5L3YxL3BvbGljeS5wcm90bxITaW5mZXJtZXNoLnBvbGljeS52MSKqAgoDUGluEhoKCHJldmlzaW9uGAEgASgJUghyZXZpc2lvbhIUCgVub2RlcxgCIAMoCVIFbm9kZXMSQgoIc2VsZWN0b3IYAyADKAsyJi5pbmZlcm1lc2gucG9saWN5LnYxLlBpbi5TZWxlY3RvckVudHJ5UghzZWxlY3RvchImCgxtaW5fcmVwbGljYXMYBCABKA1IAFILbWluUmVwbGljYXOIAQESJgoMbWF4X3JlcGxpY2FzGAUgASgNSAFSC21heFJlcGxpY2FziAEBGjsKDVNlbGVjdG9yRW50cnkSEAoDa2V5GAEgASgJUgNrZXkSFAoFdmFsdWUYAiABKAlSBXZhbHVlOgI4AUIPCg1fbWluX3JlcGxpY2FzQg8KDV9tYXhfcmVwbGljYXMi0gEKBVF1b3RhEjMKE3JlcXVlc3RzX3Blcl9zZWNvbmQYASABKAFIAFIRcmVxdWVzdHNQZXJTZWNvbmSIAQESLwoRdG9rZW5zX3Blcl9taW51dGUYAiABKAFIAVIPdG9rZW5zUGVyTWludXRliAEBEiUKC2NvbmN1cnJlbmN5GAMgASgNSAJSC2NvbmN1cnJlbmN5iAEBQhYKFF9yZXF1ZXN0c19wZXJfc2Vjb25kQhQKEl90b2tlbnNfcGVyX21pbnV0ZUIOCgxfY29uY3VycmVuY3kiNQoDQWNsEhYKBmVmZmVjdBgBIAEoCVIGZWZmZWN0EhYKBnJlYXNvbhgCIAEoCVIGcmVhc29uIq4DCgdCYWxhbmNlEhoKCHN0cmF0ZWd5GAEgASgJUghzdHJhdGVneRJDCgd3ZWlnaHRzGAIgAygLMikuaW5mZXJtZXNoLnBvbGljeS52MS5CYWxhbmNlLldlaWdodHNFbnRyeVIHd2VpZ2h0cxIXCgR6b25lGAMgASgJSABSBHpvbmWIAQESNgoHc2Vzc2lvbhgEIAEoCzIcLmluZmVybWVzaC5wb2xpY3kudjEuU2Vzc2lvblIHc2Vzc2lvbhI9CgVzcGxpdBgFIAMoCzInLmluZmVybWVzaC5wb2xpY3kudjEuQmFsYW5jZS5TcGxpdEVudHJ5UgVzcGxpdBIzCgZzaGFkb3cYBiABKAsyGy5pbmZlcm1lc2gucG9saWN5LnYxLlNoYWRvd1IGc2hhZG93GjoKDFdlaWdodHNFbnRyeRIQCgNrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoAVIFdmFsdWU6AjgBGjgKClNwbGl0RW50cnkSEAoDa2V5GAEgASgJUgNrZXkSFAoFdmFsdWUYAiABKAFSBXZhbHVlOgI4AUIHCgVfem9uZSJMCgdTZXNzaW9uEhQKBWZpZWxkGAEgASgJUgVmaWVsZBIeCghzbGFja19tcxgCIAEoAUgAUgdzbGFja01ziAEBQgsKCV9zbGFja19tcyI6CgZTaGFkb3cSGgoIcmV2aXNpb24YASABKAlSCHJldmlzaW9uEhQKBXNoYXJlGAIgASgBUgVzaGFyZSI9Cg1TY2FsaW5nVGFyZ2V0EhYKBm1ldHJpYxgBIAEoCVIGbWV0cmljEhQKBXZhbHVlGAIgASgBUgV2YWx1ZSKLAQoHU2NhbGluZxIhCgxtaW5fcmVwbGljYXMYASABKA1SC21pblJlcGxpY2FzEiEKDG1heF9yZXBsaWNhcxgCIAEoDVILbWF4UmVwbGljYXMSOgoGdGFyZ2V0GAMgASgLMiIuaW5mZXJtZXNoLnBvbGljeS52MS5TY2FsaW5nVGFyZ2V0UgZ0YXJnZXQiewoDU2xvEhQKBWNsYXNzGAEgASgJUgVjbGFzcxIkCgtkZWFkbGluZV9tcxgCIAEoAUgAUgpkZWFkbGluZU1ziAEBEhwKB3R0ZnRfbXMYAyABKAFIAVIGdHRmdE1ziAEBQg4KDF9kZWFkbGluZV9tc0IKCghfdHRmdF9tcyImCghQcmlvcml0eRIaCghwcmlvcml0eRgBIAEoDVIIcHJpb3JpdHkigAEKCk5vZGVQb2xpY3kSHwoIY29yZG9uZWQYASABKAhIAFIIY29yZG9uZWSIAQESHwoIZHJhaW5pbmcYAiABKAhIAVIIZHJhaW5pbmeIAQESFgoGcmVhc29uGAMgASgJUgZyZWFzb25CCwoJX2NvcmRvbmVkQgsKCV9kcmFpbmluZyLJBAoGUG9saWN5EhIKBGtpbmQYASABKAlSBGtpbmQSEgoEbmFtZRgCIAEoCVIEbmFtZRIsCgNwaW4YCiABKAsyGC5pbmZlcm1lc2gucG9saWN5LnYxLlBpbkgAUgNwaW4SMgoFcXVvdGEYCyABKAsyGi5pbmZlcm1lc2gucG9saWN5LnYxLlF1b3RhSABSBXF1b3RhEiwKA2FjbBgMIAEoCzIYLmluZmVybWVzaC5wb2xpY3kudjEuQWNsSABSA2FjbBI4CgdiYWxhbmNlGA0gASgLMhwuaW5mZXJtZXNoLnBvbGljeS52MS5CYWxhbmNlSABSB2JhbGFuY2USOAoHc2NhbGluZxgOIAEoCzIcLmluZmVybWVzaC5wb2xpY3kudjEuU2NhbGluZ0gAUgdzY2FsaW5nEiwKA3NsbxgPIAEoCzIYLmluZmVybWVzaC5wb2xpY3kudjEuU2xvSABSA3NsbxI7Cghwcmlvcml0eRgQIAEoCzIdLmluZmVybWVzaC5wb2xpY3kudjEuUHJpb3JpdHlIAFIIcHJpb3JpdHkSNQoEbm9kZRgRIAEoCzIfLmluZmVybWVzaC5wb2xpY3kudjEuTm9kZVBvbGljeUgAUgRub2RlEhoKCHJldmlzaW9uGAMgASgEUghyZXZpc2lvbhIpChBjcmVhdGVkX3JldmlzaW9uGAQgASgEUg9jcmVhdGVkUmV2aXNpb24SIgoNdXBkYXRlZF9hdF9tcxgFIAEoBFILdXBkYXRlZEF0TXNCBgoEc3BlYyIzCglQb2xpY3lLZXkSEgoEa2luZBgBIAEoCVIEa2luZBISCgRuYW1lGAIgASgJUgRuYW1lYgZwcm90bzM="
  },
  {
   "file": "infermesh/scoring/v1/scoring.proto",
   "dependencies": [],
   "services": [
    "infermesh.scoring.v1.Scoring"
   ],
   "symbols": [
    "infermesh.scoring.v1.ScoreTargetsRequest",
    "infermesh.scoring.v1.ScoredTarget",
    "infermesh.scoring.v1.ScoreTargetsResponse",
    "infermesh.scoring.v1.AdmitRequest",
    "infermesh.scoring.v1.AdmitResponse",
    "infermesh.scoring.v1.ReportOutcomeRequest",
    "infermesh.scoring.v1.ReportOutcomeResponse",
    "infermesh.scoring.v1.HealthCheckRequest",
    "infermesh.scoring.v1.HealthCheckResponse",
    "infermesh.scoring.v1.Scoring",
    "infermesh.scoring.v1.Scoring.ScoreTargets",
    "infermesh.scoring.v1.Scoring.Admit",
    "infermesh.scoring.v1.Scoring.ReportOutcome",
    "infermesh.scoring.v1.Scoring.HealthCheck"
   ],
   "bytes": "CiJpbmZlcm1lc2gvc2NvcmluZy92MS9zY29yaW5nLnByb3RvEhRpbmZlcm1lc2guc2NvcmluZy52MSJqChNTY29yZVRhcmdldHNSZXF1ZXN0EhQKBW1vZGVsGAEgASgJUgVtb2RlbBIjCg1wcm9tcHRfdG9rZW5zGAIgASgNUgxwcm9tcHRUb2tlbnMSGAoHZXhjbHVkZRgDIAMoCVIHZXhjbHVkZSKKAQoMU2NvcmVkVGFyZ2V0EhIKBG5vZGUYASABKAlSBG5vZGUSGAoHYWRkcmVzcxgCIAEoCVIHYWRkcmVzcxIYCgdzZWNvbmRzGAMgASgBUgdzZWNvbmRzEhoKCGVsaWdpYmxlGAQgASgIUghlbGlnaWJsZRIWCgZyZWFzb24YBSABKAlSBnJlYXNvbiJUChRTY29yZVRhcmdldHNSZXNwb25zZRI8Cgd0YXJnZXRzGAEgAygLMiIuaW5mZXJtZXNoLnNjb3JpbmcudjEuU2NvcmVkVGFyZ2V0Ugd0YXJnZXRzIn4KDEFkbWl0UmVxdWVzdBIUCgVtb2RlbBgBIAEoCVIFbW9kZWwSIwoNcHJvbXB0X3Rva2VucxgCIAEoDVIMcHJvbXB0VG9rZW5zEhgKB2V4Y2x1ZGUYAyADKAlSB2V4Y2x1ZGUSGQoIbGVhc2VfbXMYBCABKA1SB2xlYXNlTXMibwoNQWRtaXRSZXNwb25zZRIWCgZ0aWNrZXQYASABKAlSBnRpY2tldBISCgRub2RlGAIgASgJUgRub2RlEhgKB2FkZHJlc3MYAyABKAlSB2FkZHJlc3MSGAoHc2Vjb25kcxgEIAEoAVIHc2Vjb25kcyJpChRSZXBvcnRPdXRjb21lUmVxdWVzdBIWCgZ0aWNrZXQYASABKAlSBnRpY2tldBIfCgtmaXJzdF90b2tlbhgCIAEoCFIKZmlyc3RUb2tlbhIYCgdvdXRjb21lGAMgASgJUgdvdXRjb21lIi0KFVJlcG9ydE91dGNvbWVSZXNwb25zZRIUCgVrbm93bhgBIAEoCFIFa25vd24iKgoSSGVhbHRoQ2hlY2tSZXF1ZXN0EhQKBW1vZGVsGAEgASgJUgVtb2RlbCJuChNIZWFsdGhDaGVja1Jlc3BvbnNlEhgKB3NlcnZpbmcYASABKAhSB3NlcnZpbmcSJQoOcm91dGFibGVfbm9kZXMYAiABKA1SDXJvdXRhYmxlTm9kZXMSFgoGcmVhc29uGAMgASgJUgZyZWFzb24yqgMKB1Njb3JpbmcSbgoMU2NvcmVUYXJnZXRzEikuaW5mZXJtZXNoLnNjb3JpbmcudjEuU2NvcmVUYXJnZXRzUmVxdWVzdBoqLmluZmVybWVzaC5zY29yaW5nLnYxLlNjb3JlVGFyZ2V0c1Jlc3BvbnNlIgOQAgEoADAAElQKBUFkbWl0EiIuaW5mZXJtZXNoLnNjb3JpbmcudjEuQWRtaXRSZXF1ZXN0GiMuaW5mZXJtZXNoLnNjb3JpbmcudjEuQWRtaXRSZXNwb25zZSgAMAASbAoNUmVwb3J0T3V0Y29tZRIqLmluZmVybWVzaC5zY29yaW5nLnYxLlJlcG9ydE91dGNvbWVSZXF1ZXN0GisuaW5mZXJtZXNoLnNjb3JpbmcudjEuUmVwb3J0T3V0Y29tZVJlc3BvbnNlKAAwABJrCgtIZWFsdGhDaGVjaxIoLmluZmVybWVzaC5zY29yaW5nLnYxLkhlYWx0aENoZWNrUmVxdWVzdBopLmluZmVybWVzaC5zY29yaW5nLnYxLkhlYWx0aENoZWNrUmVzcG9uc2UiA5ACASgAMABiBnByb3RvMw=="
  },
  {
   "file": "infermesh/state/v1/state.proto",
   "dependencies": [],
   "services": [],
   "symbols": [
    "infermesh.state.v1.Labels",
    "infermesh.state.v1.Quantile",
    "infermesh.state.v1.ModelState",
    "infermesh.state.v1.Endpoint",
    "infermesh.state.v1.RuntimeState",
    "infermesh.state.v1.GpuState",
    "infermesh.state.v1.Vitals",
    "infermesh.state.v1.Addresses",
    "infermesh.state.v1.NodeState",
    "infermesh.state.v1.ModelStatus",
    "infermesh.state.v1.GpuHealth"
   ],
   "bytes": "Ch5pbmZlcm1lc2gvc3RhdGUvdjEvc3RhdGUucHJvdG8SEmluZmVybWVzaC5zdGF0ZS52MSLhAgoGTGFiZWxzEhQKBW1vZGVsGAEgASgJUgVtb2RlbBIaCghyZXZpc2lvbhgCIAEoCVIIcmV2aXNpb24SFAoFcXVhbnQYAyABKAlSBXF1YW50EhgKB3J1bnRpbWUYBCABKAlSB3J1bnRpbWUSEgoEbm9kZRgFIAEoCVIEbm9kZRIZCghncHVfdXVpZBgGIAEoCVIHZ3B1VXVpZBIfCgttaWdfcHJvZmlsZRgHIAEoCVIKbWlnUHJvZmlsZRIWCgZ0ZW5hbnQYCCABKAlSBnRlbmFudBISCgR6b25lGAkgASgJUgR6b25lEj4KBmN1c3RvbRgKIAMoCzImLmluZmVybWVzaC5zdGF0ZS52MS5MYWJlbHMuQ3VzdG9tRW50cnlSBmN1c3RvbRo5CgtDdXN0b21FbnRyeRIQCgNrZXkYASABKAlSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBIkAKCFF1YW50aWxlEhoKCHF1YW50aWxlGAEgASgBUghxdWFudGlsZRIYCgdzZWNvbmRzGAIgASgBUgdzZWNvbmRzIqsKCgpNb2RlbFN0YXRlEjIKBmxhYmVscxgBIAEoCzIaLmluZmVybWVzaC5zdGF0ZS52MS5MYWJlbHNSBmxhYmVscxI3CgZzdGF0dXMYAiABKA4yHy5pbmZlcm1lc2guc3RhdGUudjEuTW9kZWxTdGF0dXNSBnN0YXR1cxIpChBydW5uaW5nX3JlcXVlc3RzGAMgASgNUg9ydW5uaW5nUmVxdWVzdHMSKQoQd2FpdGluZ19yZXF1ZXN0cxgEIAEoDVIPd2FpdGluZ1JlcXVlc3RzEjcKFXF1ZXVlZF9wcmVmaWxsX3Rva2VucxgFIAEoBEgAUhNxdWV1ZWRQcmVmaWxsVG9rZW5ziAEBEh4KCGt2X3VzYWdlGAYgASgBSAFSB2t2VXNhZ2WIAQESMQoSa3ZfY2FwYWNpdHlfdG9rZW5zGAcgASgESAJSEGt2Q2FwYWNpdHlUb2tlbnOIAQESPgoZcHJlZmlsbF90b2tlbnNfcGVyX3NlY29uZBgIIAEoAUgDUhZwcmVmaWxsVG9rZW5zUGVyU2Vjb25kiAEBEjwKGGRlY29kZV90b2tlbnNfcGVyX3NlY29uZBgJIAEoAUgEUhVkZWNvZGVUb2tlbnNQZXJTZWNvbmSIAQESGQoFc2xvdHMYCiABKA1IBVIFc2xvdHOIAQESSwoTdGltZV90b19maXJzdF90b2tlbhgLIAMoCzIcLmluZmVybWVzaC5zdGF0ZS52MS5RdWFudGlsZVIQdGltZVRvRmlyc3RUb2tlbhJMChNpbnRlcl90b2tlbl9sYXRlbmN5GAwgAygLMhwuaW5mZXJtZXNoLnN0YXRlLnYxLlF1YW50aWxlUhFpbnRlclRva2VuTGF0ZW5jeRIYCgdydW50aW1lGA0gASgJUgdydW50aW1lEhYKBnJlYXNvbhgOIAEoCVIGcmVhc29uEhYKBnBhcmVudBgPIAEoCVIGcGFyZW50EjEKEmNvbnRleHRfdG9rZW5zX21heBgQIAEoBEgGUhBjb250ZXh0VG9rZW5zTWF4iAEBEiIKDGNhcGFiaWxpdGllcxgRIAMoCVIMY2FwYWJpbGl0aWVzEikKDmNhY2hlX2hpdF9yYXRlGBIgASgBSAdSDGNhY2hlSGl0UmF0ZYgBARI5ChZwcmVlbXB0aW9uc19wZXJfc2Vjb25kGBMgASgBSAhSFHByZWVtcHRpb25zUGVyU2Vjb25kiAEBEi8KEXdvcmtfbGVmdF9zZWNvbmRzGBQgASgBSAlSD3dvcmtMZWZ0U2Vjb25kc4gBARImCgxsb2FkX3NlY29uZHMYFiABKAFIClILbG9hZFNlY29uZHOIAQESMwoTZmlndXJlc19hZ2Vfc2Vjb25kcxgVIAEoAUgLUhFmaWd1cmVzQWdlU2Vjb25kc4gBAUIYChZfcXVldWVkX3ByZWZpbGxfdG9rZW5zQgsKCV9rdl91c2FnZUIVChNfa3ZfY2FwYWNpdHlfdG9rZW5zQhwKGl9wcmVmaWxsX3Rva2Vuc19wZXJfc2Vjb25kQhsKGV9kZWNvZGVfdG9rZW5zX3Blcl9zZWNvbmRCCAoGX3Nsb3RzQhUKE19jb250ZXh0X3Rva2Vuc19tYXhCEQoPX2NhY2hlX2hpdF9yYXRlQhkKF19wcmVlbXB0aW9uc19wZXJfc2Vjb25kQhQKEl93b3JrX2xlZnRfc2Vjb25kc0IPCg1fbG9hZF9zZWNvbmRzQhYKFF9maWd1cmVzX2FnZV9zZWNvbmRzImYKCEVuZHBvaW50EhIKBG5hbWUYASABKAlSBG5hbWUSGAoHYWRkcmVzcxgCIAEoCVIHYWRkcmVzcxIaCghwcm90b2NvbBgDIAEoCVIIcHJvdG9jb2wSEAoDdGxzGAQgASgIUgN0bHMiiQIKDFJ1bnRpbWVTdGF0ZRISCgRuYW1lGAEgASgJUgRuYW1lEhIKBGtpbmQYAiABKAlSBGtpbmQSGAoHdmVyc2lvbhgDIAEoCVIHdmVyc2lvbhIUCgVyZWFkeRgEIAEoCFIFcmVhZHkSGgoIZHJhaW5pbmcYBSABKAhSCGRyYWluaW5nEhQKBXN0YXRlGAYgASgJUgVzdGF0ZRIYCgdtZXNzYWdlGAcgASgJUgdtZXNzYWdlEhkKCHNpbmNlX21zGAggASgEUgdzaW5jZU1zEjoKCWVuZHBvaW50cxgJIAMoCzIcLmluZmVybWVzaC5zdGF0ZS52MS5FbmRwb2ludFIJZW5kcG9pbnRzIo4GCghHcHVTdGF0ZRIyCgZsYWJlbHMYASABKAsyGi5pbmZlcm1lc2guc3RhdGUudjEuTGFiZWxzUgZsYWJlbHMSFAoFaW5kZXgYAiABKA1SBWluZGV4EhIKBG5hbWUYAyABKAlSBG5hbWUSMQoSbWVtb3J5X3RvdGFsX2J5dGVzGAQgASgESABSEG1lbW9yeVRvdGFsQnl0ZXOIAQESLwoRbWVtb3J5X3VzZWRfYnl0ZXMYBSABKARIAVIPbWVtb3J5VXNlZEJ5dGVziAEBEiUKC3V0aWxpemF0aW9uGAYgASgBSAJSC3V0aWxpemF0aW9uiAEBEiQKC3Bvd2VyX3dhdHRzGAcgASgBSANSCnBvd2VyV2F0dHOIAQESLwoRcG93ZXJfbGltaXRfd2F0dHMYCCABKAFIBFIPcG93ZXJMaW1pdFdhdHRziAEBEjQKE3RlbXBlcmF0dXJlX2NlbHNpdXMYCSABKAFIBVISdGVtcGVyYXR1cmVDZWxzaXVziAEBEikKEHRocm90dGxlX3JlYXNvbnMYCiADKAlSD3Rocm90dGxlUmVhc29ucxI1CgZoZWFsdGgYCyABKA4yHS5pbmZlcm1lc2guc3RhdGUudjEuR3B1SGVhbHRoUgZoZWFsdGgSKAoNaGVhbHRoX3JlYXNvbhgMIAEoCUgGUgxoZWFsdGhSZWFzb26IAQESKwoPaGVhbHRoX3NpbmNlX21zGA0gASgESAdSDWhlYWx0aFNpbmNlTXOIAQESFgoGbW9kZWxzGA4gAygJUgZtb2RlbHMSGgoIcnVudGltZXMYDyADKAlSCHJ1bnRpbWVzQhUKE19tZW1vcnlfdG90YWxfYnl0ZXNCFAoSX21lbW9yeV91c2VkX2J5dGVzQg4KDF91dGlsaXphdGlvbkIOCgxfcG93ZXJfd2F0dHNCFAoSX3Bvd2VyX2xpbWl0X3dhdHRzQhYKFF90ZW1wZXJhdHVyZV9jZWxzaXVzQhAKDl9oZWFsdGhfcmVhc29uQhIKEF9oZWFsdGhfc2luY2VfbXMi+QIKBlZpdGFscxIwChRyZXF1ZXN0c19pbl9wcm9ncmVzcxgBIAEoDVIScmVxdWVzdHNJblByb2dyZXNzEiAKCWNwdV91c2FnZRgCIAEoAUgAUghjcHVVc2FnZYgBARImCgxtZW1vcnlfdXNhZ2UYAyABKAFIAVILbWVtb3J5VXNhZ2WIAQESIAoJZ3B1X3VzYWdlGAQgASgBSAJSCGdwdVVzYWdliAEBEikKEGZhaWxlZF9yZXNwb25zZXMYBSABKARSD2ZhaWxlZFJlc3BvbnNlcxInCg9jb25uZWN0ZWRfcGVlcnMYBiABKA1SDmNvbm5lY3RlZFBlZXJzEikKEGJhY2tvZmZfcmVxdWVzdHMYByABKARSD2JhY2tvZmZSZXF1ZXN0cxIlCg51cHRpbWVfc2Vjb25kcxgIIAEoAVINdXB0aW1lU2Vjb25kc0IMCgpfY3B1X3VzYWdlQg8KDV9tZW1vcnlfdXNhZ2VCDAoKX2dwdV91c2FnZSJlCglBZGRyZXNzZXMSFAoFc2VydmUYASABKAlSBXNlcnZlEhAKA2FwaRgCIAEoCVIDYXBpEhgKB21ldHJpY3MYAyABKAlSB21ldHJpY3MSFgoGZ29zc2lwGAQgASgJUgZnb3NzaXAitgQKCU5vZGVTdGF0ZRIOCgJpZBgBIAEoCVICaWQSIAoLaW5jYXJuYXRpb24YAiABKARSC2luY2FybmF0aW9uEhIKBHJvbGUYAyABKAlSBHJvbGUSGAoHdmVyc2lvbhgEIAEoCVIHdmVyc2lvbhISCgR6b25lGAUgASgJUgR6b25lEhQKBXJlYWR5GAYgASgIUgVyZWFkeRIkCg5vYnNlcnZlZF9hdF9tcxgHIAEoBFIMb2JzZXJ2ZWRBdE1zEjsKCWFkZHJlc3NlcxgIIAEoCzIdLmluZmVybWVzaC5zdGF0ZS52MS5BZGRyZXNzZXNSCWFkZHJlc3NlcxIyCgZ2aXRhbHMYCSABKAsyGi5pbmZlcm1lc2guc3RhdGUudjEuVml0YWxzUgZ2aXRhbHMSNgoGbW9kZWxzGAogAygLMh4uaW5mZXJtZXNoLnN0YXRlLnYxLk1vZGVsU3RhdGVSBm1vZGVscxIwCgRncHVzGAsgAygLMhwuaW5mZXJtZXNoLnN0YXRlLnYxLkdwdVN0YXRlUgRncHVzEjIKBmxhYmVscxgMIAEoCzIaLmluZmVybWVzaC5zdGF0ZS52MS5MYWJlbHNSBmxhYmVscxIfCghkcmFpbmluZxgNIAEoCEgAUghkcmFpbmluZ4gBARI8CghydW50aW1lcxgOIAMoCzIgLmluZmVybWVzaC5zdGF0ZS52MS5SdW50aW1lU3RhdGVSCHJ1bnRpbWVzQgsKCV9kcmFpbmluZyrjAQoLTW9kZWxTdGF0dXMSHAoYTU9ERUxfU1RBVFVTX1VOU1BFQ0lGSUVEEAASGAoUTU9ERUxfU1RBVFVTX0xPQURJTkcQARIWChJNT0RFTF9TVEFUVVNfUkVBRFkQAhIZChVNT0RFTF9TVEFUVVNfRFJBSU5JTkcQAxIXChNNT0RFTF9TVEFUVVNfRkFJTEVEEAQSGgoWTU9ERUxfU1RBVFVTX0FWQUlMQUJMRRAFEhgKFE1PREVMX1NUQVRVU19XQVJNSU5HEAYSGgoWTU9ERUxfU1RBVFVTX1VOTE9BRElORxAHKnQKCUdwdUhlYWx0aBIaChZHUFVfSEVBTFRIX1VOU1BFQ0lGSUVEEAASFgoSR1BVX0hFQUxUSF9IRUFMVEhZEAESFwoTR1BVX0hFQUxUSF9ERUdSQURFRBACEhoKFkdQVV9IRUFMVEhfUVVBUkFOVElORUQQA2IGcHJvdG8z"
  },
  {
   "file": "infermesh/state/v1/state_plane.proto",
   "dependencies": [
    "infermesh/state/v1/state.proto"
   ],
   "services": [
    "infermesh.state.v1.StatePlane"
   ],
   "symbols": [
    "infermesh.state.v1.ModelStateDelta",
    "infermesh.state.v1.ReportModelStateRequest",
    "infermesh.state.v1.GpuStateDelta",
    "infermesh.state.v1.ReportGpuStateRequest",
    "infermesh.state.v1.ReportAck",
    "infermesh.state.v1.GetModelStatesRequest",
    "infermesh.state.v1.GetModelStatesResponse",
    "infermesh.state.v1.GetGpuStatesRequest",
    "infermesh.state.v1.GetGpuStatesResponse",
    "infermesh.state.v1.ListNodeStatesRequest",
    "infermesh.state.v1.ListNodeStatesResponse",
    "infermesh.state.v1.StatePlane",
    "infermesh.state.v1.StatePlane.ReportModelState",
    "infermesh.state.v1.StatePlane.ReportGpuState",
    "infermesh.state.v1.StatePlane.GetModelStates",
    "infermesh.state.v1.StatePlane.GetGpuStates",
    "infermesh.state.v1.StatePlane.ListNodeStates"
   ],
   "bytes": "CiRpbmZlcm1lc2gvc3RhdGUvdjEvc3RhdGVfcGxhbmUucHJvdG8SEmluZmVybWVzaC5zdGF0ZS52MRoeaW5mZXJtZXNoL3N0YXRlL3YxL3N0YXRlLnByb3RvIowLCg9Nb2RlbFN0YXRlRGVsdGESMgoGbGFiZWxzGAEgASgLMhouaW5mZXJtZXNoLnN0YXRlLnYxLkxhYmVsc1IGbGFiZWxzEjwKBnN0YXR1cxgCIAEoDjIfLmluZmVybWVzaC5zdGF0ZS52MS5Nb2RlbFN0YXR1c0gAUgZzdGF0dXOIAQESLgoQcnVubmluZ19yZXF1ZXN0cxgDIAEoDUgBUg9ydW5uaW5nUmVxdWVzdHOIAQESLgoQd2FpdGluZ19yZXF1ZXN0cxgEIAEoDUgCUg93YWl0aW5nUmVxdWVzdHOIAQESNwoVcXVldWVkX3ByZWZpbGxfdG9rZW5zGAUgASgESANSE3F1ZXVlZFByZWZpbGxUb2tlbnOIAQESHgoIa3ZfdXNhZ2UYBiABKAFIBFIHa3ZVc2FnZYgBARIxChJrdl9jYXBhY2l0eV90b2tlbnMYByABKARIBVIQa3ZDYXBhY2l0eVRva2Vuc4gBARI+ChlwcmVmaWxsX3Rva2Vuc19wZXJfc2Vjb25kGAggASgBSAZSFnByZWZpbGxUb2tlbnNQZXJTZWNvbmSIAQESPAoYZGVjb2RlX3Rva2Vuc19wZXJfc2Vjb25kGAkgASgBSAdSFWRlY29kZVRva2Vuc1BlclNlY29uZIgBARIZCgVzbG90cxgKIAEoDUgIUgVzbG90c4gBARJLChN0aW1lX3RvX2ZpcnN0X3Rva2VuGAsgAygLMhwuaW5mZXJtZXNoLnN0YXRlLnYxLlF1YW50aWxlUhB0aW1lVG9GaXJzdFRva2VuEkwKE2ludGVyX3Rva2VuX2xhdGVuY3kYDCADKAsyHC5pbmZlcm1lc2guc3RhdGUudjEuUXVhbnRpbGVSEWludGVyVG9rZW5MYXRlbmN5EhgKB3JlbW92ZWQYDSABKAhSB3JlbW92ZWQSGAoHdW5rbm93bhgOIAMoCVIHdW5rbm93bhIdCgdydW50aW1lGA8gASgJSAlSB3J1bnRpbWWIAQESGwoGcmVhc29uGBAgASgJSApSBnJlYXNvbogBARIbCgZwYXJlbnQYESABKAlIC1IGcGFyZW50iAEBEjEKEmNvbnRleHRfdG9rZW5zX21heBgSIAEoBEgMUhBjb250ZXh0VG9rZW5zTWF4iAEBEiIKDGNhcGFiaWxpdGllcxgTIAMoCVIMY2FwYWJpbGl0aWVzEikKDmNhY2hlX2hpdF9yYXRlGBQgASgBSA1SDGNhY2hlSGl0UmF0ZYgBARI5ChZwcmVlbXB0aW9uc19wZXJfc2Vjb25kGBUgASgBSA5SFHByZWVtcHRpb25zUGVyU2Vjb25kiAEBEi8KEXdvcmtfbGVmdF9zZWNvbmRzGBYgASgBSA9SD3dvcmtMZWZ0U2Vjb25kc4gBARImCgxsb2FkX3NlY29uZHMYFyABKAFIEFILbG9hZFNlY29uZHOIAQFCCQoHX3N0YXR1c0ITChFfcnVubmluZ19yZXF1ZXN0c0ITChFfd2FpdGluZ19yZXF1ZXN0c0IYChZfcXVldWVkX3ByZWZpbGxfdG9rZW5zQgsKCV9rdl91c2FnZUIVChNfa3ZfY2FwYWNpdHlfdG9rZW5zQhwKGl9wcmVmaWxsX3Rva2Vuc19wZXJfc2Vjb25kQhsKGV9kZWNvZGVfdG9rZW5zX3Blcl9zZWNvbmRCCAoGX3Nsb3RzQgoKCF9ydW50aW1lQgkKB19yZWFzb25CCQoHX3BhcmVudEIVChNfY29udGV4dF90b2tlbnNfbWF4QhEKD19jYWNoZV9oaXRfcmF0ZUIZChdfcHJlZW1wdGlvbnNfcGVyX3NlY29uZEIUChJfd29ya19sZWZ0X3NlY29uZHNCDwoNX2xvYWRfc2Vjb25kcyLXAQoXUmVwb3J0TW9kZWxTdGF0ZVJlcXVlc3QSEgoEbm9kZRgBIAEoCVIEbm9kZRIaCghzZXF1ZW5jZRgCIAEoBFIIc2VxdWVuY2USEgoEZnVsbBgDIAEoCFIEZnVsbBI7CgZtb2RlbHMYBCADKAsyIy5pbmZlcm1lc2guc3RhdGUudjEuTW9kZWxTdGF0ZURlbHRhUgZtb2RlbHMSJAoOb2JzZXJ2ZWRfYXRfbXMYBSABKARSDG9ic2VydmVkQXRNcxIVCgZ0dGxfbXMYBiABKA1SBXR0bE1zItgGCg1HcHVTdGF0ZURlbHRhEjIKBmxhYmVscxgBIAEoCzIaLmluZmVybWVzaC5zdGF0ZS52MS5MYWJlbHNSBmxhYmVscxIZCgVpbmRleBgCIAEoDUgAUgVpbmRleIgBARIXCgRuYW1lGAMgASgJSAFSBG5hbWWIAQESMQoSbWVtb3J5X3RvdGFsX2J5dGVzGAQgASgESAJSEG1lbW9yeVRvdGFsQnl0ZXOIAQESLwoRbWVtb3J5X3VzZWRfYnl0ZXMYBSABKARIA1IPbWVtb3J5VXNlZEJ5dGVziAEBEiUKC3V0aWxpemF0aW9uGAYgASgBSARSC3V0aWxpemF0aW9uiAEBEiQKC3Bvd2VyX3dhdHRzGAcgASgBSAVSCnBvd2VyV2F0dHOIAQESLwoRcG93ZXJfbGltaXRfd2F0dHMYCCABKAFIBlIPcG93ZXJMaW1pdFdhdHRziAEBEjQKE3RlbXBlcmF0dXJlX2NlbHNpdXMYCSABKAFIB1ISdGVtcGVyYXR1cmVDZWxzaXVziAEBEikKEHRocm90dGxlX3JlYXNvbnMYCiADKAlSD3Rocm90dGxlUmVhc29ucxI6CgZoZWFsdGgYCyABKA4yHS5pbmZlcm1lc2guc3RhdGUudjEuR3B1SGVhbHRoSAhSBmhlYWx0aIgBARIYCgdyZW1vdmVkGAwgASgIUgdyZW1vdmVkEhgKB3Vua25vd24YDSADKAlSB3Vua25vd24SKAoNaGVhbHRoX3JlYXNvbhgOIAEoCUgJUgxoZWFsdGhSZWFzb26IAQESKwoPaGVhbHRoX3NpbmNlX21zGA8gASgESApSDWhlYWx0aFNpbmNlTXOIAQESFgoGbW9kZWxzGBAgAygJUgZtb2RlbHNCCAoGX2luZGV4QgcKBV9uYW1lQhUKE19tZW1vcnlfdG90YWxfYnl0ZXNCFAoSX21lbW9yeV91c2VkX2J5dGVzQg4KDF91dGlsaXphdGlvbkIOCgxfcG93ZXJfd2F0dHNCFAoSX3Bvd2VyX2xpbWl0X3dhdHRzQhYKFF90ZW1wZXJhdHVyZV9jZWxzaXVzQgkKB19oZWFsdGhCEAoOX2hlYWx0aF9yZWFzb25CEgoQX2hlYWx0aF9zaW5jZV9tcyLPAQoVUmVwb3J0R3B1U3RhdGVSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUSGgoIc2VxdWVuY2UYAiABKARSCHNlcXVlbmNlEhIKBGZ1bGwYAyABKAhSBGZ1bGwSNQoEZ3B1cxgEIAMoCzIhLmluZmVybWVzaC5zdGF0ZS52MS5HcHVTdGF0ZURlbHRhUgRncHVzEiQKDm9ic2VydmVkX2F0X21zGAUgASgEUgxvYnNlcnZlZEF0TXMSFQoGdHRsX21zGAYgASgNUgV0dGxNcyJ6CglSZXBvcnRBY2sSGgoIc2VxdWVuY2UYASABKARSCHNlcXVlbmNlEhgKB2FwcGxpZWQYAiABKAhSB2FwcGxpZWQSHwoLZnVsbF93YW50ZWQYAyABKAhSCmZ1bGxXYW50ZWQSFgoGZmF1bHRzGAQgAygJUgZmYXVsdHMiQQoVR2V0TW9kZWxTdGF0ZXNSZXF1ZXN0EhQKBW1vZGVsGAEgASgJUgVtb2RlbBISCgRub2RlGAIgASgJUgRub2RlIlAKFkdldE1vZGVsU3RhdGVzUmVzcG9uc2USNgoGc3RhdGVzGAEgAygLMh4uaW5mZXJtZXNoLnN0YXRlLnYxLk1vZGVsU3RhdGVSBnN0YXRlcyIpChNHZXRHcHVTdGF0ZXNSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUiTAoUR2V0R3B1U3RhdGVzUmVzcG9uc2USNAoGc3RhdGVzGAEgAygLMhwuaW5mZXJtZXNoLnN0YXRlLnYxLkdwdVN0YXRlUgZzdGF0ZXMiKwoVTGlzdE5vZGVTdGF0ZXNSZXF1ZXN0EhIKBG5vZGUYASABKAlSBG5vZGUiTQoWTGlzdE5vZGVTdGF0ZXNSZXNwb25zZRIzCgVub2RlcxgBIAMoCzIdLmluZmVybWVzaC5zdGF0ZS52MS5Ob2RlU3RhdGVSBW5vZGVzMqAECgpTdGF0ZVBsYW5lEmIKEFJlcG9ydE1vZGVsU3RhdGUSKy5pbmZlcm1lc2guc3RhdGUudjEuUmVwb3J0TW9kZWxTdGF0ZVJlcXVlc3QaHS5pbmZlcm1lc2guc3RhdGUudjEuUmVwb3J0QWNrKAEwARJeCg5SZXBvcnRHcHVTdGF0ZRIpLmluZmVybWVzaC5zdGF0ZS52MS5SZXBvcnRHcHVTdGF0ZVJlcXVlc3QaHS5pbmZlcm1lc2guc3RhdGUudjEuUmVwb3J0QWNrKAEwARJwCg5HZXRNb2RlbFN0YXRlcxIpLmluZmVybWVzaC5zdGF0ZS52MS5HZXRNb2RlbFN0YXRlc1JlcXVlc3QaKi5pbmZlcm1lc2guc3RhdGUudjEuR2V0TW9kZWxTdGF0ZXNSZXNwb25zZSIDkAIBKAAwABJqCgxHZXRHcHVTdGF0ZXMSJy5pbmZlcm1lc2guc3RhdGUudjEuR2V0R3B1U3RhdGVzUmVxdWVzdBooLmluZmVybWVzaC5zdGF0ZS52MS5HZXRHcHVTdGF0ZXNSZXNwb25zZSIDkAIBKAAwABJwCg5MaXN0Tm9kZVN0YXRlcxIpLmluZmVybWVzaC5zdGF0ZS52MS5MaXN0Tm9kZVN0YXRlc1JlcXVlc3QaKi5pbmZlcm1lc2guc3RhdGUudjEuTGlzdE5vZGVTdGF0ZXNSZXNwb25zZSIDkAIBKAAwAGIGcHJvdG8z"
  },
  {
   "file": "grpc/health/v1/health.proto",
   "dependencies": [],
   "services": [
    "grpc.health.v1.Health"
   ],
   "symbols": [
    "grpc.health.v1.HealthCheckRequest",
    "grpc.health.v1.HealthCheckResponse",
    "grpc.health.v1.HealthCheckResponse.ServingStatus",
    "grpc.health.v1.Health",
    "grpc.health.v1.Health.Check",
    "grpc.health.v1.Health.Watch"
   ],
   "bytes": "ChtncnBjL2hlYWx0aC92MS9oZWFsdGgucHJvdG8SDmdycGMuaGVhbHRoLnYxIi4KEkhlYWx0aENoZWNrUmVxdWVzdBIYCgdzZXJ2aWNlGAEgASgJUgdzZXJ2aWNlIrEBChNIZWFsdGhDaGVja1Jlc3BvbnNlEkkKBnN0YXR1cxgBIAEoDjIxLmdycGMuaGVhbHRoLnYxLkhlYWx0aENoZWNrUmVzcG9uc2UuU2VydmluZ1N0YXR1c1IGc3RhdHVzIk8KDVNlcnZpbmdTdGF0dXMSCwoHVU5LTk9XThAAEgsKB1NFUlZJTkcQARIPCgtOT1RfU0VSVklORxACEhMKD1NFUlZJQ0VfVU5LTk9XThADMrQBCgZIZWFsdGgSVAoFQ2hlY2sSIi5ncnBjLmhlYWx0aC52MS5IZWFsdGhDaGVja1JlcXVlc3QaIy5ncnBjLmhlYWx0aC52MS5IZWFsdGhDaGVja1Jlc3BvbnNlKAAwABJUCgVXYXRjaBIiLmdycGMuaGVhbHRoLnYxLkhlYWx0aENoZWNrUmVxdWVzdBojLmdycGMuaGVhbHRoLnYxLkhlYWx0aENoZWNrUmVzcG9uc2UoADABYgZwcm90bzM="
  }
 ]
};
