// Generated from proto/ by scripts/generate-proto.ts: never edit. source 70604692b0950b368174c815 output a99af9a68c694ed1513bc9b5
/*eslint-disable block-scoped-var, id-length, no-control-regex, no-magic-numbers, no-mixed-operators, no-prototype-builtins, no-redeclare, no-shadow, no-var, sort-vars, default-case, jsdoc/require-param*/
import $protobuf from "protobufjs/minimal.js";
$protobuf.util.Long = null;
$protobuf.configure();

const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;
const $Object = $util.global.Object, $undefined = $util.global.undefined, $Error = $util.global.Error, $RangeError = $util.global.RangeError, $TypeError = $util.global.TypeError, $String = $util.global.String, $Number = $util.global.Number, $isFinite = $util.global.isFinite, $parseInt = $util.global.parseInt, $Array = $util.global.Array, $BigInt = $util.global.BigInt, $Boolean = $util.global.Boolean;

const $root = $protobuf.roots["default"] || ($protobuf.roots["default"] = {});

export const infermesh = $root.infermesh = (() => {

    const infermesh = {};

    infermesh.state = (function() {

        const state = {};

        state.v1 = (function() {

            const v1 = {};

            v1.Labels = (function() {

                const Labels = function (properties) {
                    this.custom = {};
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                Labels.prototype.model = "";
                Labels.prototype.revision = "";
                Labels.prototype.quant = "";
                Labels.prototype.runtime = "";
                Labels.prototype.node = "";
                Labels.prototype.gpuUuid = "";
                Labels.prototype.migProfile = "";
                Labels.prototype.tenant = "";
                Labels.prototype.zone = "";
                Labels.prototype.custom = $util.emptyObject;

                Labels.create = function(properties) {
                    return new Labels(properties);
                };

                Labels.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.model != null && $Object.hasOwnProperty.call(message, "model") && message.model !== "")
                        writer.uint32(10).string(message.model);
                    if (message.revision != null && $Object.hasOwnProperty.call(message, "revision") && message.revision !== "")
                        writer.uint32(18).string(message.revision);
                    if (message.quant != null && $Object.hasOwnProperty.call(message, "quant") && message.quant !== "")
                        writer.uint32(26).string(message.quant);
                    if (message.runtime != null && $Object.hasOwnProperty.call(message, "runtime") && message.runtime !== "")
                        writer.uint32(34).string(message.runtime);
                    if (message.node != null && $Object.hasOwnProperty.call(message, "node") && message.node !== "")
                        writer.uint32(42).string(message.node);
                    if (message.gpuUuid != null && $Object.hasOwnProperty.call(message, "gpuUuid") && message.gpuUuid !== "")
                        writer.uint32(50).string(message.gpuUuid);
                    if (message.migProfile != null && $Object.hasOwnProperty.call(message, "migProfile") && message.migProfile !== "")
                        writer.uint32(58).string(message.migProfile);
                    if (message.tenant != null && $Object.hasOwnProperty.call(message, "tenant") && message.tenant !== "")
                        writer.uint32(66).string(message.tenant);
                    if (message.zone != null && $Object.hasOwnProperty.call(message, "zone") && message.zone !== "")
                        writer.uint32(74).string(message.zone);
                    if (message.custom != null && $Object.hasOwnProperty.call(message, "custom"))
                        for (let keys = $Object.keys(message.custom), i = 0; i < keys.length; ++i)
                            writer.uint32(82).fork().uint32(10).string(keys[i]).uint32(18).string(message.custom[keys[i]]).ldelim();
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                Labels.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, key, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.Labels();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.model = value;
                                else
                                    delete message.model;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.revision = value;
                                else
                                    delete message.revision;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.quant = value;
                                else
                                    delete message.quant;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.runtime = value;
                                else
                                    delete message.runtime;
                                continue;
                            }
                        case 5: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.node = value;
                                else
                                    delete message.node;
                                continue;
                            }
                        case 6: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.gpuUuid = value;
                                else
                                    delete message.gpuUuid;
                                continue;
                            }
                        case 7: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.migProfile = value;
                                else
                                    delete message.migProfile;
                                continue;
                            }
                        case 8: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.tenant = value;
                                else
                                    delete message.tenant;
                                continue;
                            }
                        case 9: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.zone = value;
                                else
                                    delete message.zone;
                                continue;
                            }
                        case 10: {
                                if (wireType !== 2)
                                    break;
                                if (message.custom === $util.emptyObject)
                                    message.custom = {};
                                let end2 = reader.size() + reader.pos;
                                if (end2 > reader.len)
                                    throw $RangeError("index out of range");
                                reader.len = end2;
                                key = "";
                                value = "";
                                while (reader.pos < end2) {
                                    let tag2 = reader.tag();
                                    wireType = tag2 & 7;
                                    switch (tag2 >>>= 3) {
                                    case 1:
                                        if (wireType !== 2)
                                            break;
                                        key = reader.stringVerify();
                                        continue;
                                    case 2:
                                        if (wireType !== 2)
                                            break;
                                        value = reader.stringVerify();
                                        continue;
                                    }
                                    reader.skipType(wireType, _depth, tag2);
                                }
                                if (reader.pos !== end2)
                                    throw $RangeError("index out of range");
                                reader.len = end;
                                if (key === "__proto__")
                                    $util.makeProp(message.custom, key);
                                message.custom[key] = value;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                Labels.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.Labels)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.Labels: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.Labels();
                    if (object.model != null)
                        if (typeof object.model !== "string" || object.model.length)
                            message.model = $String(object.model);
                    if (object.revision != null)
                        if (typeof object.revision !== "string" || object.revision.length)
                            message.revision = $String(object.revision);
                    if (object.quant != null)
                        if (typeof object.quant !== "string" || object.quant.length)
                            message.quant = $String(object.quant);
                    if (object.runtime != null)
                        if (typeof object.runtime !== "string" || object.runtime.length)
                            message.runtime = $String(object.runtime);
                    if (object.node != null)
                        if (typeof object.node !== "string" || object.node.length)
                            message.node = $String(object.node);
                    if (object.gpuUuid != null)
                        if (typeof object.gpuUuid !== "string" || object.gpuUuid.length)
                            message.gpuUuid = $String(object.gpuUuid);
                    if (object.migProfile != null)
                        if (typeof object.migProfile !== "string" || object.migProfile.length)
                            message.migProfile = $String(object.migProfile);
                    if (object.tenant != null)
                        if (typeof object.tenant !== "string" || object.tenant.length)
                            message.tenant = $String(object.tenant);
                    if (object.zone != null)
                        if (typeof object.zone !== "string" || object.zone.length)
                            message.zone = $String(object.zone);
                    if (object.custom) {
                        if (!$util.isObject(object.custom))
                            throw $TypeError(".infermesh.state.v1.Labels.custom: object expected");
                        message.custom = {};
                        for (let keys = $Object.keys(object.custom), i = 0; i < keys.length; ++i) {
                            if (keys[i] === "__proto__")
                                $util.makeProp(message.custom, keys[i]);
                            message.custom[keys[i]] = $String(object.custom[keys[i]]);
                        }
                    }
                    return message;
                };

                Labels.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.objects || options.defaults)
                        object.custom = {};
                    if (options.defaults) {
                        object.model = "";
                        object.revision = "";
                        object.quant = "";
                        object.runtime = "";
                        object.node = "";
                        object.gpuUuid = "";
                        object.migProfile = "";
                        object.tenant = "";
                        object.zone = "";
                    }
                    if (message.model != null && $Object.hasOwnProperty.call(message, "model"))
                        object.model = message.model;
                    if (message.revision != null && $Object.hasOwnProperty.call(message, "revision"))
                        object.revision = message.revision;
                    if (message.quant != null && $Object.hasOwnProperty.call(message, "quant"))
                        object.quant = message.quant;
                    if (message.runtime != null && $Object.hasOwnProperty.call(message, "runtime"))
                        object.runtime = message.runtime;
                    if (message.node != null && $Object.hasOwnProperty.call(message, "node"))
                        object.node = message.node;
                    if (message.gpuUuid != null && $Object.hasOwnProperty.call(message, "gpuUuid"))
                        object.gpuUuid = message.gpuUuid;
                    if (message.migProfile != null && $Object.hasOwnProperty.call(message, "migProfile"))
                        object.migProfile = message.migProfile;
                    if (message.tenant != null && $Object.hasOwnProperty.call(message, "tenant"))
                        object.tenant = message.tenant;
                    if (message.zone != null && $Object.hasOwnProperty.call(message, "zone"))
                        object.zone = message.zone;
                    let keys2;
                    if (message.custom && (keys2 = $Object.keys(message.custom)).length) {
                        object.custom = {};
                        for (let j = 0; j < keys2.length; ++j) {
                            if (keys2[j] === "__proto__")
                                $util.makeProp(object.custom, keys2[j]);
                            object.custom[keys2[j]] = message.custom[keys2[j]];
                        }
                    }
                    return object;
                };

                Labels.prototype.toJSON = function() {
                    return Labels.toObject(this, $protobuf.util.toJSONOptions);
                };

                return Labels;
            })();

            v1.ModelStatus = (function() {
                const valuesById = $Object.create(null), values = $Object.create(valuesById);
                values[valuesById[0] = "MODEL_STATUS_UNSPECIFIED"] = 0;
                values[valuesById[1] = "MODEL_STATUS_LOADING"] = 1;
                values[valuesById[2] = "MODEL_STATUS_READY"] = 2;
                values[valuesById[3] = "MODEL_STATUS_DRAINING"] = 3;
                values[valuesById[4] = "MODEL_STATUS_FAILED"] = 4;
                values[valuesById[5] = "MODEL_STATUS_AVAILABLE"] = 5;
                values[valuesById[6] = "MODEL_STATUS_WARMING"] = 6;
                values[valuesById[7] = "MODEL_STATUS_UNLOADING"] = 7;
                return values;
            })();

            v1.Quantile = (function() {

                const Quantile = function (properties) {
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                Quantile.prototype.quantile = 0;
                Quantile.prototype.seconds = 0;

                Quantile.create = function(properties) {
                    return new Quantile(properties);
                };

                Quantile.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.quantile != null && $Object.hasOwnProperty.call(message, "quantile") && !$Object.is(message.quantile, 0))
                        writer.uint32(9).double(message.quantile);
                    if (message.seconds != null && $Object.hasOwnProperty.call(message, "seconds") && !$Object.is(message.seconds, 0))
                        writer.uint32(17).double(message.seconds);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                Quantile.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.Quantile();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 1)
                                    break;
                                if (!$Object.is(value = reader.double(), 0))
                                    message.quantile = value;
                                else
                                    delete message.quantile;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 1)
                                    break;
                                if (!$Object.is(value = reader.double(), 0))
                                    message.seconds = value;
                                else
                                    delete message.seconds;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                Quantile.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.Quantile)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.Quantile: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.Quantile();
                    if (object.quantile != null)
                        if (!$Object.is($Number(object.quantile), 0))
                            message.quantile = $Number(object.quantile);
                    if (object.seconds != null)
                        if (!$Object.is($Number(object.seconds), 0))
                            message.seconds = $Number(object.seconds);
                    return message;
                };

                Quantile.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.defaults) {
                        object.quantile = 0;
                        object.seconds = 0;
                    }
                    if (message.quantile != null && $Object.hasOwnProperty.call(message, "quantile"))
                        object.quantile = options.json && !$isFinite(message.quantile) ? $String(message.quantile) : message.quantile;
                    if (message.seconds != null && $Object.hasOwnProperty.call(message, "seconds"))
                        object.seconds = options.json && !$isFinite(message.seconds) ? $String(message.seconds) : message.seconds;
                    return object;
                };

                Quantile.prototype.toJSON = function() {
                    return Quantile.toObject(this, $protobuf.util.toJSONOptions);
                };

                return Quantile;
            })();

            v1.ModelState = (function() {

                const ModelState = function (properties) {
                    this.timeToFirstToken = [];
                    this.interTokenLatency = [];
                    this.capabilities = [];
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                ModelState.prototype.labels = null;
                ModelState.prototype.status = 0;
                ModelState.prototype.runningRequests = 0;
                ModelState.prototype.waitingRequests = 0;
                ModelState.prototype.queuedPrefillTokens = null;
                ModelState.prototype.kvUsage = null;
                ModelState.prototype.kvCapacityTokens = null;
                ModelState.prototype.prefillTokensPerSecond = null;
                ModelState.prototype.decodeTokensPerSecond = null;
                ModelState.prototype.slots = null;
                ModelState.prototype.timeToFirstToken = $util.emptyArray;
                ModelState.prototype.interTokenLatency = $util.emptyArray;
                ModelState.prototype.runtime = "";
                ModelState.prototype.reason = "";
                ModelState.prototype.parent = "";
                ModelState.prototype.contextTokensMax = null;
                ModelState.prototype.capabilities = $util.emptyArray;
                ModelState.prototype.cacheHitRate = null;
                ModelState.prototype.preemptionsPerSecond = null;
                ModelState.prototype.workLeftSeconds = null;
                ModelState.prototype.loadSeconds = null;
                ModelState.prototype.figuresAgeSeconds = null;

                let $oneOfFields;

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_queuedPrefillTokens", {
                    get: $util.oneOfGetter($oneOfFields = ["queuedPrefillTokens"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_kvUsage", {
                    get: $util.oneOfGetter($oneOfFields = ["kvUsage"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_kvCapacityTokens", {
                    get: $util.oneOfGetter($oneOfFields = ["kvCapacityTokens"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_prefillTokensPerSecond", {
                    get: $util.oneOfGetter($oneOfFields = ["prefillTokensPerSecond"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_decodeTokensPerSecond", {
                    get: $util.oneOfGetter($oneOfFields = ["decodeTokensPerSecond"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_slots", {
                    get: $util.oneOfGetter($oneOfFields = ["slots"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_contextTokensMax", {
                    get: $util.oneOfGetter($oneOfFields = ["contextTokensMax"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_cacheHitRate", {
                    get: $util.oneOfGetter($oneOfFields = ["cacheHitRate"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_preemptionsPerSecond", {
                    get: $util.oneOfGetter($oneOfFields = ["preemptionsPerSecond"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_workLeftSeconds", {
                    get: $util.oneOfGetter($oneOfFields = ["workLeftSeconds"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_loadSeconds", {
                    get: $util.oneOfGetter($oneOfFields = ["loadSeconds"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(ModelState.prototype, "_figuresAgeSeconds", {
                    get: $util.oneOfGetter($oneOfFields = ["figuresAgeSeconds"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                ModelState.create = function(properties) {
                    return new ModelState(properties);
                };

                ModelState.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.labels != null && $Object.hasOwnProperty.call(message, "labels"))
                        $root.infermesh.state.v1.Labels.encode(message.labels, writer.uint32(10).fork(), _depth + 1).ldelim();
                    if (message.status != null && $Object.hasOwnProperty.call(message, "status") && message.status !== 0)
                        writer.uint32(16).int32(message.status);
                    if (message.runningRequests != null && $Object.hasOwnProperty.call(message, "runningRequests") && message.runningRequests !== 0)
                        writer.uint32(24).uint32(message.runningRequests);
                    if (message.waitingRequests != null && $Object.hasOwnProperty.call(message, "waitingRequests") && message.waitingRequests !== 0)
                        writer.uint32(32).uint32(message.waitingRequests);
                    if (message.queuedPrefillTokens != null && $Object.hasOwnProperty.call(message, "queuedPrefillTokens"))
                        writer.uint32(40).uint64(message.queuedPrefillTokens);
                    if (message.kvUsage != null && $Object.hasOwnProperty.call(message, "kvUsage"))
                        writer.uint32(49).double(message.kvUsage);
                    if (message.kvCapacityTokens != null && $Object.hasOwnProperty.call(message, "kvCapacityTokens"))
                        writer.uint32(56).uint64(message.kvCapacityTokens);
                    if (message.prefillTokensPerSecond != null && $Object.hasOwnProperty.call(message, "prefillTokensPerSecond"))
                        writer.uint32(65).double(message.prefillTokensPerSecond);
                    if (message.decodeTokensPerSecond != null && $Object.hasOwnProperty.call(message, "decodeTokensPerSecond"))
                        writer.uint32(73).double(message.decodeTokensPerSecond);
                    if (message.slots != null && $Object.hasOwnProperty.call(message, "slots"))
                        writer.uint32(80).uint32(message.slots);
                    if (message.timeToFirstToken != null && message.timeToFirstToken.length)
                        for (let i = 0; i < message.timeToFirstToken.length; ++i)
                            $root.infermesh.state.v1.Quantile.encode(message.timeToFirstToken[i], writer.uint32(90).fork(), _depth + 1).ldelim();
                    if (message.interTokenLatency != null && message.interTokenLatency.length)
                        for (let i = 0; i < message.interTokenLatency.length; ++i)
                            $root.infermesh.state.v1.Quantile.encode(message.interTokenLatency[i], writer.uint32(98).fork(), _depth + 1).ldelim();
                    if (message.runtime != null && $Object.hasOwnProperty.call(message, "runtime") && message.runtime !== "")
                        writer.uint32(106).string(message.runtime);
                    if (message.reason != null && $Object.hasOwnProperty.call(message, "reason") && message.reason !== "")
                        writer.uint32(114).string(message.reason);
                    if (message.parent != null && $Object.hasOwnProperty.call(message, "parent") && message.parent !== "")
                        writer.uint32(122).string(message.parent);
                    if (message.contextTokensMax != null && $Object.hasOwnProperty.call(message, "contextTokensMax"))
                        writer.uint32(128).uint64(message.contextTokensMax);
                    if (message.capabilities != null && message.capabilities.length)
                        for (let i = 0; i < message.capabilities.length; ++i)
                            writer.uint32(138).string(message.capabilities[i]);
                    if (message.cacheHitRate != null && $Object.hasOwnProperty.call(message, "cacheHitRate"))
                        writer.uint32(145).double(message.cacheHitRate);
                    if (message.preemptionsPerSecond != null && $Object.hasOwnProperty.call(message, "preemptionsPerSecond"))
                        writer.uint32(153).double(message.preemptionsPerSecond);
                    if (message.workLeftSeconds != null && $Object.hasOwnProperty.call(message, "workLeftSeconds"))
                        writer.uint32(161).double(message.workLeftSeconds);
                    if (message.figuresAgeSeconds != null && $Object.hasOwnProperty.call(message, "figuresAgeSeconds"))
                        writer.uint32(169).double(message.figuresAgeSeconds);
                    if (message.loadSeconds != null && $Object.hasOwnProperty.call(message, "loadSeconds"))
                        writer.uint32(177).double(message.loadSeconds);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                ModelState.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.ModelState();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                message.labels = $root.infermesh.state.v1.Labels.decode(reader, reader.size(), $undefined, _depth + 1, message.labels);
                                continue;
                            }
                        case 2: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.int32())
                                    message.status = value;
                                else
                                    delete message.status;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.uint32())
                                    message.runningRequests = value;
                                else
                                    delete message.runningRequests;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.uint32())
                                    message.waitingRequests = value;
                                else
                                    delete message.waitingRequests;
                                continue;
                            }
                        case 5: {
                                if (wireType !== 0)
                                    break;
                                message.queuedPrefillTokens = reader.uint64();
                                message._queuedPrefillTokens = "queuedPrefillTokens";
                                continue;
                            }
                        case 6: {
                                if (wireType !== 1)
                                    break;
                                message.kvUsage = reader.double();
                                message._kvUsage = "kvUsage";
                                continue;
                            }
                        case 7: {
                                if (wireType !== 0)
                                    break;
                                message.kvCapacityTokens = reader.uint64();
                                message._kvCapacityTokens = "kvCapacityTokens";
                                continue;
                            }
                        case 8: {
                                if (wireType !== 1)
                                    break;
                                message.prefillTokensPerSecond = reader.double();
                                message._prefillTokensPerSecond = "prefillTokensPerSecond";
                                continue;
                            }
                        case 9: {
                                if (wireType !== 1)
                                    break;
                                message.decodeTokensPerSecond = reader.double();
                                message._decodeTokensPerSecond = "decodeTokensPerSecond";
                                continue;
                            }
                        case 10: {
                                if (wireType !== 0)
                                    break;
                                message.slots = reader.uint32();
                                message._slots = "slots";
                                continue;
                            }
                        case 11: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.timeToFirstToken && message.timeToFirstToken.length))
                                    message.timeToFirstToken = [];
                                message.timeToFirstToken.push($root.infermesh.state.v1.Quantile.decode(reader, reader.size(), $undefined, _depth + 1));
                                continue;
                            }
                        case 12: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.interTokenLatency && message.interTokenLatency.length))
                                    message.interTokenLatency = [];
                                message.interTokenLatency.push($root.infermesh.state.v1.Quantile.decode(reader, reader.size(), $undefined, _depth + 1));
                                continue;
                            }
                        case 13: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.runtime = value;
                                else
                                    delete message.runtime;
                                continue;
                            }
                        case 14: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.reason = value;
                                else
                                    delete message.reason;
                                continue;
                            }
                        case 15: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.parent = value;
                                else
                                    delete message.parent;
                                continue;
                            }
                        case 16: {
                                if (wireType !== 0)
                                    break;
                                message.contextTokensMax = reader.uint64();
                                message._contextTokensMax = "contextTokensMax";
                                continue;
                            }
                        case 17: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.capabilities && message.capabilities.length))
                                    message.capabilities = [];
                                message.capabilities.push(reader.stringVerify());
                                continue;
                            }
                        case 18: {
                                if (wireType !== 1)
                                    break;
                                message.cacheHitRate = reader.double();
                                message._cacheHitRate = "cacheHitRate";
                                continue;
                            }
                        case 19: {
                                if (wireType !== 1)
                                    break;
                                message.preemptionsPerSecond = reader.double();
                                message._preemptionsPerSecond = "preemptionsPerSecond";
                                continue;
                            }
                        case 20: {
                                if (wireType !== 1)
                                    break;
                                message.workLeftSeconds = reader.double();
                                message._workLeftSeconds = "workLeftSeconds";
                                continue;
                            }
                        case 22: {
                                if (wireType !== 1)
                                    break;
                                message.loadSeconds = reader.double();
                                message._loadSeconds = "loadSeconds";
                                continue;
                            }
                        case 21: {
                                if (wireType !== 1)
                                    break;
                                message.figuresAgeSeconds = reader.double();
                                message._figuresAgeSeconds = "figuresAgeSeconds";
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                ModelState.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.ModelState)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.ModelState: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.ModelState();
                    if (object.labels != null) {
                        if (!$util.isObject(object.labels))
                            throw $TypeError(".infermesh.state.v1.ModelState.labels: object expected");
                        message.labels = $root.infermesh.state.v1.Labels.fromObject(object.labels, _depth + 1);
                    }
                    if (object.status !== 0 && (typeof object.status !== "string" || $root.infermesh.state.v1.ModelStatus[object.status] !== 0))
                        switch (object.status) {
                        case "MODEL_STATUS_UNSPECIFIED":
                        case 0:
                            message.status = 0;
                            break;
                        case "MODEL_STATUS_LOADING":
                        case 1:
                            message.status = 1;
                            break;
                        case "MODEL_STATUS_READY":
                        case 2:
                            message.status = 2;
                            break;
                        case "MODEL_STATUS_DRAINING":
                        case 3:
                            message.status = 3;
                            break;
                        case "MODEL_STATUS_FAILED":
                        case 4:
                            message.status = 4;
                            break;
                        case "MODEL_STATUS_AVAILABLE":
                        case 5:
                            message.status = 5;
                            break;
                        case "MODEL_STATUS_WARMING":
                        case 6:
                            message.status = 6;
                            break;
                        case "MODEL_STATUS_UNLOADING":
                        case 7:
                            message.status = 7;
                            break;
                        default:
                            if (typeof object.status === "number" && (object.status | 0) === object.status)
                                message.status = object.status;
                        }
                    if (object.runningRequests != null)
                        if ($Number(object.runningRequests) !== 0)
                            message.runningRequests = object.runningRequests >>> 0;
                    if (object.waitingRequests != null)
                        if ($Number(object.waitingRequests) !== 0)
                            message.waitingRequests = object.waitingRequests >>> 0;
                    if (object.queuedPrefillTokens != null)
                        if ($util.Long)
                            message.queuedPrefillTokens = $util.Long.fromValue(object.queuedPrefillTokens, true);
                        else if (typeof object.queuedPrefillTokens === "string")
                            message.queuedPrefillTokens = $parseInt(object.queuedPrefillTokens, 10);
                        else if (typeof object.queuedPrefillTokens === "number")
                            message.queuedPrefillTokens = object.queuedPrefillTokens;
                        else if (typeof object.queuedPrefillTokens === "object")
                            message.queuedPrefillTokens = new $util.LongBits(object.queuedPrefillTokens.low >>> 0, object.queuedPrefillTokens.high >>> 0).toNumber(true);
                    if (object.kvUsage != null)
                        message.kvUsage = $Number(object.kvUsage);
                    if (object.kvCapacityTokens != null)
                        if ($util.Long)
                            message.kvCapacityTokens = $util.Long.fromValue(object.kvCapacityTokens, true);
                        else if (typeof object.kvCapacityTokens === "string")
                            message.kvCapacityTokens = $parseInt(object.kvCapacityTokens, 10);
                        else if (typeof object.kvCapacityTokens === "number")
                            message.kvCapacityTokens = object.kvCapacityTokens;
                        else if (typeof object.kvCapacityTokens === "object")
                            message.kvCapacityTokens = new $util.LongBits(object.kvCapacityTokens.low >>> 0, object.kvCapacityTokens.high >>> 0).toNumber(true);
                    if (object.prefillTokensPerSecond != null)
                        message.prefillTokensPerSecond = $Number(object.prefillTokensPerSecond);
                    if (object.decodeTokensPerSecond != null)
                        message.decodeTokensPerSecond = $Number(object.decodeTokensPerSecond);
                    if (object.slots != null)
                        message.slots = object.slots >>> 0;
                    if (object.timeToFirstToken) {
                        if (!$Array.isArray(object.timeToFirstToken))
                            throw $TypeError(".infermesh.state.v1.ModelState.timeToFirstToken: array expected");
                        message.timeToFirstToken = $Array(object.timeToFirstToken.length);
                        for (let i = 0; i < object.timeToFirstToken.length; ++i) {
                            if (!$util.isObject(object.timeToFirstToken[i]))
                                throw $TypeError(".infermesh.state.v1.ModelState.timeToFirstToken: object expected");
                            message.timeToFirstToken[i] = $root.infermesh.state.v1.Quantile.fromObject(object.timeToFirstToken[i], _depth + 1);
                        }
                    }
                    if (object.interTokenLatency) {
                        if (!$Array.isArray(object.interTokenLatency))
                            throw $TypeError(".infermesh.state.v1.ModelState.interTokenLatency: array expected");
                        message.interTokenLatency = $Array(object.interTokenLatency.length);
                        for (let i = 0; i < object.interTokenLatency.length; ++i) {
                            if (!$util.isObject(object.interTokenLatency[i]))
                                throw $TypeError(".infermesh.state.v1.ModelState.interTokenLatency: object expected");
                            message.interTokenLatency[i] = $root.infermesh.state.v1.Quantile.fromObject(object.interTokenLatency[i], _depth + 1);
                        }
                    }
                    if (object.runtime != null)
                        if (typeof object.runtime !== "string" || object.runtime.length)
                            message.runtime = $String(object.runtime);
                    if (object.reason != null)
                        if (typeof object.reason !== "string" || object.reason.length)
                            message.reason = $String(object.reason);
                    if (object.parent != null)
                        if (typeof object.parent !== "string" || object.parent.length)
                            message.parent = $String(object.parent);
                    if (object.contextTokensMax != null)
                        if ($util.Long)
                            message.contextTokensMax = $util.Long.fromValue(object.contextTokensMax, true);
                        else if (typeof object.contextTokensMax === "string")
                            message.contextTokensMax = $parseInt(object.contextTokensMax, 10);
                        else if (typeof object.contextTokensMax === "number")
                            message.contextTokensMax = object.contextTokensMax;
                        else if (typeof object.contextTokensMax === "object")
                            message.contextTokensMax = new $util.LongBits(object.contextTokensMax.low >>> 0, object.contextTokensMax.high >>> 0).toNumber(true);
                    if (object.capabilities) {
                        if (!$Array.isArray(object.capabilities))
                            throw $TypeError(".infermesh.state.v1.ModelState.capabilities: array expected");
                        message.capabilities = $Array(object.capabilities.length);
                        for (let i = 0; i < object.capabilities.length; ++i)
                            message.capabilities[i] = $String(object.capabilities[i]);
                    }
                    if (object.cacheHitRate != null)
                        message.cacheHitRate = $Number(object.cacheHitRate);
                    if (object.preemptionsPerSecond != null)
                        message.preemptionsPerSecond = $Number(object.preemptionsPerSecond);
                    if (object.workLeftSeconds != null)
                        message.workLeftSeconds = $Number(object.workLeftSeconds);
                    if (object.loadSeconds != null)
                        message.loadSeconds = $Number(object.loadSeconds);
                    if (object.figuresAgeSeconds != null)
                        message.figuresAgeSeconds = $Number(object.figuresAgeSeconds);
                    return message;
                };

                ModelState.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.arrays || options.defaults) {
                        object.timeToFirstToken = [];
                        object.interTokenLatency = [];
                        object.capabilities = [];
                    }
                    if (options.defaults) {
                        object.labels = null;
                        object.status = options.enums === $String ? "MODEL_STATUS_UNSPECIFIED" : 0;
                        object.runningRequests = 0;
                        object.waitingRequests = 0;
                        object.runtime = "";
                        object.reason = "";
                        object.parent = "";
                    }
                    if (message.labels != null && $Object.hasOwnProperty.call(message, "labels"))
                        object.labels = $root.infermesh.state.v1.Labels.toObject(message.labels, options, _depth + 1);
                    if (message.status != null && $Object.hasOwnProperty.call(message, "status"))
                        object.status = options.enums === $String ? $root.infermesh.state.v1.ModelStatus[message.status] === $undefined ? message.status : $root.infermesh.state.v1.ModelStatus[message.status] : message.status;
                    if (message.runningRequests != null && $Object.hasOwnProperty.call(message, "runningRequests"))
                        object.runningRequests = message.runningRequests;
                    if (message.waitingRequests != null && $Object.hasOwnProperty.call(message, "waitingRequests"))
                        object.waitingRequests = message.waitingRequests;
                    if (message.queuedPrefillTokens != null && $Object.hasOwnProperty.call(message, "queuedPrefillTokens"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.queuedPrefillTokens = typeof message.queuedPrefillTokens === "number" ? $BigInt(message.queuedPrefillTokens) : $util.Long.fromBits(message.queuedPrefillTokens.low >>> 0, message.queuedPrefillTokens.high >>> 0, true).toBigInt();
                        else if (typeof message.queuedPrefillTokens === "number")
                            object.queuedPrefillTokens = options.longs === $String ? $String(message.queuedPrefillTokens) : message.queuedPrefillTokens;
                        else
                            object.queuedPrefillTokens = options.longs === $String ? $util.Long.prototype.toString.call(message.queuedPrefillTokens) : options.longs === $Number ? new $util.LongBits(message.queuedPrefillTokens.low >>> 0, message.queuedPrefillTokens.high >>> 0).toNumber(true) : message.queuedPrefillTokens;
                    if (message.kvUsage != null && $Object.hasOwnProperty.call(message, "kvUsage"))
                        object.kvUsage = options.json && !$isFinite(message.kvUsage) ? $String(message.kvUsage) : message.kvUsage;
                    if (message.kvCapacityTokens != null && $Object.hasOwnProperty.call(message, "kvCapacityTokens"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.kvCapacityTokens = typeof message.kvCapacityTokens === "number" ? $BigInt(message.kvCapacityTokens) : $util.Long.fromBits(message.kvCapacityTokens.low >>> 0, message.kvCapacityTokens.high >>> 0, true).toBigInt();
                        else if (typeof message.kvCapacityTokens === "number")
                            object.kvCapacityTokens = options.longs === $String ? $String(message.kvCapacityTokens) : message.kvCapacityTokens;
                        else
                            object.kvCapacityTokens = options.longs === $String ? $util.Long.prototype.toString.call(message.kvCapacityTokens) : options.longs === $Number ? new $util.LongBits(message.kvCapacityTokens.low >>> 0, message.kvCapacityTokens.high >>> 0).toNumber(true) : message.kvCapacityTokens;
                    if (message.prefillTokensPerSecond != null && $Object.hasOwnProperty.call(message, "prefillTokensPerSecond"))
                        object.prefillTokensPerSecond = options.json && !$isFinite(message.prefillTokensPerSecond) ? $String(message.prefillTokensPerSecond) : message.prefillTokensPerSecond;
                    if (message.decodeTokensPerSecond != null && $Object.hasOwnProperty.call(message, "decodeTokensPerSecond"))
                        object.decodeTokensPerSecond = options.json && !$isFinite(message.decodeTokensPerSecond) ? $String(message.decodeTokensPerSecond) : message.decodeTokensPerSecond;
                    if (message.slots != null && $Object.hasOwnProperty.call(message, "slots"))
                        object.slots = message.slots;
                    if (message.timeToFirstToken && message.timeToFirstToken.length) {
                        object.timeToFirstToken = $Array(message.timeToFirstToken.length);
                        for (let j = 0; j < message.timeToFirstToken.length; ++j)
                            object.timeToFirstToken[j] = $root.infermesh.state.v1.Quantile.toObject(message.timeToFirstToken[j], options, _depth + 1);
                    }
                    if (message.interTokenLatency && message.interTokenLatency.length) {
                        object.interTokenLatency = $Array(message.interTokenLatency.length);
                        for (let j = 0; j < message.interTokenLatency.length; ++j)
                            object.interTokenLatency[j] = $root.infermesh.state.v1.Quantile.toObject(message.interTokenLatency[j], options, _depth + 1);
                    }
                    if (message.runtime != null && $Object.hasOwnProperty.call(message, "runtime"))
                        object.runtime = message.runtime;
                    if (message.reason != null && $Object.hasOwnProperty.call(message, "reason"))
                        object.reason = message.reason;
                    if (message.parent != null && $Object.hasOwnProperty.call(message, "parent"))
                        object.parent = message.parent;
                    if (message.contextTokensMax != null && $Object.hasOwnProperty.call(message, "contextTokensMax"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.contextTokensMax = typeof message.contextTokensMax === "number" ? $BigInt(message.contextTokensMax) : $util.Long.fromBits(message.contextTokensMax.low >>> 0, message.contextTokensMax.high >>> 0, true).toBigInt();
                        else if (typeof message.contextTokensMax === "number")
                            object.contextTokensMax = options.longs === $String ? $String(message.contextTokensMax) : message.contextTokensMax;
                        else
                            object.contextTokensMax = options.longs === $String ? $util.Long.prototype.toString.call(message.contextTokensMax) : options.longs === $Number ? new $util.LongBits(message.contextTokensMax.low >>> 0, message.contextTokensMax.high >>> 0).toNumber(true) : message.contextTokensMax;
                    if (message.capabilities && message.capabilities.length) {
                        object.capabilities = $Array(message.capabilities.length);
                        for (let j = 0; j < message.capabilities.length; ++j)
                            object.capabilities[j] = message.capabilities[j];
                    }
                    if (message.cacheHitRate != null && $Object.hasOwnProperty.call(message, "cacheHitRate"))
                        object.cacheHitRate = options.json && !$isFinite(message.cacheHitRate) ? $String(message.cacheHitRate) : message.cacheHitRate;
                    if (message.preemptionsPerSecond != null && $Object.hasOwnProperty.call(message, "preemptionsPerSecond"))
                        object.preemptionsPerSecond = options.json && !$isFinite(message.preemptionsPerSecond) ? $String(message.preemptionsPerSecond) : message.preemptionsPerSecond;
                    if (message.workLeftSeconds != null && $Object.hasOwnProperty.call(message, "workLeftSeconds"))
                        object.workLeftSeconds = options.json && !$isFinite(message.workLeftSeconds) ? $String(message.workLeftSeconds) : message.workLeftSeconds;
                    if (message.figuresAgeSeconds != null && $Object.hasOwnProperty.call(message, "figuresAgeSeconds"))
                        object.figuresAgeSeconds = options.json && !$isFinite(message.figuresAgeSeconds) ? $String(message.figuresAgeSeconds) : message.figuresAgeSeconds;
                    if (message.loadSeconds != null && $Object.hasOwnProperty.call(message, "loadSeconds"))
                        object.loadSeconds = options.json && !$isFinite(message.loadSeconds) ? $String(message.loadSeconds) : message.loadSeconds;
                    return object;
                };

                ModelState.prototype.toJSON = function() {
                    return ModelState.toObject(this, $protobuf.util.toJSONOptions);
                };

                return ModelState;
            })();

            v1.Endpoint = (function() {

                const Endpoint = function (properties) {
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                Endpoint.prototype.name = "";
                Endpoint.prototype.address = "";
                Endpoint.prototype.protocol = "";
                Endpoint.prototype.tls = false;

                Endpoint.create = function(properties) {
                    return new Endpoint(properties);
                };

                Endpoint.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name") && message.name !== "")
                        writer.uint32(10).string(message.name);
                    if (message.address != null && $Object.hasOwnProperty.call(message, "address") && message.address !== "")
                        writer.uint32(18).string(message.address);
                    if (message.protocol != null && $Object.hasOwnProperty.call(message, "protocol") && message.protocol !== "")
                        writer.uint32(26).string(message.protocol);
                    if (message.tls != null && $Object.hasOwnProperty.call(message, "tls") && message.tls !== false)
                        writer.uint32(32).bool(message.tls);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                Endpoint.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.Endpoint();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.name = value;
                                else
                                    delete message.name;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.address = value;
                                else
                                    delete message.address;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.protocol = value;
                                else
                                    delete message.protocol;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.bool())
                                    message.tls = value;
                                else
                                    delete message.tls;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                Endpoint.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.Endpoint)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.Endpoint: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.Endpoint();
                    if (object.name != null)
                        if (typeof object.name !== "string" || object.name.length)
                            message.name = $String(object.name);
                    if (object.address != null)
                        if (typeof object.address !== "string" || object.address.length)
                            message.address = $String(object.address);
                    if (object.protocol != null)
                        if (typeof object.protocol !== "string" || object.protocol.length)
                            message.protocol = $String(object.protocol);
                    if (object.tls != null)
                        if (object.tls)
                            message.tls = $Boolean(object.tls);
                    return message;
                };

                Endpoint.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.defaults) {
                        object.name = "";
                        object.address = "";
                        object.protocol = "";
                        object.tls = false;
                    }
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name"))
                        object.name = message.name;
                    if (message.address != null && $Object.hasOwnProperty.call(message, "address"))
                        object.address = message.address;
                    if (message.protocol != null && $Object.hasOwnProperty.call(message, "protocol"))
                        object.protocol = message.protocol;
                    if (message.tls != null && $Object.hasOwnProperty.call(message, "tls"))
                        object.tls = message.tls;
                    return object;
                };

                Endpoint.prototype.toJSON = function() {
                    return Endpoint.toObject(this, $protobuf.util.toJSONOptions);
                };

                return Endpoint;
            })();

            v1.RuntimeState = (function() {

                const RuntimeState = function (properties) {
                    this.endpoints = [];
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                RuntimeState.prototype.name = "";
                RuntimeState.prototype.kind = "";
                RuntimeState.prototype.version = "";
                RuntimeState.prototype.ready = false;
                RuntimeState.prototype.draining = false;
                RuntimeState.prototype.state = "";
                RuntimeState.prototype.message = "";
                RuntimeState.prototype.sinceMs = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
                RuntimeState.prototype.endpoints = $util.emptyArray;

                RuntimeState.create = function(properties) {
                    return new RuntimeState(properties);
                };

                RuntimeState.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name") && message.name !== "")
                        writer.uint32(10).string(message.name);
                    if (message.kind != null && $Object.hasOwnProperty.call(message, "kind") && message.kind !== "")
                        writer.uint32(18).string(message.kind);
                    if (message.version != null && $Object.hasOwnProperty.call(message, "version") && message.version !== "")
                        writer.uint32(26).string(message.version);
                    if (message.ready != null && $Object.hasOwnProperty.call(message, "ready") && message.ready !== false)
                        writer.uint32(32).bool(message.ready);
                    if (message.draining != null && $Object.hasOwnProperty.call(message, "draining") && message.draining !== false)
                        writer.uint32(40).bool(message.draining);
                    if (message.state != null && $Object.hasOwnProperty.call(message, "state") && message.state !== "")
                        writer.uint32(50).string(message.state);
                    if (message.message != null && $Object.hasOwnProperty.call(message, "message") && message.message !== "")
                        writer.uint32(58).string(message.message);
                    if (message.sinceMs != null && $Object.hasOwnProperty.call(message, "sinceMs") && (typeof message.sinceMs === "object" ? message.sinceMs.low || message.sinceMs.high : message.sinceMs !== 0))
                        writer.uint32(64).uint64(message.sinceMs);
                    if (message.endpoints != null && message.endpoints.length)
                        for (let i = 0; i < message.endpoints.length; ++i)
                            $root.infermesh.state.v1.Endpoint.encode(message.endpoints[i], writer.uint32(74).fork(), _depth + 1).ldelim();
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                RuntimeState.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.RuntimeState();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.name = value;
                                else
                                    delete message.name;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.kind = value;
                                else
                                    delete message.kind;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.version = value;
                                else
                                    delete message.version;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.bool())
                                    message.ready = value;
                                else
                                    delete message.ready;
                                continue;
                            }
                        case 5: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.bool())
                                    message.draining = value;
                                else
                                    delete message.draining;
                                continue;
                            }
                        case 6: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.state = value;
                                else
                                    delete message.state;
                                continue;
                            }
                        case 7: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.message = value;
                                else
                                    delete message.message;
                                continue;
                            }
                        case 8: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.sinceMs = value;
                                else
                                    delete message.sinceMs;
                                continue;
                            }
                        case 9: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.endpoints && message.endpoints.length))
                                    message.endpoints = [];
                                message.endpoints.push($root.infermesh.state.v1.Endpoint.decode(reader, reader.size(), $undefined, _depth + 1));
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                RuntimeState.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.RuntimeState)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.RuntimeState: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.RuntimeState();
                    if (object.name != null)
                        if (typeof object.name !== "string" || object.name.length)
                            message.name = $String(object.name);
                    if (object.kind != null)
                        if (typeof object.kind !== "string" || object.kind.length)
                            message.kind = $String(object.kind);
                    if (object.version != null)
                        if (typeof object.version !== "string" || object.version.length)
                            message.version = $String(object.version);
                    if (object.ready != null)
                        if (object.ready)
                            message.ready = $Boolean(object.ready);
                    if (object.draining != null)
                        if (object.draining)
                            message.draining = $Boolean(object.draining);
                    if (object.state != null)
                        if (typeof object.state !== "string" || object.state.length)
                            message.state = $String(object.state);
                    if (object.message != null)
                        if (typeof object.message !== "string" || object.message.length)
                            message.message = $String(object.message);
                    if (object.sinceMs != null)
                        if (typeof object.sinceMs === "object" ? object.sinceMs.low || object.sinceMs.high : $Number(object.sinceMs) !== 0)
                            if ($util.Long)
                                message.sinceMs = $util.Long.fromValue(object.sinceMs, true);
                            else if (typeof object.sinceMs === "string")
                                message.sinceMs = $parseInt(object.sinceMs, 10);
                            else if (typeof object.sinceMs === "number")
                                message.sinceMs = object.sinceMs;
                            else if (typeof object.sinceMs === "object")
                                message.sinceMs = new $util.LongBits(object.sinceMs.low >>> 0, object.sinceMs.high >>> 0).toNumber(true);
                    if (object.endpoints) {
                        if (!$Array.isArray(object.endpoints))
                            throw $TypeError(".infermesh.state.v1.RuntimeState.endpoints: array expected");
                        message.endpoints = $Array(object.endpoints.length);
                        for (let i = 0; i < object.endpoints.length; ++i) {
                            if (!$util.isObject(object.endpoints[i]))
                                throw $TypeError(".infermesh.state.v1.RuntimeState.endpoints: object expected");
                            message.endpoints[i] = $root.infermesh.state.v1.Endpoint.fromObject(object.endpoints[i], _depth + 1);
                        }
                    }
                    return message;
                };

                RuntimeState.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.arrays || options.defaults)
                        object.endpoints = [];
                    if (options.defaults) {
                        object.name = "";
                        object.kind = "";
                        object.version = "";
                        object.ready = false;
                        object.draining = false;
                        object.state = "";
                        object.message = "";
                        if ($util.Long) {
                            let long = new $util.Long(0, 0, true);
                            object.sinceMs = options.longs === $String ? long.toString() : options.longs === $Number ? long.toNumber() : typeof $BigInt !== "undefined" && options.longs === $BigInt ? long.toBigInt() : long;
                        } else
                            object.sinceMs = options.longs === $String ? "0" : typeof $BigInt !== "undefined" && options.longs === $BigInt ? $BigInt("0") : 0;
                    }
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name"))
                        object.name = message.name;
                    if (message.kind != null && $Object.hasOwnProperty.call(message, "kind"))
                        object.kind = message.kind;
                    if (message.version != null && $Object.hasOwnProperty.call(message, "version"))
                        object.version = message.version;
                    if (message.ready != null && $Object.hasOwnProperty.call(message, "ready"))
                        object.ready = message.ready;
                    if (message.draining != null && $Object.hasOwnProperty.call(message, "draining"))
                        object.draining = message.draining;
                    if (message.state != null && $Object.hasOwnProperty.call(message, "state"))
                        object.state = message.state;
                    if (message.message != null && $Object.hasOwnProperty.call(message, "message"))
                        object.message = message.message;
                    if (message.sinceMs != null && $Object.hasOwnProperty.call(message, "sinceMs"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.sinceMs = typeof message.sinceMs === "number" ? $BigInt(message.sinceMs) : $util.Long.fromBits(message.sinceMs.low >>> 0, message.sinceMs.high >>> 0, true).toBigInt();
                        else if (typeof message.sinceMs === "number")
                            object.sinceMs = options.longs === $String ? $String(message.sinceMs) : message.sinceMs;
                        else
                            object.sinceMs = options.longs === $String ? $util.Long.prototype.toString.call(message.sinceMs) : options.longs === $Number ? new $util.LongBits(message.sinceMs.low >>> 0, message.sinceMs.high >>> 0).toNumber(true) : message.sinceMs;
                    if (message.endpoints && message.endpoints.length) {
                        object.endpoints = $Array(message.endpoints.length);
                        for (let j = 0; j < message.endpoints.length; ++j)
                            object.endpoints[j] = $root.infermesh.state.v1.Endpoint.toObject(message.endpoints[j], options, _depth + 1);
                    }
                    return object;
                };

                RuntimeState.prototype.toJSON = function() {
                    return RuntimeState.toObject(this, $protobuf.util.toJSONOptions);
                };

                return RuntimeState;
            })();

            v1.GpuHealth = (function() {
                const valuesById = $Object.create(null), values = $Object.create(valuesById);
                values[valuesById[0] = "GPU_HEALTH_UNSPECIFIED"] = 0;
                values[valuesById[1] = "GPU_HEALTH_HEALTHY"] = 1;
                values[valuesById[2] = "GPU_HEALTH_DEGRADED"] = 2;
                values[valuesById[3] = "GPU_HEALTH_QUARANTINED"] = 3;
                return values;
            })();

            v1.GpuState = (function() {

                const GpuState = function (properties) {
                    this.throttleReasons = [];
                    this.models = [];
                    this.runtimes = [];
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                GpuState.prototype.labels = null;
                GpuState.prototype.index = 0;
                GpuState.prototype.name = "";
                GpuState.prototype.memoryTotalBytes = null;
                GpuState.prototype.memoryUsedBytes = null;
                GpuState.prototype.utilization = null;
                GpuState.prototype.powerWatts = null;
                GpuState.prototype.powerLimitWatts = null;
                GpuState.prototype.temperatureCelsius = null;
                GpuState.prototype.throttleReasons = $util.emptyArray;
                GpuState.prototype.health = 0;
                GpuState.prototype.healthReason = null;
                GpuState.prototype.healthSinceMs = null;
                GpuState.prototype.models = $util.emptyArray;
                GpuState.prototype.runtimes = $util.emptyArray;

                let $oneOfFields;

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_memoryTotalBytes", {
                    get: $util.oneOfGetter($oneOfFields = ["memoryTotalBytes"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_memoryUsedBytes", {
                    get: $util.oneOfGetter($oneOfFields = ["memoryUsedBytes"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_utilization", {
                    get: $util.oneOfGetter($oneOfFields = ["utilization"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_powerWatts", {
                    get: $util.oneOfGetter($oneOfFields = ["powerWatts"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_powerLimitWatts", {
                    get: $util.oneOfGetter($oneOfFields = ["powerLimitWatts"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_temperatureCelsius", {
                    get: $util.oneOfGetter($oneOfFields = ["temperatureCelsius"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_healthReason", {
                    get: $util.oneOfGetter($oneOfFields = ["healthReason"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(GpuState.prototype, "_healthSinceMs", {
                    get: $util.oneOfGetter($oneOfFields = ["healthSinceMs"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                GpuState.create = function(properties) {
                    return new GpuState(properties);
                };

                GpuState.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.labels != null && $Object.hasOwnProperty.call(message, "labels"))
                        $root.infermesh.state.v1.Labels.encode(message.labels, writer.uint32(10).fork(), _depth + 1).ldelim();
                    if (message.index != null && $Object.hasOwnProperty.call(message, "index") && message.index !== 0)
                        writer.uint32(16).uint32(message.index);
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name") && message.name !== "")
                        writer.uint32(26).string(message.name);
                    if (message.memoryTotalBytes != null && $Object.hasOwnProperty.call(message, "memoryTotalBytes"))
                        writer.uint32(32).uint64(message.memoryTotalBytes);
                    if (message.memoryUsedBytes != null && $Object.hasOwnProperty.call(message, "memoryUsedBytes"))
                        writer.uint32(40).uint64(message.memoryUsedBytes);
                    if (message.utilization != null && $Object.hasOwnProperty.call(message, "utilization"))
                        writer.uint32(49).double(message.utilization);
                    if (message.powerWatts != null && $Object.hasOwnProperty.call(message, "powerWatts"))
                        writer.uint32(57).double(message.powerWatts);
                    if (message.powerLimitWatts != null && $Object.hasOwnProperty.call(message, "powerLimitWatts"))
                        writer.uint32(65).double(message.powerLimitWatts);
                    if (message.temperatureCelsius != null && $Object.hasOwnProperty.call(message, "temperatureCelsius"))
                        writer.uint32(73).double(message.temperatureCelsius);
                    if (message.throttleReasons != null && message.throttleReasons.length)
                        for (let i = 0; i < message.throttleReasons.length; ++i)
                            writer.uint32(82).string(message.throttleReasons[i]);
                    if (message.health != null && $Object.hasOwnProperty.call(message, "health") && message.health !== 0)
                        writer.uint32(88).int32(message.health);
                    if (message.healthReason != null && $Object.hasOwnProperty.call(message, "healthReason"))
                        writer.uint32(98).string(message.healthReason);
                    if (message.healthSinceMs != null && $Object.hasOwnProperty.call(message, "healthSinceMs"))
                        writer.uint32(104).uint64(message.healthSinceMs);
                    if (message.models != null && message.models.length)
                        for (let i = 0; i < message.models.length; ++i)
                            writer.uint32(114).string(message.models[i]);
                    if (message.runtimes != null && message.runtimes.length)
                        for (let i = 0; i < message.runtimes.length; ++i)
                            writer.uint32(122).string(message.runtimes[i]);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                GpuState.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.GpuState();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                message.labels = $root.infermesh.state.v1.Labels.decode(reader, reader.size(), $undefined, _depth + 1, message.labels);
                                continue;
                            }
                        case 2: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.uint32())
                                    message.index = value;
                                else
                                    delete message.index;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.name = value;
                                else
                                    delete message.name;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 0)
                                    break;
                                message.memoryTotalBytes = reader.uint64();
                                message._memoryTotalBytes = "memoryTotalBytes";
                                continue;
                            }
                        case 5: {
                                if (wireType !== 0)
                                    break;
                                message.memoryUsedBytes = reader.uint64();
                                message._memoryUsedBytes = "memoryUsedBytes";
                                continue;
                            }
                        case 6: {
                                if (wireType !== 1)
                                    break;
                                message.utilization = reader.double();
                                message._utilization = "utilization";
                                continue;
                            }
                        case 7: {
                                if (wireType !== 1)
                                    break;
                                message.powerWatts = reader.double();
                                message._powerWatts = "powerWatts";
                                continue;
                            }
                        case 8: {
                                if (wireType !== 1)
                                    break;
                                message.powerLimitWatts = reader.double();
                                message._powerLimitWatts = "powerLimitWatts";
                                continue;
                            }
                        case 9: {
                                if (wireType !== 1)
                                    break;
                                message.temperatureCelsius = reader.double();
                                message._temperatureCelsius = "temperatureCelsius";
                                continue;
                            }
                        case 10: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.throttleReasons && message.throttleReasons.length))
                                    message.throttleReasons = [];
                                message.throttleReasons.push(reader.stringVerify());
                                continue;
                            }
                        case 11: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.int32())
                                    message.health = value;
                                else
                                    delete message.health;
                                continue;
                            }
                        case 12: {
                                if (wireType !== 2)
                                    break;
                                message.healthReason = reader.stringVerify();
                                message._healthReason = "healthReason";
                                continue;
                            }
                        case 13: {
                                if (wireType !== 0)
                                    break;
                                message.healthSinceMs = reader.uint64();
                                message._healthSinceMs = "healthSinceMs";
                                continue;
                            }
                        case 14: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.models && message.models.length))
                                    message.models = [];
                                message.models.push(reader.stringVerify());
                                continue;
                            }
                        case 15: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.runtimes && message.runtimes.length))
                                    message.runtimes = [];
                                message.runtimes.push(reader.stringVerify());
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                GpuState.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.GpuState)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.GpuState: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.GpuState();
                    if (object.labels != null) {
                        if (!$util.isObject(object.labels))
                            throw $TypeError(".infermesh.state.v1.GpuState.labels: object expected");
                        message.labels = $root.infermesh.state.v1.Labels.fromObject(object.labels, _depth + 1);
                    }
                    if (object.index != null)
                        if ($Number(object.index) !== 0)
                            message.index = object.index >>> 0;
                    if (object.name != null)
                        if (typeof object.name !== "string" || object.name.length)
                            message.name = $String(object.name);
                    if (object.memoryTotalBytes != null)
                        if ($util.Long)
                            message.memoryTotalBytes = $util.Long.fromValue(object.memoryTotalBytes, true);
                        else if (typeof object.memoryTotalBytes === "string")
                            message.memoryTotalBytes = $parseInt(object.memoryTotalBytes, 10);
                        else if (typeof object.memoryTotalBytes === "number")
                            message.memoryTotalBytes = object.memoryTotalBytes;
                        else if (typeof object.memoryTotalBytes === "object")
                            message.memoryTotalBytes = new $util.LongBits(object.memoryTotalBytes.low >>> 0, object.memoryTotalBytes.high >>> 0).toNumber(true);
                    if (object.memoryUsedBytes != null)
                        if ($util.Long)
                            message.memoryUsedBytes = $util.Long.fromValue(object.memoryUsedBytes, true);
                        else if (typeof object.memoryUsedBytes === "string")
                            message.memoryUsedBytes = $parseInt(object.memoryUsedBytes, 10);
                        else if (typeof object.memoryUsedBytes === "number")
                            message.memoryUsedBytes = object.memoryUsedBytes;
                        else if (typeof object.memoryUsedBytes === "object")
                            message.memoryUsedBytes = new $util.LongBits(object.memoryUsedBytes.low >>> 0, object.memoryUsedBytes.high >>> 0).toNumber(true);
                    if (object.utilization != null)
                        message.utilization = $Number(object.utilization);
                    if (object.powerWatts != null)
                        message.powerWatts = $Number(object.powerWatts);
                    if (object.powerLimitWatts != null)
                        message.powerLimitWatts = $Number(object.powerLimitWatts);
                    if (object.temperatureCelsius != null)
                        message.temperatureCelsius = $Number(object.temperatureCelsius);
                    if (object.throttleReasons) {
                        if (!$Array.isArray(object.throttleReasons))
                            throw $TypeError(".infermesh.state.v1.GpuState.throttleReasons: array expected");
                        message.throttleReasons = $Array(object.throttleReasons.length);
                        for (let i = 0; i < object.throttleReasons.length; ++i)
                            message.throttleReasons[i] = $String(object.throttleReasons[i]);
                    }
                    if (object.health !== 0 && (typeof object.health !== "string" || $root.infermesh.state.v1.GpuHealth[object.health] !== 0))
                        switch (object.health) {
                        case "GPU_HEALTH_UNSPECIFIED":
                        case 0:
                            message.health = 0;
                            break;
                        case "GPU_HEALTH_HEALTHY":
                        case 1:
                            message.health = 1;
                            break;
                        case "GPU_HEALTH_DEGRADED":
                        case 2:
                            message.health = 2;
                            break;
                        case "GPU_HEALTH_QUARANTINED":
                        case 3:
                            message.health = 3;
                            break;
                        default:
                            if (typeof object.health === "number" && (object.health | 0) === object.health)
                                message.health = object.health;
                        }
                    if (object.healthReason != null)
                        message.healthReason = $String(object.healthReason);
                    if (object.healthSinceMs != null)
                        if ($util.Long)
                            message.healthSinceMs = $util.Long.fromValue(object.healthSinceMs, true);
                        else if (typeof object.healthSinceMs === "string")
                            message.healthSinceMs = $parseInt(object.healthSinceMs, 10);
                        else if (typeof object.healthSinceMs === "number")
                            message.healthSinceMs = object.healthSinceMs;
                        else if (typeof object.healthSinceMs === "object")
                            message.healthSinceMs = new $util.LongBits(object.healthSinceMs.low >>> 0, object.healthSinceMs.high >>> 0).toNumber(true);
                    if (object.models) {
                        if (!$Array.isArray(object.models))
                            throw $TypeError(".infermesh.state.v1.GpuState.models: array expected");
                        message.models = $Array(object.models.length);
                        for (let i = 0; i < object.models.length; ++i)
                            message.models[i] = $String(object.models[i]);
                    }
                    if (object.runtimes) {
                        if (!$Array.isArray(object.runtimes))
                            throw $TypeError(".infermesh.state.v1.GpuState.runtimes: array expected");
                        message.runtimes = $Array(object.runtimes.length);
                        for (let i = 0; i < object.runtimes.length; ++i)
                            message.runtimes[i] = $String(object.runtimes[i]);
                    }
                    return message;
                };

                GpuState.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.arrays || options.defaults) {
                        object.throttleReasons = [];
                        object.models = [];
                        object.runtimes = [];
                    }
                    if (options.defaults) {
                        object.labels = null;
                        object.index = 0;
                        object.name = "";
                        object.health = options.enums === $String ? "GPU_HEALTH_UNSPECIFIED" : 0;
                    }
                    if (message.labels != null && $Object.hasOwnProperty.call(message, "labels"))
                        object.labels = $root.infermesh.state.v1.Labels.toObject(message.labels, options, _depth + 1);
                    if (message.index != null && $Object.hasOwnProperty.call(message, "index"))
                        object.index = message.index;
                    if (message.name != null && $Object.hasOwnProperty.call(message, "name"))
                        object.name = message.name;
                    if (message.memoryTotalBytes != null && $Object.hasOwnProperty.call(message, "memoryTotalBytes"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.memoryTotalBytes = typeof message.memoryTotalBytes === "number" ? $BigInt(message.memoryTotalBytes) : $util.Long.fromBits(message.memoryTotalBytes.low >>> 0, message.memoryTotalBytes.high >>> 0, true).toBigInt();
                        else if (typeof message.memoryTotalBytes === "number")
                            object.memoryTotalBytes = options.longs === $String ? $String(message.memoryTotalBytes) : message.memoryTotalBytes;
                        else
                            object.memoryTotalBytes = options.longs === $String ? $util.Long.prototype.toString.call(message.memoryTotalBytes) : options.longs === $Number ? new $util.LongBits(message.memoryTotalBytes.low >>> 0, message.memoryTotalBytes.high >>> 0).toNumber(true) : message.memoryTotalBytes;
                    if (message.memoryUsedBytes != null && $Object.hasOwnProperty.call(message, "memoryUsedBytes"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.memoryUsedBytes = typeof message.memoryUsedBytes === "number" ? $BigInt(message.memoryUsedBytes) : $util.Long.fromBits(message.memoryUsedBytes.low >>> 0, message.memoryUsedBytes.high >>> 0, true).toBigInt();
                        else if (typeof message.memoryUsedBytes === "number")
                            object.memoryUsedBytes = options.longs === $String ? $String(message.memoryUsedBytes) : message.memoryUsedBytes;
                        else
                            object.memoryUsedBytes = options.longs === $String ? $util.Long.prototype.toString.call(message.memoryUsedBytes) : options.longs === $Number ? new $util.LongBits(message.memoryUsedBytes.low >>> 0, message.memoryUsedBytes.high >>> 0).toNumber(true) : message.memoryUsedBytes;
                    if (message.utilization != null && $Object.hasOwnProperty.call(message, "utilization"))
                        object.utilization = options.json && !$isFinite(message.utilization) ? $String(message.utilization) : message.utilization;
                    if (message.powerWatts != null && $Object.hasOwnProperty.call(message, "powerWatts"))
                        object.powerWatts = options.json && !$isFinite(message.powerWatts) ? $String(message.powerWatts) : message.powerWatts;
                    if (message.powerLimitWatts != null && $Object.hasOwnProperty.call(message, "powerLimitWatts"))
                        object.powerLimitWatts = options.json && !$isFinite(message.powerLimitWatts) ? $String(message.powerLimitWatts) : message.powerLimitWatts;
                    if (message.temperatureCelsius != null && $Object.hasOwnProperty.call(message, "temperatureCelsius"))
                        object.temperatureCelsius = options.json && !$isFinite(message.temperatureCelsius) ? $String(message.temperatureCelsius) : message.temperatureCelsius;
                    if (message.throttleReasons && message.throttleReasons.length) {
                        object.throttleReasons = $Array(message.throttleReasons.length);
                        for (let j = 0; j < message.throttleReasons.length; ++j)
                            object.throttleReasons[j] = message.throttleReasons[j];
                    }
                    if (message.health != null && $Object.hasOwnProperty.call(message, "health"))
                        object.health = options.enums === $String ? $root.infermesh.state.v1.GpuHealth[message.health] === $undefined ? message.health : $root.infermesh.state.v1.GpuHealth[message.health] : message.health;
                    if (message.healthReason != null && $Object.hasOwnProperty.call(message, "healthReason"))
                        object.healthReason = message.healthReason;
                    if (message.healthSinceMs != null && $Object.hasOwnProperty.call(message, "healthSinceMs"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.healthSinceMs = typeof message.healthSinceMs === "number" ? $BigInt(message.healthSinceMs) : $util.Long.fromBits(message.healthSinceMs.low >>> 0, message.healthSinceMs.high >>> 0, true).toBigInt();
                        else if (typeof message.healthSinceMs === "number")
                            object.healthSinceMs = options.longs === $String ? $String(message.healthSinceMs) : message.healthSinceMs;
                        else
                            object.healthSinceMs = options.longs === $String ? $util.Long.prototype.toString.call(message.healthSinceMs) : options.longs === $Number ? new $util.LongBits(message.healthSinceMs.low >>> 0, message.healthSinceMs.high >>> 0).toNumber(true) : message.healthSinceMs;
                    if (message.models && message.models.length) {
                        object.models = $Array(message.models.length);
                        for (let j = 0; j < message.models.length; ++j)
                            object.models[j] = message.models[j];
                    }
                    if (message.runtimes && message.runtimes.length) {
                        object.runtimes = $Array(message.runtimes.length);
                        for (let j = 0; j < message.runtimes.length; ++j)
                            object.runtimes[j] = message.runtimes[j];
                    }
                    return object;
                };

                GpuState.prototype.toJSON = function() {
                    return GpuState.toObject(this, $protobuf.util.toJSONOptions);
                };

                return GpuState;
            })();

            v1.Vitals = (function() {

                const Vitals = function (properties) {
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                Vitals.prototype.requestsInProgress = 0;
                Vitals.prototype.cpuUsage = null;
                Vitals.prototype.memoryUsage = null;
                Vitals.prototype.gpuUsage = null;
                Vitals.prototype.failedResponses = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
                Vitals.prototype.connectedPeers = 0;
                Vitals.prototype.backoffRequests = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
                Vitals.prototype.uptimeSeconds = 0;

                let $oneOfFields;

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(Vitals.prototype, "_cpuUsage", {
                    get: $util.oneOfGetter($oneOfFields = ["cpuUsage"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(Vitals.prototype, "_memoryUsage", {
                    get: $util.oneOfGetter($oneOfFields = ["memoryUsage"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(Vitals.prototype, "_gpuUsage", {
                    get: $util.oneOfGetter($oneOfFields = ["gpuUsage"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                Vitals.create = function(properties) {
                    return new Vitals(properties);
                };

                Vitals.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.requestsInProgress != null && $Object.hasOwnProperty.call(message, "requestsInProgress") && message.requestsInProgress !== 0)
                        writer.uint32(8).uint32(message.requestsInProgress);
                    if (message.cpuUsage != null && $Object.hasOwnProperty.call(message, "cpuUsage"))
                        writer.uint32(17).double(message.cpuUsage);
                    if (message.memoryUsage != null && $Object.hasOwnProperty.call(message, "memoryUsage"))
                        writer.uint32(25).double(message.memoryUsage);
                    if (message.gpuUsage != null && $Object.hasOwnProperty.call(message, "gpuUsage"))
                        writer.uint32(33).double(message.gpuUsage);
                    if (message.failedResponses != null && $Object.hasOwnProperty.call(message, "failedResponses") && (typeof message.failedResponses === "object" ? message.failedResponses.low || message.failedResponses.high : message.failedResponses !== 0))
                        writer.uint32(40).uint64(message.failedResponses);
                    if (message.connectedPeers != null && $Object.hasOwnProperty.call(message, "connectedPeers") && message.connectedPeers !== 0)
                        writer.uint32(48).uint32(message.connectedPeers);
                    if (message.backoffRequests != null && $Object.hasOwnProperty.call(message, "backoffRequests") && (typeof message.backoffRequests === "object" ? message.backoffRequests.low || message.backoffRequests.high : message.backoffRequests !== 0))
                        writer.uint32(56).uint64(message.backoffRequests);
                    if (message.uptimeSeconds != null && $Object.hasOwnProperty.call(message, "uptimeSeconds") && !$Object.is(message.uptimeSeconds, 0))
                        writer.uint32(65).double(message.uptimeSeconds);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                Vitals.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.Vitals();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.uint32())
                                    message.requestsInProgress = value;
                                else
                                    delete message.requestsInProgress;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 1)
                                    break;
                                message.cpuUsage = reader.double();
                                message._cpuUsage = "cpuUsage";
                                continue;
                            }
                        case 3: {
                                if (wireType !== 1)
                                    break;
                                message.memoryUsage = reader.double();
                                message._memoryUsage = "memoryUsage";
                                continue;
                            }
                        case 4: {
                                if (wireType !== 1)
                                    break;
                                message.gpuUsage = reader.double();
                                message._gpuUsage = "gpuUsage";
                                continue;
                            }
                        case 5: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.failedResponses = value;
                                else
                                    delete message.failedResponses;
                                continue;
                            }
                        case 6: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.uint32())
                                    message.connectedPeers = value;
                                else
                                    delete message.connectedPeers;
                                continue;
                            }
                        case 7: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.backoffRequests = value;
                                else
                                    delete message.backoffRequests;
                                continue;
                            }
                        case 8: {
                                if (wireType !== 1)
                                    break;
                                if (!$Object.is(value = reader.double(), 0))
                                    message.uptimeSeconds = value;
                                else
                                    delete message.uptimeSeconds;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                Vitals.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.Vitals)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.Vitals: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.Vitals();
                    if (object.requestsInProgress != null)
                        if ($Number(object.requestsInProgress) !== 0)
                            message.requestsInProgress = object.requestsInProgress >>> 0;
                    if (object.cpuUsage != null)
                        message.cpuUsage = $Number(object.cpuUsage);
                    if (object.memoryUsage != null)
                        message.memoryUsage = $Number(object.memoryUsage);
                    if (object.gpuUsage != null)
                        message.gpuUsage = $Number(object.gpuUsage);
                    if (object.failedResponses != null)
                        if (typeof object.failedResponses === "object" ? object.failedResponses.low || object.failedResponses.high : $Number(object.failedResponses) !== 0)
                            if ($util.Long)
                                message.failedResponses = $util.Long.fromValue(object.failedResponses, true);
                            else if (typeof object.failedResponses === "string")
                                message.failedResponses = $parseInt(object.failedResponses, 10);
                            else if (typeof object.failedResponses === "number")
                                message.failedResponses = object.failedResponses;
                            else if (typeof object.failedResponses === "object")
                                message.failedResponses = new $util.LongBits(object.failedResponses.low >>> 0, object.failedResponses.high >>> 0).toNumber(true);
                    if (object.connectedPeers != null)
                        if ($Number(object.connectedPeers) !== 0)
                            message.connectedPeers = object.connectedPeers >>> 0;
                    if (object.backoffRequests != null)
                        if (typeof object.backoffRequests === "object" ? object.backoffRequests.low || object.backoffRequests.high : $Number(object.backoffRequests) !== 0)
                            if ($util.Long)
                                message.backoffRequests = $util.Long.fromValue(object.backoffRequests, true);
                            else if (typeof object.backoffRequests === "string")
                                message.backoffRequests = $parseInt(object.backoffRequests, 10);
                            else if (typeof object.backoffRequests === "number")
                                message.backoffRequests = object.backoffRequests;
                            else if (typeof object.backoffRequests === "object")
                                message.backoffRequests = new $util.LongBits(object.backoffRequests.low >>> 0, object.backoffRequests.high >>> 0).toNumber(true);
                    if (object.uptimeSeconds != null)
                        if (!$Object.is($Number(object.uptimeSeconds), 0))
                            message.uptimeSeconds = $Number(object.uptimeSeconds);
                    return message;
                };

                Vitals.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.defaults) {
                        object.requestsInProgress = 0;
                        if ($util.Long) {
                            let long = new $util.Long(0, 0, true);
                            object.failedResponses = options.longs === $String ? long.toString() : options.longs === $Number ? long.toNumber() : typeof $BigInt !== "undefined" && options.longs === $BigInt ? long.toBigInt() : long;
                        } else
                            object.failedResponses = options.longs === $String ? "0" : typeof $BigInt !== "undefined" && options.longs === $BigInt ? $BigInt("0") : 0;
                        object.connectedPeers = 0;
                        if ($util.Long) {
                            let long = new $util.Long(0, 0, true);
                            object.backoffRequests = options.longs === $String ? long.toString() : options.longs === $Number ? long.toNumber() : typeof $BigInt !== "undefined" && options.longs === $BigInt ? long.toBigInt() : long;
                        } else
                            object.backoffRequests = options.longs === $String ? "0" : typeof $BigInt !== "undefined" && options.longs === $BigInt ? $BigInt("0") : 0;
                        object.uptimeSeconds = 0;
                    }
                    if (message.requestsInProgress != null && $Object.hasOwnProperty.call(message, "requestsInProgress"))
                        object.requestsInProgress = message.requestsInProgress;
                    if (message.cpuUsage != null && $Object.hasOwnProperty.call(message, "cpuUsage"))
                        object.cpuUsage = options.json && !$isFinite(message.cpuUsage) ? $String(message.cpuUsage) : message.cpuUsage;
                    if (message.memoryUsage != null && $Object.hasOwnProperty.call(message, "memoryUsage"))
                        object.memoryUsage = options.json && !$isFinite(message.memoryUsage) ? $String(message.memoryUsage) : message.memoryUsage;
                    if (message.gpuUsage != null && $Object.hasOwnProperty.call(message, "gpuUsage"))
                        object.gpuUsage = options.json && !$isFinite(message.gpuUsage) ? $String(message.gpuUsage) : message.gpuUsage;
                    if (message.failedResponses != null && $Object.hasOwnProperty.call(message, "failedResponses"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.failedResponses = typeof message.failedResponses === "number" ? $BigInt(message.failedResponses) : $util.Long.fromBits(message.failedResponses.low >>> 0, message.failedResponses.high >>> 0, true).toBigInt();
                        else if (typeof message.failedResponses === "number")
                            object.failedResponses = options.longs === $String ? $String(message.failedResponses) : message.failedResponses;
                        else
                            object.failedResponses = options.longs === $String ? $util.Long.prototype.toString.call(message.failedResponses) : options.longs === $Number ? new $util.LongBits(message.failedResponses.low >>> 0, message.failedResponses.high >>> 0).toNumber(true) : message.failedResponses;
                    if (message.connectedPeers != null && $Object.hasOwnProperty.call(message, "connectedPeers"))
                        object.connectedPeers = message.connectedPeers;
                    if (message.backoffRequests != null && $Object.hasOwnProperty.call(message, "backoffRequests"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.backoffRequests = typeof message.backoffRequests === "number" ? $BigInt(message.backoffRequests) : $util.Long.fromBits(message.backoffRequests.low >>> 0, message.backoffRequests.high >>> 0, true).toBigInt();
                        else if (typeof message.backoffRequests === "number")
                            object.backoffRequests = options.longs === $String ? $String(message.backoffRequests) : message.backoffRequests;
                        else
                            object.backoffRequests = options.longs === $String ? $util.Long.prototype.toString.call(message.backoffRequests) : options.longs === $Number ? new $util.LongBits(message.backoffRequests.low >>> 0, message.backoffRequests.high >>> 0).toNumber(true) : message.backoffRequests;
                    if (message.uptimeSeconds != null && $Object.hasOwnProperty.call(message, "uptimeSeconds"))
                        object.uptimeSeconds = options.json && !$isFinite(message.uptimeSeconds) ? $String(message.uptimeSeconds) : message.uptimeSeconds;
                    return object;
                };

                Vitals.prototype.toJSON = function() {
                    return Vitals.toObject(this, $protobuf.util.toJSONOptions);
                };

                return Vitals;
            })();

            v1.Addresses = (function() {

                const Addresses = function (properties) {
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                Addresses.prototype.serve = "";
                Addresses.prototype.api = "";
                Addresses.prototype.metrics = "";
                Addresses.prototype.gossip = "";

                Addresses.create = function(properties) {
                    return new Addresses(properties);
                };

                Addresses.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.serve != null && $Object.hasOwnProperty.call(message, "serve") && message.serve !== "")
                        writer.uint32(10).string(message.serve);
                    if (message.api != null && $Object.hasOwnProperty.call(message, "api") && message.api !== "")
                        writer.uint32(18).string(message.api);
                    if (message.metrics != null && $Object.hasOwnProperty.call(message, "metrics") && message.metrics !== "")
                        writer.uint32(26).string(message.metrics);
                    if (message.gossip != null && $Object.hasOwnProperty.call(message, "gossip") && message.gossip !== "")
                        writer.uint32(34).string(message.gossip);
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                Addresses.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.Addresses();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.serve = value;
                                else
                                    delete message.serve;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.api = value;
                                else
                                    delete message.api;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.metrics = value;
                                else
                                    delete message.metrics;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.gossip = value;
                                else
                                    delete message.gossip;
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                Addresses.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.Addresses)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.Addresses: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.Addresses();
                    if (object.serve != null)
                        if (typeof object.serve !== "string" || object.serve.length)
                            message.serve = $String(object.serve);
                    if (object.api != null)
                        if (typeof object.api !== "string" || object.api.length)
                            message.api = $String(object.api);
                    if (object.metrics != null)
                        if (typeof object.metrics !== "string" || object.metrics.length)
                            message.metrics = $String(object.metrics);
                    if (object.gossip != null)
                        if (typeof object.gossip !== "string" || object.gossip.length)
                            message.gossip = $String(object.gossip);
                    return message;
                };

                Addresses.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.defaults) {
                        object.serve = "";
                        object.api = "";
                        object.metrics = "";
                        object.gossip = "";
                    }
                    if (message.serve != null && $Object.hasOwnProperty.call(message, "serve"))
                        object.serve = message.serve;
                    if (message.api != null && $Object.hasOwnProperty.call(message, "api"))
                        object.api = message.api;
                    if (message.metrics != null && $Object.hasOwnProperty.call(message, "metrics"))
                        object.metrics = message.metrics;
                    if (message.gossip != null && $Object.hasOwnProperty.call(message, "gossip"))
                        object.gossip = message.gossip;
                    return object;
                };

                Addresses.prototype.toJSON = function() {
                    return Addresses.toObject(this, $protobuf.util.toJSONOptions);
                };

                return Addresses;
            })();

            v1.NodeState = (function() {

                const NodeState = function (properties) {
                    this.models = [];
                    this.gpus = [];
                    this.runtimes = [];
                    if (properties)
                        for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                            if (properties[keys[i]] != null && keys[i] !== "__proto__")
                                this[keys[i]] = properties[keys[i]];
                };

                NodeState.prototype.id = "";
                NodeState.prototype.incarnation = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
                NodeState.prototype.role = "";
                NodeState.prototype.version = "";
                NodeState.prototype.zone = "";
                NodeState.prototype.ready = false;
                NodeState.prototype.observedAtMs = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
                NodeState.prototype.addresses = null;
                NodeState.prototype.vitals = null;
                NodeState.prototype.models = $util.emptyArray;
                NodeState.prototype.gpus = $util.emptyArray;
                NodeState.prototype.labels = null;
                NodeState.prototype.draining = null;
                NodeState.prototype.runtimes = $util.emptyArray;

                let $oneOfFields;

                // Virtual OneOf for proto3 optional field
                $Object.defineProperty(NodeState.prototype, "_draining", {
                    get: $util.oneOfGetter($oneOfFields = ["draining"]),
                    set: $util.oneOfSetter($oneOfFields)
                });

                NodeState.create = function(properties) {
                    return new NodeState(properties);
                };

                NodeState.encode = function (message, writer, _depth) {
                    if (!writer)
                        writer = $Writer.create();
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    if (message.id != null && $Object.hasOwnProperty.call(message, "id") && message.id !== "")
                        writer.uint32(10).string(message.id);
                    if (message.incarnation != null && $Object.hasOwnProperty.call(message, "incarnation") && (typeof message.incarnation === "object" ? message.incarnation.low || message.incarnation.high : message.incarnation !== 0))
                        writer.uint32(16).uint64(message.incarnation);
                    if (message.role != null && $Object.hasOwnProperty.call(message, "role") && message.role !== "")
                        writer.uint32(26).string(message.role);
                    if (message.version != null && $Object.hasOwnProperty.call(message, "version") && message.version !== "")
                        writer.uint32(34).string(message.version);
                    if (message.zone != null && $Object.hasOwnProperty.call(message, "zone") && message.zone !== "")
                        writer.uint32(42).string(message.zone);
                    if (message.ready != null && $Object.hasOwnProperty.call(message, "ready") && message.ready !== false)
                        writer.uint32(48).bool(message.ready);
                    if (message.observedAtMs != null && $Object.hasOwnProperty.call(message, "observedAtMs") && (typeof message.observedAtMs === "object" ? message.observedAtMs.low || message.observedAtMs.high : message.observedAtMs !== 0))
                        writer.uint32(56).uint64(message.observedAtMs);
                    if (message.addresses != null && $Object.hasOwnProperty.call(message, "addresses"))
                        $root.infermesh.state.v1.Addresses.encode(message.addresses, writer.uint32(66).fork(), _depth + 1).ldelim();
                    if (message.vitals != null && $Object.hasOwnProperty.call(message, "vitals"))
                        $root.infermesh.state.v1.Vitals.encode(message.vitals, writer.uint32(74).fork(), _depth + 1).ldelim();
                    if (message.models != null && message.models.length)
                        for (let i = 0; i < message.models.length; ++i)
                            $root.infermesh.state.v1.ModelState.encode(message.models[i], writer.uint32(82).fork(), _depth + 1).ldelim();
                    if (message.gpus != null && message.gpus.length)
                        for (let i = 0; i < message.gpus.length; ++i)
                            $root.infermesh.state.v1.GpuState.encode(message.gpus[i], writer.uint32(90).fork(), _depth + 1).ldelim();
                    if (message.labels != null && $Object.hasOwnProperty.call(message, "labels"))
                        $root.infermesh.state.v1.Labels.encode(message.labels, writer.uint32(98).fork(), _depth + 1).ldelim();
                    if (message.draining != null && $Object.hasOwnProperty.call(message, "draining"))
                        writer.uint32(104).bool(message.draining);
                    if (message.runtimes != null && message.runtimes.length)
                        for (let i = 0; i < message.runtimes.length; ++i)
                            $root.infermesh.state.v1.RuntimeState.encode(message.runtimes[i], writer.uint32(114).fork(), _depth + 1).ldelim();
                    if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                        for (let i = 0; i < message.$unknowns.length; ++i)
                            writer.raw(message.$unknowns[i]);
                    return writer;
                };

                NodeState.decode = function (reader, length, _end, _depth, _target) {
                    if (!(reader instanceof $Reader))
                        reader = $Reader.create(reader);
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $Reader.recursionLimit)
                        throw $Error("max depth exceeded");
                    let end, message, value;
                    if (length === $undefined)
                        end = reader.len;
                    else {
                        end = reader.pos + length;
                        if (end > reader.len)
                            throw $RangeError("index out of range");
                        length = reader.len;
                        reader.len = end;
                    }
                    message = _target || new $root.infermesh.state.v1.NodeState();
                    while (reader.pos < end) {
                        let start = reader.pos;
                        let tag = reader.tag();
                        if (tag === _end) {
                            _end = $undefined;
                            break;
                        }
                        let wireType = tag & 7;
                        switch (tag >>>= 3) {
                        case 1: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.id = value;
                                else
                                    delete message.id;
                                continue;
                            }
                        case 2: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.incarnation = value;
                                else
                                    delete message.incarnation;
                                continue;
                            }
                        case 3: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.role = value;
                                else
                                    delete message.role;
                                continue;
                            }
                        case 4: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.version = value;
                                else
                                    delete message.version;
                                continue;
                            }
                        case 5: {
                                if (wireType !== 2)
                                    break;
                                if ((value = reader.stringVerify()).length)
                                    message.zone = value;
                                else
                                    delete message.zone;
                                continue;
                            }
                        case 6: {
                                if (wireType !== 0)
                                    break;
                                if (value = reader.bool())
                                    message.ready = value;
                                else
                                    delete message.ready;
                                continue;
                            }
                        case 7: {
                                if (wireType !== 0)
                                    break;
                                if (typeof (value = reader.uint64()) === "object" ? value.low || value.high : value !== 0)
                                    message.observedAtMs = value;
                                else
                                    delete message.observedAtMs;
                                continue;
                            }
                        case 8: {
                                if (wireType !== 2)
                                    break;
                                message.addresses = $root.infermesh.state.v1.Addresses.decode(reader, reader.size(), $undefined, _depth + 1, message.addresses);
                                continue;
                            }
                        case 9: {
                                if (wireType !== 2)
                                    break;
                                message.vitals = $root.infermesh.state.v1.Vitals.decode(reader, reader.size(), $undefined, _depth + 1, message.vitals);
                                continue;
                            }
                        case 10: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.models && message.models.length))
                                    message.models = [];
                                message.models.push($root.infermesh.state.v1.ModelState.decode(reader, reader.size(), $undefined, _depth + 1));
                                continue;
                            }
                        case 11: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.gpus && message.gpus.length))
                                    message.gpus = [];
                                message.gpus.push($root.infermesh.state.v1.GpuState.decode(reader, reader.size(), $undefined, _depth + 1));
                                continue;
                            }
                        case 12: {
                                if (wireType !== 2)
                                    break;
                                message.labels = $root.infermesh.state.v1.Labels.decode(reader, reader.size(), $undefined, _depth + 1, message.labels);
                                continue;
                            }
                        case 13: {
                                if (wireType !== 0)
                                    break;
                                message.draining = reader.bool();
                                message._draining = "draining";
                                continue;
                            }
                        case 14: {
                                if (wireType !== 2)
                                    break;
                                if (!(message.runtimes && message.runtimes.length))
                                    message.runtimes = [];
                                message.runtimes.push($root.infermesh.state.v1.RuntimeState.decode(reader, reader.size(), $undefined, _depth + 1));
                                continue;
                            }
                        }
                        reader.skipType(wireType, _depth, tag);
                        if (!reader.discardUnknown) {
                            $util.makeProp(message, "$unknowns", false);
                            (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                        }
                    }
                    if (length !== $undefined) {
                        if (reader.pos !== end)
                            throw $RangeError("index out of range");
                        reader.len = length;
                    }
                    if (_end !== $undefined)
                        throw $Error("missing end group");
                    return message;
                };

                NodeState.fromObject = function (object, _depth) {
                    if (object instanceof $root.infermesh.state.v1.NodeState)
                        return object;
                    if (!$util.isObject(object))
                        throw $TypeError(".infermesh.state.v1.NodeState: object expected");
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let message = new $root.infermesh.state.v1.NodeState();
                    if (object.id != null)
                        if (typeof object.id !== "string" || object.id.length)
                            message.id = $String(object.id);
                    if (object.incarnation != null)
                        if (typeof object.incarnation === "object" ? object.incarnation.low || object.incarnation.high : $Number(object.incarnation) !== 0)
                            if ($util.Long)
                                message.incarnation = $util.Long.fromValue(object.incarnation, true);
                            else if (typeof object.incarnation === "string")
                                message.incarnation = $parseInt(object.incarnation, 10);
                            else if (typeof object.incarnation === "number")
                                message.incarnation = object.incarnation;
                            else if (typeof object.incarnation === "object")
                                message.incarnation = new $util.LongBits(object.incarnation.low >>> 0, object.incarnation.high >>> 0).toNumber(true);
                    if (object.role != null)
                        if (typeof object.role !== "string" || object.role.length)
                            message.role = $String(object.role);
                    if (object.version != null)
                        if (typeof object.version !== "string" || object.version.length)
                            message.version = $String(object.version);
                    if (object.zone != null)
                        if (typeof object.zone !== "string" || object.zone.length)
                            message.zone = $String(object.zone);
                    if (object.ready != null)
                        if (object.ready)
                            message.ready = $Boolean(object.ready);
                    if (object.observedAtMs != null)
                        if (typeof object.observedAtMs === "object" ? object.observedAtMs.low || object.observedAtMs.high : $Number(object.observedAtMs) !== 0)
                            if ($util.Long)
                                message.observedAtMs = $util.Long.fromValue(object.observedAtMs, true);
                            else if (typeof object.observedAtMs === "string")
                                message.observedAtMs = $parseInt(object.observedAtMs, 10);
                            else if (typeof object.observedAtMs === "number")
                                message.observedAtMs = object.observedAtMs;
                            else if (typeof object.observedAtMs === "object")
                                message.observedAtMs = new $util.LongBits(object.observedAtMs.low >>> 0, object.observedAtMs.high >>> 0).toNumber(true);
                    if (object.addresses != null) {
                        if (!$util.isObject(object.addresses))
                            throw $TypeError(".infermesh.state.v1.NodeState.addresses: object expected");
                        message.addresses = $root.infermesh.state.v1.Addresses.fromObject(object.addresses, _depth + 1);
                    }
                    if (object.vitals != null) {
                        if (!$util.isObject(object.vitals))
                            throw $TypeError(".infermesh.state.v1.NodeState.vitals: object expected");
                        message.vitals = $root.infermesh.state.v1.Vitals.fromObject(object.vitals, _depth + 1);
                    }
                    if (object.models) {
                        if (!$Array.isArray(object.models))
                            throw $TypeError(".infermesh.state.v1.NodeState.models: array expected");
                        message.models = $Array(object.models.length);
                        for (let i = 0; i < object.models.length; ++i) {
                            if (!$util.isObject(object.models[i]))
                                throw $TypeError(".infermesh.state.v1.NodeState.models: object expected");
                            message.models[i] = $root.infermesh.state.v1.ModelState.fromObject(object.models[i], _depth + 1);
                        }
                    }
                    if (object.gpus) {
                        if (!$Array.isArray(object.gpus))
                            throw $TypeError(".infermesh.state.v1.NodeState.gpus: array expected");
                        message.gpus = $Array(object.gpus.length);
                        for (let i = 0; i < object.gpus.length; ++i) {
                            if (!$util.isObject(object.gpus[i]))
                                throw $TypeError(".infermesh.state.v1.NodeState.gpus: object expected");
                            message.gpus[i] = $root.infermesh.state.v1.GpuState.fromObject(object.gpus[i], _depth + 1);
                        }
                    }
                    if (object.labels != null) {
                        if (!$util.isObject(object.labels))
                            throw $TypeError(".infermesh.state.v1.NodeState.labels: object expected");
                        message.labels = $root.infermesh.state.v1.Labels.fromObject(object.labels, _depth + 1);
                    }
                    if (object.draining != null)
                        message.draining = $Boolean(object.draining);
                    if (object.runtimes) {
                        if (!$Array.isArray(object.runtimes))
                            throw $TypeError(".infermesh.state.v1.NodeState.runtimes: array expected");
                        message.runtimes = $Array(object.runtimes.length);
                        for (let i = 0; i < object.runtimes.length; ++i) {
                            if (!$util.isObject(object.runtimes[i]))
                                throw $TypeError(".infermesh.state.v1.NodeState.runtimes: object expected");
                            message.runtimes[i] = $root.infermesh.state.v1.RuntimeState.fromObject(object.runtimes[i], _depth + 1);
                        }
                    }
                    return message;
                };

                NodeState.toObject = function (message, options, _depth) {
                    if (!options)
                        options = {};
                    if (_depth === $undefined)
                        _depth = 0;
                    if (_depth > $util.recursionLimit)
                        throw $Error("max depth exceeded");
                    let object = {};
                    if (options.arrays || options.defaults) {
                        object.models = [];
                        object.gpus = [];
                        object.runtimes = [];
                    }
                    if (options.defaults) {
                        object.id = "";
                        if ($util.Long) {
                            let long = new $util.Long(0, 0, true);
                            object.incarnation = options.longs === $String ? long.toString() : options.longs === $Number ? long.toNumber() : typeof $BigInt !== "undefined" && options.longs === $BigInt ? long.toBigInt() : long;
                        } else
                            object.incarnation = options.longs === $String ? "0" : typeof $BigInt !== "undefined" && options.longs === $BigInt ? $BigInt("0") : 0;
                        object.role = "";
                        object.version = "";
                        object.zone = "";
                        object.ready = false;
                        if ($util.Long) {
                            let long = new $util.Long(0, 0, true);
                            object.observedAtMs = options.longs === $String ? long.toString() : options.longs === $Number ? long.toNumber() : typeof $BigInt !== "undefined" && options.longs === $BigInt ? long.toBigInt() : long;
                        } else
                            object.observedAtMs = options.longs === $String ? "0" : typeof $BigInt !== "undefined" && options.longs === $BigInt ? $BigInt("0") : 0;
                        object.addresses = null;
                        object.vitals = null;
                        object.labels = null;
                    }
                    if (message.id != null && $Object.hasOwnProperty.call(message, "id"))
                        object.id = message.id;
                    if (message.incarnation != null && $Object.hasOwnProperty.call(message, "incarnation"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.incarnation = typeof message.incarnation === "number" ? $BigInt(message.incarnation) : $util.Long.fromBits(message.incarnation.low >>> 0, message.incarnation.high >>> 0, true).toBigInt();
                        else if (typeof message.incarnation === "number")
                            object.incarnation = options.longs === $String ? $String(message.incarnation) : message.incarnation;
                        else
                            object.incarnation = options.longs === $String ? $util.Long.prototype.toString.call(message.incarnation) : options.longs === $Number ? new $util.LongBits(message.incarnation.low >>> 0, message.incarnation.high >>> 0).toNumber(true) : message.incarnation;
                    if (message.role != null && $Object.hasOwnProperty.call(message, "role"))
                        object.role = message.role;
                    if (message.version != null && $Object.hasOwnProperty.call(message, "version"))
                        object.version = message.version;
                    if (message.zone != null && $Object.hasOwnProperty.call(message, "zone"))
                        object.zone = message.zone;
                    if (message.ready != null && $Object.hasOwnProperty.call(message, "ready"))
                        object.ready = message.ready;
                    if (message.observedAtMs != null && $Object.hasOwnProperty.call(message, "observedAtMs"))
                        if (typeof $BigInt !== "undefined" && options.longs === $BigInt)
                            object.observedAtMs = typeof message.observedAtMs === "number" ? $BigInt(message.observedAtMs) : $util.Long.fromBits(message.observedAtMs.low >>> 0, message.observedAtMs.high >>> 0, true).toBigInt();
                        else if (typeof message.observedAtMs === "number")
                            object.observedAtMs = options.longs === $String ? $String(message.observedAtMs) : message.observedAtMs;
                        else
                            object.observedAtMs = options.longs === $String ? $util.Long.prototype.toString.call(message.observedAtMs) : options.longs === $Number ? new $util.LongBits(message.observedAtMs.low >>> 0, message.observedAtMs.high >>> 0).toNumber(true) : message.observedAtMs;
                    if (message.addresses != null && $Object.hasOwnProperty.call(message, "addresses"))
                        object.addresses = $root.infermesh.state.v1.Addresses.toObject(message.addresses, options, _depth + 1);
                    if (message.vitals != null && $Object.hasOwnProperty.call(message, "vitals"))
                        object.vitals = $root.infermesh.state.v1.Vitals.toObject(message.vitals, options, _depth + 1);
                    if (message.models && message.models.length) {
                        object.models = $Array(message.models.length);
                        for (let j = 0; j < message.models.length; ++j)
                            object.models[j] = $root.infermesh.state.v1.ModelState.toObject(message.models[j], options, _depth + 1);
                    }
                    if (message.gpus && message.gpus.length) {
                        object.gpus = $Array(message.gpus.length);
                        for (let j = 0; j < message.gpus.length; ++j)
                            object.gpus[j] = $root.infermesh.state.v1.GpuState.toObject(message.gpus[j], options, _depth + 1);
                    }
                    if (message.labels != null && $Object.hasOwnProperty.call(message, "labels"))
                        object.labels = $root.infermesh.state.v1.Labels.toObject(message.labels, options, _depth + 1);
                    if (message.draining != null && $Object.hasOwnProperty.call(message, "draining"))
                        object.draining = message.draining;
                    if (message.runtimes && message.runtimes.length) {
                        object.runtimes = $Array(message.runtimes.length);
                        for (let j = 0; j < message.runtimes.length; ++j)
                            object.runtimes[j] = $root.infermesh.state.v1.RuntimeState.toObject(message.runtimes[j], options, _depth + 1);
                    }
                    return object;
                };

                NodeState.prototype.toJSON = function() {
                    return NodeState.toObject(this, $protobuf.util.toJSONOptions);
                };

                return NodeState;
            })();

            return v1;
        })();

        return state;
    })();

    return infermesh;
})();


export const { Labels, ModelStatus, Quantile, ModelState, Endpoint, RuntimeState, GpuHealth, GpuState, Vitals, Addresses, NodeState } = infermesh.state.v1;
