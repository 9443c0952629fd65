// Generated from proto/ by scripts/generate-proto.ts: never edit. source 70604692b0950b368174c815 output 2f79f739e3d3b5bab44d2fcf
import * as $protobuf from "protobufjs/minimal.js";

/** Namespace infermesh. */
export namespace infermesh {

    /** Namespace state. */
    namespace state {

        /** Namespace v1. */
        namespace v1 {

            /**
             * Properties of a Labels.
             * @deprecated Use infermesh.state.v1.Labels.$Properties instead.
             */
            interface ILabels extends infermesh.state.v1.Labels.$Properties {
            }

            /** Represents a Labels. */
            class Labels {

                /**
                 * Constructs a new Labels.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.Labels.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Labels model. */
                model: string;

                /** Labels revision. */
                revision: string;

                /** Labels quant. */
                quant: string;

                /** Labels runtime. */
                runtime: string;

                /** Labels node. */
                node: string;

                /** Labels gpuUuid. */
                gpuUuid: string;

                /** Labels migProfile. */
                migProfile: string;

                /** Labels tenant. */
                tenant: string;

                /** Labels zone. */
                zone: string;

                /** Labels custom. */
                custom: { [k: string]: string };

                /**
                 * Creates a new Labels instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns Labels instance
                 */
                static create(properties: infermesh.state.v1.Labels.$Shape): infermesh.state.v1.Labels & infermesh.state.v1.Labels.$Shape;
                static create(properties?: infermesh.state.v1.Labels.$Properties): infermesh.state.v1.Labels;

                /**
                 * Encodes the specified Labels message. Does not implicitly {@link infermesh.state.v1.Labels.verify|verify} messages.
                 * @param message Labels message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.Labels.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a Labels message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.Labels & infermesh.state.v1.Labels.$Shape} Labels
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.Labels & infermesh.state.v1.Labels.$Shape;

                /**
                 * Creates a Labels message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns Labels
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.Labels;

                /**
                 * Creates a plain object from a Labels message. Also converts values to other types if specified.
                 * @param message Labels
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.Labels, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this Labels to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace Labels {

                /** Properties of a Labels. */
                interface $Properties {

                    /** Labels model */
                    model?: (string|null);

                    /** Labels revision */
                    revision?: (string|null);

                    /** Labels quant */
                    quant?: (string|null);

                    /** Labels runtime */
                    runtime?: (string|null);

                    /** Labels node */
                    node?: (string|null);

                    /** Labels gpuUuid */
                    gpuUuid?: (string|null);

                    /** Labels migProfile */
                    migProfile?: (string|null);

                    /** Labels tenant */
                    tenant?: (string|null);

                    /** Labels zone */
                    zone?: (string|null);

                    /** Labels custom */
                    custom?: ({ [k: string]: string }|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a Labels. */
                type $Shape = infermesh.state.v1.Labels.$Properties;
            }

            /** ModelStatus enum. */
            enum ModelStatus {

                /** MODEL_STATUS_UNSPECIFIED value */
                MODEL_STATUS_UNSPECIFIED = 0,

                /** MODEL_STATUS_LOADING value */
                MODEL_STATUS_LOADING = 1,

                /** MODEL_STATUS_READY value */
                MODEL_STATUS_READY = 2,

                /** MODEL_STATUS_DRAINING value */
                MODEL_STATUS_DRAINING = 3,

                /** MODEL_STATUS_FAILED value */
                MODEL_STATUS_FAILED = 4,

                /** MODEL_STATUS_AVAILABLE value */
                MODEL_STATUS_AVAILABLE = 5,

                /** MODEL_STATUS_WARMING value */
                MODEL_STATUS_WARMING = 6,

                /** MODEL_STATUS_UNLOADING value */
                MODEL_STATUS_UNLOADING = 7
            }

            /**
             * Properties of a Quantile.
             * @deprecated Use infermesh.state.v1.Quantile.$Properties instead.
             */
            interface IQuantile extends infermesh.state.v1.Quantile.$Properties {
            }

            /** Represents a Quantile. */
            class Quantile {

                /**
                 * Constructs a new Quantile.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.Quantile.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Quantile quantile. */
                quantile: number;

                /** Quantile seconds. */
                seconds: number;

                /**
                 * Creates a new Quantile instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns Quantile instance
                 */
                static create(properties: infermesh.state.v1.Quantile.$Shape): infermesh.state.v1.Quantile & infermesh.state.v1.Quantile.$Shape;
                static create(properties?: infermesh.state.v1.Quantile.$Properties): infermesh.state.v1.Quantile;

                /**
                 * Encodes the specified Quantile message. Does not implicitly {@link infermesh.state.v1.Quantile.verify|verify} messages.
                 * @param message Quantile message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.Quantile.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a Quantile message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.Quantile & infermesh.state.v1.Quantile.$Shape} Quantile
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.Quantile & infermesh.state.v1.Quantile.$Shape;

                /**
                 * Creates a Quantile message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns Quantile
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.Quantile;

                /**
                 * Creates a plain object from a Quantile message. Also converts values to other types if specified.
                 * @param message Quantile
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.Quantile, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this Quantile to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace Quantile {

                /** Properties of a Quantile. */
                interface $Properties {

                    /** Quantile quantile */
                    quantile?: (number|null);

                    /** Quantile seconds */
                    seconds?: (number|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a Quantile. */
                type $Shape = infermesh.state.v1.Quantile.$Properties;
            }

            /**
             * Properties of a ModelState.
             * @deprecated Use infermesh.state.v1.ModelState.$Properties instead.
             */
            interface IModelState extends infermesh.state.v1.ModelState.$Properties {
            }

            /** Represents a ModelState. */
            class ModelState {

                /**
                 * Constructs a new ModelState.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.ModelState.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** ModelState labels. */
                labels?: (infermesh.state.v1.Labels.$Properties|null);

                /** ModelState status. */
                status: infermesh.state.v1.ModelStatus;

                /** ModelState runningRequests. */
                runningRequests: number;

                /** ModelState waitingRequests. */
                waitingRequests: number;

                /** ModelState queuedPrefillTokens. */
                queuedPrefillTokens?: (number|null);

                /** ModelState kvUsage. */
                kvUsage?: (number|null);

                /** ModelState kvCapacityTokens. */
                kvCapacityTokens?: (number|null);

                /** ModelState prefillTokensPerSecond. */
                prefillTokensPerSecond?: (number|null);

                /** ModelState decodeTokensPerSecond. */
                decodeTokensPerSecond?: (number|null);

                /** ModelState slots. */
                slots?: (number|null);

                /** ModelState timeToFirstToken. */
                timeToFirstToken: infermesh.state.v1.Quantile.$Properties[];

                /** ModelState interTokenLatency. */
                interTokenLatency: infermesh.state.v1.Quantile.$Properties[];

                /** ModelState runtime. */
                runtime: string;

                /** ModelState reason. */
                reason: string;

                /** ModelState parent. */
                parent: string;

                /** ModelState contextTokensMax. */
                contextTokensMax?: (number|null);

                /** ModelState capabilities. */
                capabilities: string[];

                /** ModelState cacheHitRate. */
                cacheHitRate?: (number|null);

                /** ModelState preemptionsPerSecond. */
                preemptionsPerSecond?: (number|null);

                /** ModelState workLeftSeconds. */
                workLeftSeconds?: (number|null);

                /** ModelState loadSeconds. */
                loadSeconds?: (number|null);

                /** ModelState figuresAgeSeconds. */
                figuresAgeSeconds?: (number|null);

                /**
                 * Creates a new ModelState instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns ModelState instance
                 */
                static create(properties: infermesh.state.v1.ModelState.$Shape): infermesh.state.v1.ModelState & infermesh.state.v1.ModelState.$Shape;
                static create(properties?: infermesh.state.v1.ModelState.$Properties): infermesh.state.v1.ModelState;

                /**
                 * Encodes the specified ModelState message. Does not implicitly {@link infermesh.state.v1.ModelState.verify|verify} messages.
                 * @param message ModelState message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.ModelState.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a ModelState message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.ModelState & infermesh.state.v1.ModelState.$Shape} ModelState
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.ModelState & infermesh.state.v1.ModelState.$Shape;

                /**
                 * Creates a ModelState message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns ModelState
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.ModelState;

                /**
                 * Creates a plain object from a ModelState message. Also converts values to other types if specified.
                 * @param message ModelState
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.ModelState, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this ModelState to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace ModelState {

                /** Properties of a ModelState. */
                interface $Properties {

                    /** ModelState labels */
                    labels?: (infermesh.state.v1.Labels.$Properties|null);

                    /** ModelState status */
                    status?: (infermesh.state.v1.ModelStatus|null);

                    /** ModelState runningRequests */
                    runningRequests?: (number|null);

                    /** ModelState waitingRequests */
                    waitingRequests?: (number|null);

                    /** ModelState queuedPrefillTokens */
                    queuedPrefillTokens?: (number|null);

                    /** ModelState kvUsage */
                    kvUsage?: (number|null);

                    /** ModelState kvCapacityTokens */
                    kvCapacityTokens?: (number|null);

                    /** ModelState prefillTokensPerSecond */
                    prefillTokensPerSecond?: (number|null);

                    /** ModelState decodeTokensPerSecond */
                    decodeTokensPerSecond?: (number|null);

                    /** ModelState slots */
                    slots?: (number|null);

                    /** ModelState timeToFirstToken */
                    timeToFirstToken?: (infermesh.state.v1.Quantile.$Properties[]|null);

                    /** ModelState interTokenLatency */
                    interTokenLatency?: (infermesh.state.v1.Quantile.$Properties[]|null);

                    /** ModelState runtime */
                    runtime?: (string|null);

                    /** ModelState reason */
                    reason?: (string|null);

                    /** ModelState parent */
                    parent?: (string|null);

                    /** ModelState contextTokensMax */
                    contextTokensMax?: (number|null);

                    /** ModelState capabilities */
                    capabilities?: (string[]|null);

                    /** ModelState cacheHitRate */
                    cacheHitRate?: (number|null);

                    /** ModelState preemptionsPerSecond */
                    preemptionsPerSecond?: (number|null);

                    /** ModelState workLeftSeconds */
                    workLeftSeconds?: (number|null);

                    /** ModelState loadSeconds */
                    loadSeconds?: (number|null);

                    /** ModelState figuresAgeSeconds */
                    figuresAgeSeconds?: (number|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a ModelState. */
                type $Shape = infermesh.state.v1.ModelState.$Properties;
            }

            /**
             * Properties of an Endpoint.
             * @deprecated Use infermesh.state.v1.Endpoint.$Properties instead.
             */
            interface IEndpoint extends infermesh.state.v1.Endpoint.$Properties {
            }

            /** Represents an Endpoint. */
            class Endpoint {

                /**
                 * Constructs a new Endpoint.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.Endpoint.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Endpoint name. */
                name: string;

                /** Endpoint address. */
                address: string;

                /** Endpoint protocol. */
                protocol: string;

                /** Endpoint tls. */
                tls: boolean;

                /**
                 * Creates a new Endpoint instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns Endpoint instance
                 */
                static create(properties: infermesh.state.v1.Endpoint.$Shape): infermesh.state.v1.Endpoint & infermesh.state.v1.Endpoint.$Shape;
                static create(properties?: infermesh.state.v1.Endpoint.$Properties): infermesh.state.v1.Endpoint;

                /**
                 * Encodes the specified Endpoint message. Does not implicitly {@link infermesh.state.v1.Endpoint.verify|verify} messages.
                 * @param message Endpoint message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.Endpoint.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes an Endpoint message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.Endpoint & infermesh.state.v1.Endpoint.$Shape} Endpoint
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.Endpoint & infermesh.state.v1.Endpoint.$Shape;

                /**
                 * Creates an Endpoint message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns Endpoint
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.Endpoint;

                /**
                 * Creates a plain object from an Endpoint message. Also converts values to other types if specified.
                 * @param message Endpoint
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.Endpoint, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this Endpoint to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace Endpoint {

                /** Properties of an Endpoint. */
                interface $Properties {

                    /** Endpoint name */
                    name?: (string|null);

                    /** Endpoint address */
                    address?: (string|null);

                    /** Endpoint protocol */
                    protocol?: (string|null);

                    /** Endpoint tls */
                    tls?: (boolean|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of an Endpoint. */
                type $Shape = infermesh.state.v1.Endpoint.$Properties;
            }

            /**
             * Properties of a RuntimeState.
             * @deprecated Use infermesh.state.v1.RuntimeState.$Properties instead.
             */
            interface IRuntimeState extends infermesh.state.v1.RuntimeState.$Properties {
            }

            /** Represents a RuntimeState. */
            class RuntimeState {

                /**
                 * Constructs a new RuntimeState.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.RuntimeState.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** RuntimeState name. */
                name: string;

                /** RuntimeState kind. */
                kind: string;

                /** RuntimeState version. */
                version: string;

                /** RuntimeState ready. */
                ready: boolean;

                /** RuntimeState draining. */
                draining: boolean;

                /** RuntimeState state. */
                state: string;

                /** RuntimeState message. */
                message: string;

                /** RuntimeState sinceMs. */
                sinceMs: number;

                /** RuntimeState endpoints. */
                endpoints: infermesh.state.v1.Endpoint.$Properties[];

                /**
                 * Creates a new RuntimeState instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns RuntimeState instance
                 */
                static create(properties: infermesh.state.v1.RuntimeState.$Shape): infermesh.state.v1.RuntimeState & infermesh.state.v1.RuntimeState.$Shape;
                static create(properties?: infermesh.state.v1.RuntimeState.$Properties): infermesh.state.v1.RuntimeState;

                /**
                 * Encodes the specified RuntimeState message. Does not implicitly {@link infermesh.state.v1.RuntimeState.verify|verify} messages.
                 * @param message RuntimeState message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.RuntimeState.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a RuntimeState message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.RuntimeState & infermesh.state.v1.RuntimeState.$Shape} RuntimeState
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.RuntimeState & infermesh.state.v1.RuntimeState.$Shape;

                /**
                 * Creates a RuntimeState message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns RuntimeState
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.RuntimeState;

                /**
                 * Creates a plain object from a RuntimeState message. Also converts values to other types if specified.
                 * @param message RuntimeState
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.RuntimeState, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this RuntimeState to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace RuntimeState {

                /** Properties of a RuntimeState. */
                interface $Properties {

                    /** RuntimeState name */
                    name?: (string|null);

                    /** RuntimeState kind */
                    kind?: (string|null);

                    /** RuntimeState version */
                    version?: (string|null);

                    /** RuntimeState ready */
                    ready?: (boolean|null);

                    /** RuntimeState draining */
                    draining?: (boolean|null);

                    /** RuntimeState state */
                    state?: (string|null);

                    /** RuntimeState message */
                    message?: (string|null);

                    /** RuntimeState sinceMs */
                    sinceMs?: (number|null);

                    /** RuntimeState endpoints */
                    endpoints?: (infermesh.state.v1.Endpoint.$Properties[]|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a RuntimeState. */
                type $Shape = infermesh.state.v1.RuntimeState.$Properties;
            }

            /** GpuHealth enum. */
            enum GpuHealth {

                /** GPU_HEALTH_UNSPECIFIED value */
                GPU_HEALTH_UNSPECIFIED = 0,

                /** GPU_HEALTH_HEALTHY value */
                GPU_HEALTH_HEALTHY = 1,

                /** GPU_HEALTH_DEGRADED value */
                GPU_HEALTH_DEGRADED = 2,

                /** GPU_HEALTH_QUARANTINED value */
                GPU_HEALTH_QUARANTINED = 3
            }

            /**
             * Properties of a GpuState.
             * @deprecated Use infermesh.state.v1.GpuState.$Properties instead.
             */
            interface IGpuState extends infermesh.state.v1.GpuState.$Properties {
            }

            /** Represents a GpuState. */
            class GpuState {

                /**
                 * Constructs a new GpuState.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.GpuState.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** GpuState labels. */
                labels?: (infermesh.state.v1.Labels.$Properties|null);

                /** GpuState index. */
                index: number;

                /** GpuState name. */
                name: string;

                /** GpuState memoryTotalBytes. */
                memoryTotalBytes?: (number|null);

                /** GpuState memoryUsedBytes. */
                memoryUsedBytes?: (number|null);

                /** GpuState utilization. */
                utilization?: (number|null);

                /** GpuState powerWatts. */
                powerWatts?: (number|null);

                /** GpuState powerLimitWatts. */
                powerLimitWatts?: (number|null);

                /** GpuState temperatureCelsius. */
                temperatureCelsius?: (number|null);

                /** GpuState throttleReasons. */
                throttleReasons: string[];

                /** GpuState health. */
                health: infermesh.state.v1.GpuHealth;

                /** GpuState healthReason. */
                healthReason?: (string|null);

                /** GpuState healthSinceMs. */
                healthSinceMs?: (number|null);

                /** GpuState models. */
                models: string[];

                /** GpuState runtimes. */
                runtimes: string[];

                /**
                 * Creates a new GpuState instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns GpuState instance
                 */
                static create(properties: infermesh.state.v1.GpuState.$Shape): infermesh.state.v1.GpuState & infermesh.state.v1.GpuState.$Shape;
                static create(properties?: infermesh.state.v1.GpuState.$Properties): infermesh.state.v1.GpuState;

                /**
                 * Encodes the specified GpuState message. Does not implicitly {@link infermesh.state.v1.GpuState.verify|verify} messages.
                 * @param message GpuState message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.GpuState.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a GpuState message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.GpuState & infermesh.state.v1.GpuState.$Shape} GpuState
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.GpuState & infermesh.state.v1.GpuState.$Shape;

                /**
                 * Creates a GpuState message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns GpuState
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.GpuState;

                /**
                 * Creates a plain object from a GpuState message. Also converts values to other types if specified.
                 * @param message GpuState
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.GpuState, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this GpuState to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace GpuState {

                /** Properties of a GpuState. */
                interface $Properties {

                    /** GpuState labels */
                    labels?: (infermesh.state.v1.Labels.$Properties|null);

                    /** GpuState index */
                    index?: (number|null);

                    /** GpuState name */
                    name?: (string|null);

                    /** GpuState memoryTotalBytes */
                    memoryTotalBytes?: (number|null);

                    /** GpuState memoryUsedBytes */
                    memoryUsedBytes?: (number|null);

                    /** GpuState utilization */
                    utilization?: (number|null);

                    /** GpuState powerWatts */
                    powerWatts?: (number|null);

                    /** GpuState powerLimitWatts */
                    powerLimitWatts?: (number|null);

                    /** GpuState temperatureCelsius */
                    temperatureCelsius?: (number|null);

                    /** GpuState throttleReasons */
                    throttleReasons?: (string[]|null);

                    /** GpuState health */
                    health?: (infermesh.state.v1.GpuHealth|null);

                    /** GpuState healthReason */
                    healthReason?: (string|null);

                    /** GpuState healthSinceMs */
                    healthSinceMs?: (number|null);

                    /** GpuState models */
                    models?: (string[]|null);

                    /** GpuState runtimes */
                    runtimes?: (string[]|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a GpuState. */
                type $Shape = infermesh.state.v1.GpuState.$Properties;
            }

            /**
             * Properties of a Vitals.
             * @deprecated Use infermesh.state.v1.Vitals.$Properties instead.
             */
            interface IVitals extends infermesh.state.v1.Vitals.$Properties {
            }

            /** Represents a Vitals. */
            class Vitals {

                /**
                 * Constructs a new Vitals.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.Vitals.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Vitals requestsInProgress. */
                requestsInProgress: number;

                /** Vitals cpuUsage. */
                cpuUsage?: (number|null);

                /** Vitals memoryUsage. */
                memoryUsage?: (number|null);

                /** Vitals gpuUsage. */
                gpuUsage?: (number|null);

                /** Vitals failedResponses. */
                failedResponses: number;

                /** Vitals connectedPeers. */
                connectedPeers: number;

                /** Vitals backoffRequests. */
                backoffRequests: number;

                /** Vitals uptimeSeconds. */
                uptimeSeconds: number;

                /**
                 * Creates a new Vitals instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns Vitals instance
                 */
                static create(properties: infermesh.state.v1.Vitals.$Shape): infermesh.state.v1.Vitals & infermesh.state.v1.Vitals.$Shape;
                static create(properties?: infermesh.state.v1.Vitals.$Properties): infermesh.state.v1.Vitals;

                /**
                 * Encodes the specified Vitals message. Does not implicitly {@link infermesh.state.v1.Vitals.verify|verify} messages.
                 * @param message Vitals message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.Vitals.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a Vitals message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.Vitals & infermesh.state.v1.Vitals.$Shape} Vitals
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.Vitals & infermesh.state.v1.Vitals.$Shape;

                /**
                 * Creates a Vitals message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns Vitals
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.Vitals;

                /**
                 * Creates a plain object from a Vitals message. Also converts values to other types if specified.
                 * @param message Vitals
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.Vitals, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this Vitals to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace Vitals {

                /** Properties of a Vitals. */
                interface $Properties {

                    /** Vitals requestsInProgress */
                    requestsInProgress?: (number|null);

                    /** Vitals cpuUsage */
                    cpuUsage?: (number|null);

                    /** Vitals memoryUsage */
                    memoryUsage?: (number|null);

                    /** Vitals gpuUsage */
                    gpuUsage?: (number|null);

                    /** Vitals failedResponses */
                    failedResponses?: (number|null);

                    /** Vitals connectedPeers */
                    connectedPeers?: (number|null);

                    /** Vitals backoffRequests */
                    backoffRequests?: (number|null);

                    /** Vitals uptimeSeconds */
                    uptimeSeconds?: (number|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a Vitals. */
                type $Shape = infermesh.state.v1.Vitals.$Properties;
            }

            /**
             * Properties of an Addresses.
             * @deprecated Use infermesh.state.v1.Addresses.$Properties instead.
             */
            interface IAddresses extends infermesh.state.v1.Addresses.$Properties {
            }

            /** Represents an Addresses. */
            class Addresses {

                /**
                 * Constructs a new Addresses.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.Addresses.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** Addresses serve. */
                serve: string;

                /** Addresses api. */
                api: string;

                /** Addresses metrics. */
                metrics: string;

                /** Addresses gossip. */
                gossip: string;

                /**
                 * Creates a new Addresses instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns Addresses instance
                 */
                static create(properties: infermesh.state.v1.Addresses.$Shape): infermesh.state.v1.Addresses & infermesh.state.v1.Addresses.$Shape;
                static create(properties?: infermesh.state.v1.Addresses.$Properties): infermesh.state.v1.Addresses;

                /**
                 * Encodes the specified Addresses message. Does not implicitly {@link infermesh.state.v1.Addresses.verify|verify} messages.
                 * @param message Addresses message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.Addresses.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes an Addresses message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.Addresses & infermesh.state.v1.Addresses.$Shape} Addresses
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.Addresses & infermesh.state.v1.Addresses.$Shape;

                /**
                 * Creates an Addresses message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns Addresses
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.Addresses;

                /**
                 * Creates a plain object from an Addresses message. Also converts values to other types if specified.
                 * @param message Addresses
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.Addresses, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this Addresses to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace Addresses {

                /** Properties of an Addresses. */
                interface $Properties {

                    /** Addresses serve */
                    serve?: (string|null);

                    /** Addresses api */
                    api?: (string|null);

                    /** Addresses metrics */
                    metrics?: (string|null);

                    /** Addresses gossip */
                    gossip?: (string|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of an Addresses. */
                type $Shape = infermesh.state.v1.Addresses.$Properties;
            }

            /**
             * Properties of a NodeState.
             * @deprecated Use infermesh.state.v1.NodeState.$Properties instead.
             */
            interface INodeState extends infermesh.state.v1.NodeState.$Properties {
            }

            /** Represents a NodeState. */
            class NodeState {

                /**
                 * Constructs a new NodeState.
                 * @param [properties] Properties to set
                 */
                constructor(properties?: infermesh.state.v1.NodeState.$Properties);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];

                /** NodeState id. */
                id: string;

                /** NodeState incarnation. */
                incarnation: number;

                /** NodeState role. */
                role: string;

                /** NodeState version. */
                version: string;

                /** NodeState zone. */
                zone: string;

                /** NodeState ready. */
                ready: boolean;

                /** NodeState observedAtMs. */
                observedAtMs: number;

                /** NodeState addresses. */
                addresses?: (infermesh.state.v1.Addresses.$Properties|null);

                /** NodeState vitals. */
                vitals?: (infermesh.state.v1.Vitals.$Properties|null);

                /** NodeState models. */
                models: infermesh.state.v1.ModelState.$Properties[];

                /** NodeState gpus. */
                gpus: infermesh.state.v1.GpuState.$Properties[];

                /** NodeState labels. */
                labels?: (infermesh.state.v1.Labels.$Properties|null);

                /** NodeState draining. */
                draining?: (boolean|null);

                /** NodeState runtimes. */
                runtimes: infermesh.state.v1.RuntimeState.$Properties[];

                /**
                 * Creates a new NodeState instance using the specified properties.
                 * @param [properties] Properties to set
                 * @returns NodeState instance
                 */
                static create(properties: infermesh.state.v1.NodeState.$Shape): infermesh.state.v1.NodeState & infermesh.state.v1.NodeState.$Shape;
                static create(properties?: infermesh.state.v1.NodeState.$Properties): infermesh.state.v1.NodeState;

                /**
                 * Encodes the specified NodeState message. Does not implicitly {@link infermesh.state.v1.NodeState.verify|verify} messages.
                 * @param message NodeState message or plain object to encode
                 * @param [writer] Writer to encode to
                 * @returns Writer
                 */
                static encode(message: infermesh.state.v1.NodeState.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

                /**
                 * Decodes a NodeState message from the specified reader or buffer.
                 * @param reader Reader or buffer to decode from
                 * @param [length] Message length if known beforehand
                 * @returns {infermesh.state.v1.NodeState & infermesh.state.v1.NodeState.$Shape} NodeState
                 * @throws {Error} If the payload is not a reader or valid buffer
                 * @throws {$protobuf.util.ProtocolError} If required fields are missing
                 */
                static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): infermesh.state.v1.NodeState & infermesh.state.v1.NodeState.$Shape;

                /**
                 * Creates a NodeState message from a plain object. Also converts values to their respective internal types.
                 * @param object Plain object
                 * @returns NodeState
                 */
                static fromObject(object: { [k: string]: any }): infermesh.state.v1.NodeState;

                /**
                 * Creates a plain object from a NodeState message. Also converts values to other types if specified.
                 * @param message NodeState
                 * @param [options] Conversion options
                 * @returns Plain object
                 */
                static toObject(message: infermesh.state.v1.NodeState, options?: $protobuf.IConversionOptions): { [k: string]: any };

                /**
                 * Converts this NodeState to JSON.
                 * @returns JSON object
                 */
                toJSON(): { [k: string]: any };
            }

            namespace NodeState {

                /** Properties of a NodeState. */
                interface $Properties {

                    /** NodeState id */
                    id?: (string|null);

                    /** NodeState incarnation */
                    incarnation?: (number|null);

                    /** NodeState role */
                    role?: (string|null);

                    /** NodeState version */
                    version?: (string|null);

                    /** NodeState zone */
                    zone?: (string|null);

                    /** NodeState ready */
                    ready?: (boolean|null);

                    /** NodeState observedAtMs */
                    observedAtMs?: (number|null);

                    /** NodeState addresses */
                    addresses?: (infermesh.state.v1.Addresses.$Properties|null);

                    /** NodeState vitals */
                    vitals?: (infermesh.state.v1.Vitals.$Properties|null);

                    /** NodeState models */
                    models?: (infermesh.state.v1.ModelState.$Properties[]|null);

                    /** NodeState gpus */
                    gpus?: (infermesh.state.v1.GpuState.$Properties[]|null);

                    /** NodeState labels */
                    labels?: (infermesh.state.v1.Labels.$Properties|null);

                    /** NodeState draining */
                    draining?: (boolean|null);

                    /** NodeState runtimes */
                    runtimes?: (infermesh.state.v1.RuntimeState.$Properties[]|null);

                    /** Unknown fields preserved while decoding when enabled */
                    $unknowns?: Uint8Array[];
                }

                /** Shape of a NodeState. */
                type $Shape = infermesh.state.v1.NodeState.$Properties;
            }
        }
    }
}

export import Labels = infermesh.state.v1.Labels;
export import ModelStatus = infermesh.state.v1.ModelStatus;
export import Quantile = infermesh.state.v1.Quantile;
export import ModelState = infermesh.state.v1.ModelState;
export import Endpoint = infermesh.state.v1.Endpoint;
export import RuntimeState = infermesh.state.v1.RuntimeState;
export import GpuHealth = infermesh.state.v1.GpuHealth;
export import GpuState = infermesh.state.v1.GpuState;
export import Vitals = infermesh.state.v1.Vitals;
export import Addresses = infermesh.state.v1.Addresses;
export import NodeState = infermesh.state.v1.NodeState;
