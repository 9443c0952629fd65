// Generated from proto/ by scripts/generate-proto.ts: never edit. source a219d7f00fa7739ae7f3b4bc output 3b4256c1b952668ab50dbf4a
import * as $protobuf from "protobufjs/minimal.js";

/** Namespace etcdserverpb. */
export namespace etcdserverpb {

    /**
     * Properties of a ResponseHeader.
     * @deprecated Use etcdserverpb.ResponseHeader.$Properties instead.
     */
    interface IResponseHeader extends etcdserverpb.ResponseHeader.$Properties {
    }

    /** Represents a ResponseHeader. */
    class ResponseHeader {

        /**
         * Constructs a new ResponseHeader.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.ResponseHeader.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ResponseHeader clusterId. */
        clusterId: number;

        /** ResponseHeader memberId. */
        memberId: number;

        /** ResponseHeader revision. */
        revision: number;

        /** ResponseHeader raftTerm. */
        raftTerm: number;

        /**
         * Creates a new ResponseHeader instance using the specified properties.
         * @param [properties] Properties to set
         * @returns ResponseHeader instance
         */
        static create(properties: etcdserverpb.ResponseHeader.$Shape): etcdserverpb.ResponseHeader & etcdserverpb.ResponseHeader.$Shape;
        static create(properties?: etcdserverpb.ResponseHeader.$Properties): etcdserverpb.ResponseHeader;

        /**
         * Encodes the specified ResponseHeader message. Does not implicitly {@link etcdserverpb.ResponseHeader.verify|verify} messages.
         * @param message ResponseHeader message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.ResponseHeader.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ResponseHeader message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.ResponseHeader & etcdserverpb.ResponseHeader.$Shape} ResponseHeader
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.ResponseHeader & etcdserverpb.ResponseHeader.$Shape;
    }

    namespace ResponseHeader {

        /** Properties of a ResponseHeader. */
        interface $Properties {

            /** ResponseHeader clusterId */
            clusterId?: (number|null);

            /** ResponseHeader memberId */
            memberId?: (number|null);

            /** ResponseHeader revision */
            revision?: (number|null);

            /** ResponseHeader raftTerm */
            raftTerm?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a ResponseHeader. */
        type $Shape = etcdserverpb.ResponseHeader.$Properties;
    }

    /**
     * Properties of a KeyValue.
     * @deprecated Use etcdserverpb.KeyValue.$Properties instead.
     */
    interface IKeyValue extends etcdserverpb.KeyValue.$Properties {
    }

    /** Represents a KeyValue. */
    class KeyValue {

        /**
         * Constructs a new KeyValue.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.KeyValue.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** KeyValue key. */
        key: Uint8Array;

        /** KeyValue createRevision. */
        createRevision: number;

        /** KeyValue modRevision. */
        modRevision: number;

        /** KeyValue version. */
        version: number;

        /** KeyValue value. */
        value: Uint8Array;

        /** KeyValue lease. */
        lease: number;

        /**
         * Creates a new KeyValue instance using the specified properties.
         * @param [properties] Properties to set
         * @returns KeyValue instance
         */
        static create(properties: etcdserverpb.KeyValue.$Shape): etcdserverpb.KeyValue & etcdserverpb.KeyValue.$Shape;
        static create(properties?: etcdserverpb.KeyValue.$Properties): etcdserverpb.KeyValue;

        /**
         * Encodes the specified KeyValue message. Does not implicitly {@link etcdserverpb.KeyValue.verify|verify} messages.
         * @param message KeyValue message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.KeyValue.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a KeyValue message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.KeyValue & etcdserverpb.KeyValue.$Shape} KeyValue
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.KeyValue & etcdserverpb.KeyValue.$Shape;
    }

    namespace KeyValue {

        /** Properties of a KeyValue. */
        interface $Properties {

            /** KeyValue key */
            key?: (Uint8Array|null);

            /** KeyValue createRevision */
            createRevision?: (number|null);

            /** KeyValue modRevision */
            modRevision?: (number|null);

            /** KeyValue version */
            version?: (number|null);

            /** KeyValue value */
            value?: (Uint8Array|null);

            /** KeyValue lease */
            lease?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a KeyValue. */
        type $Shape = etcdserverpb.KeyValue.$Properties;
    }

    /**
     * Properties of a RangeRequest.
     * @deprecated Use etcdserverpb.RangeRequest.$Properties instead.
     */
    interface IRangeRequest extends etcdserverpb.RangeRequest.$Properties {
    }

    /** Represents a RangeRequest. */
    class RangeRequest {

        /**
         * Constructs a new RangeRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.RangeRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** RangeRequest key. */
        key: Uint8Array;

        /** RangeRequest rangeEnd. */
        rangeEnd: Uint8Array;

        /** RangeRequest limit. */
        limit: number;

        /** RangeRequest revision. */
        revision: number;

        /** RangeRequest serializable. */
        serializable: boolean;

        /** RangeRequest keysOnly. */
        keysOnly: boolean;

        /** RangeRequest countOnly. */
        countOnly: boolean;

        /**
         * Creates a new RangeRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns RangeRequest instance
         */
        static create(properties: etcdserverpb.RangeRequest.$Shape): etcdserverpb.RangeRequest & etcdserverpb.RangeRequest.$Shape;
        static create(properties?: etcdserverpb.RangeRequest.$Properties): etcdserverpb.RangeRequest;

        /**
         * Encodes the specified RangeRequest message. Does not implicitly {@link etcdserverpb.RangeRequest.verify|verify} messages.
         * @param message RangeRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.RangeRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a RangeRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.RangeRequest & etcdserverpb.RangeRequest.$Shape} RangeRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.RangeRequest & etcdserverpb.RangeRequest.$Shape;
    }

    namespace RangeRequest {

        /** Properties of a RangeRequest. */
        interface $Properties {

            /** RangeRequest key */
            key?: (Uint8Array|null);

            /** RangeRequest rangeEnd */
            rangeEnd?: (Uint8Array|null);

            /** RangeRequest limit */
            limit?: (number|null);

            /** RangeRequest revision */
            revision?: (number|null);

            /** RangeRequest serializable */
            serializable?: (boolean|null);

            /** RangeRequest keysOnly */
            keysOnly?: (boolean|null);

            /** RangeRequest countOnly */
            countOnly?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a RangeRequest. */
        type $Shape = etcdserverpb.RangeRequest.$Properties;
    }

    /**
     * Properties of a RangeResponse.
     * @deprecated Use etcdserverpb.RangeResponse.$Properties instead.
     */
    interface IRangeResponse extends etcdserverpb.RangeResponse.$Properties {
    }

    /** Represents a RangeResponse. */
    class RangeResponse {

        /**
         * Constructs a new RangeResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.RangeResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** RangeResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** RangeResponse kvs. */
        kvs: etcdserverpb.KeyValue.$Properties[];

        /** RangeResponse more. */
        more: boolean;

        /** RangeResponse count. */
        count: number;

        /**
         * Creates a new RangeResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns RangeResponse instance
         */
        static create(properties: etcdserverpb.RangeResponse.$Shape): etcdserverpb.RangeResponse & etcdserverpb.RangeResponse.$Shape;
        static create(properties?: etcdserverpb.RangeResponse.$Properties): etcdserverpb.RangeResponse;

        /**
         * Encodes the specified RangeResponse message. Does not implicitly {@link etcdserverpb.RangeResponse.verify|verify} messages.
         * @param message RangeResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.RangeResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a RangeResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.RangeResponse & etcdserverpb.RangeResponse.$Shape} RangeResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.RangeResponse & etcdserverpb.RangeResponse.$Shape;
    }

    namespace RangeResponse {

        /** Properties of a RangeResponse. */
        interface $Properties {

            /** RangeResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** RangeResponse kvs */
            kvs?: (etcdserverpb.KeyValue.$Properties[]|null);

            /** RangeResponse more */
            more?: (boolean|null);

            /** RangeResponse count */
            count?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a RangeResponse. */
        type $Shape = etcdserverpb.RangeResponse.$Properties;
    }

    /**
     * Properties of a PutRequest.
     * @deprecated Use etcdserverpb.PutRequest.$Properties instead.
     */
    interface IPutRequest extends etcdserverpb.PutRequest.$Properties {
    }

    /** Represents a PutRequest. */
    class PutRequest {

        /**
         * Constructs a new PutRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.PutRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** PutRequest key. */
        key: Uint8Array;

        /** PutRequest value. */
        value: Uint8Array;

        /** PutRequest lease. */
        lease: number;

        /**
         * Creates a new PutRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns PutRequest instance
         */
        static create(properties: etcdserverpb.PutRequest.$Shape): etcdserverpb.PutRequest & etcdserverpb.PutRequest.$Shape;
        static create(properties?: etcdserverpb.PutRequest.$Properties): etcdserverpb.PutRequest;

        /**
         * Encodes the specified PutRequest message. Does not implicitly {@link etcdserverpb.PutRequest.verify|verify} messages.
         * @param message PutRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.PutRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PutRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.PutRequest & etcdserverpb.PutRequest.$Shape} PutRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.PutRequest & etcdserverpb.PutRequest.$Shape;
    }

    namespace PutRequest {

        /** Properties of a PutRequest. */
        interface $Properties {

            /** PutRequest key */
            key?: (Uint8Array|null);

            /** PutRequest value */
            value?: (Uint8Array|null);

            /** PutRequest lease */
            lease?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PutRequest. */
        type $Shape = etcdserverpb.PutRequest.$Properties;
    }

    /**
     * Properties of a PutResponse.
     * @deprecated Use etcdserverpb.PutResponse.$Properties instead.
     */
    interface IPutResponse extends etcdserverpb.PutResponse.$Properties {
    }

    /** Represents a PutResponse. */
    class PutResponse {

        /**
         * Constructs a new PutResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.PutResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** PutResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /**
         * Creates a new PutResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns PutResponse instance
         */
        static create(properties: etcdserverpb.PutResponse.$Shape): etcdserverpb.PutResponse & etcdserverpb.PutResponse.$Shape;
        static create(properties?: etcdserverpb.PutResponse.$Properties): etcdserverpb.PutResponse;

        /**
         * Encodes the specified PutResponse message. Does not implicitly {@link etcdserverpb.PutResponse.verify|verify} messages.
         * @param message PutResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.PutResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a PutResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.PutResponse & etcdserverpb.PutResponse.$Shape} PutResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.PutResponse & etcdserverpb.PutResponse.$Shape;
    }

    namespace PutResponse {

        /** Properties of a PutResponse. */
        interface $Properties {

            /** PutResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a PutResponse. */
        type $Shape = etcdserverpb.PutResponse.$Properties;
    }

    /**
     * Properties of a DeleteRangeRequest.
     * @deprecated Use etcdserverpb.DeleteRangeRequest.$Properties instead.
     */
    interface IDeleteRangeRequest extends etcdserverpb.DeleteRangeRequest.$Properties {
    }

    /** Represents a DeleteRangeRequest. */
    class DeleteRangeRequest {

        /**
         * Constructs a new DeleteRangeRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.DeleteRangeRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** DeleteRangeRequest key. */
        key: Uint8Array;

        /** DeleteRangeRequest rangeEnd. */
        rangeEnd: Uint8Array;

        /**
         * Creates a new DeleteRangeRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns DeleteRangeRequest instance
         */
        static create(properties: etcdserverpb.DeleteRangeRequest.$Shape): etcdserverpb.DeleteRangeRequest & etcdserverpb.DeleteRangeRequest.$Shape;
        static create(properties?: etcdserverpb.DeleteRangeRequest.$Properties): etcdserverpb.DeleteRangeRequest;

        /**
         * Encodes the specified DeleteRangeRequest message. Does not implicitly {@link etcdserverpb.DeleteRangeRequest.verify|verify} messages.
         * @param message DeleteRangeRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.DeleteRangeRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a DeleteRangeRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.DeleteRangeRequest & etcdserverpb.DeleteRangeRequest.$Shape} DeleteRangeRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.DeleteRangeRequest & etcdserverpb.DeleteRangeRequest.$Shape;
    }

    namespace DeleteRangeRequest {

        /** Properties of a DeleteRangeRequest. */
        interface $Properties {

            /** DeleteRangeRequest key */
            key?: (Uint8Array|null);

            /** DeleteRangeRequest rangeEnd */
            rangeEnd?: (Uint8Array|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a DeleteRangeRequest. */
        type $Shape = etcdserverpb.DeleteRangeRequest.$Properties;
    }

    /**
     * Properties of a DeleteRangeResponse.
     * @deprecated Use etcdserverpb.DeleteRangeResponse.$Properties instead.
     */
    interface IDeleteRangeResponse extends etcdserverpb.DeleteRangeResponse.$Properties {
    }

    /** Represents a DeleteRangeResponse. */
    class DeleteRangeResponse {

        /**
         * Constructs a new DeleteRangeResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.DeleteRangeResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** DeleteRangeResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** DeleteRangeResponse deleted. */
        deleted: number;

        /**
         * Creates a new DeleteRangeResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns DeleteRangeResponse instance
         */
        static create(properties: etcdserverpb.DeleteRangeResponse.$Shape): etcdserverpb.DeleteRangeResponse & etcdserverpb.DeleteRangeResponse.$Shape;
        static create(properties?: etcdserverpb.DeleteRangeResponse.$Properties): etcdserverpb.DeleteRangeResponse;

        /**
         * Encodes the specified DeleteRangeResponse message. Does not implicitly {@link etcdserverpb.DeleteRangeResponse.verify|verify} messages.
         * @param message DeleteRangeResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.DeleteRangeResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a DeleteRangeResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.DeleteRangeResponse & etcdserverpb.DeleteRangeResponse.$Shape} DeleteRangeResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.DeleteRangeResponse & etcdserverpb.DeleteRangeResponse.$Shape;
    }

    namespace DeleteRangeResponse {

        /** Properties of a DeleteRangeResponse. */
        interface $Properties {

            /** DeleteRangeResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** DeleteRangeResponse deleted */
            deleted?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a DeleteRangeResponse. */
        type $Shape = etcdserverpb.DeleteRangeResponse.$Properties;
    }

    /**
     * Properties of a RequestOp.
     * @deprecated Use etcdserverpb.RequestOp.$Properties instead.
     */
    interface IRequestOp extends etcdserverpb.RequestOp.$Properties {
    }

    /** Represents a RequestOp. */
    class RequestOp {

        /**
         * Constructs a new RequestOp.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.RequestOp.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** RequestOp requestRange. */
        requestRange?: (etcdserverpb.RangeRequest.$Properties|null);

        /** RequestOp requestPut. */
        requestPut?: (etcdserverpb.PutRequest.$Properties|null);

        /** RequestOp requestDeleteRange. */
        requestDeleteRange?: (etcdserverpb.DeleteRangeRequest.$Properties|null);

        /** RequestOp requestTxn. */
        requestTxn?: (etcdserverpb.TxnRequest.$Properties|null);

        /** RequestOp request. */
        request?: ("requestRange"|"requestPut"|"requestDeleteRange"|"requestTxn");

        /**
         * Creates a new RequestOp instance using the specified properties.
         * @param [properties] Properties to set
         * @returns RequestOp instance
         */
        static create(properties: etcdserverpb.RequestOp.$Shape): etcdserverpb.RequestOp & etcdserverpb.RequestOp.$Shape;
        static create(properties?: etcdserverpb.RequestOp.$Properties): etcdserverpb.RequestOp;

        /**
         * Encodes the specified RequestOp message. Does not implicitly {@link etcdserverpb.RequestOp.verify|verify} messages.
         * @param message RequestOp message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.RequestOp.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a RequestOp message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.RequestOp & etcdserverpb.RequestOp.$Shape} RequestOp
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.RequestOp & etcdserverpb.RequestOp.$Shape;
    }

    namespace RequestOp {

        /** Properties of a RequestOp. */
        interface $Properties {

            /** RequestOp requestRange */
            requestRange?: (etcdserverpb.RangeRequest.$Properties|null);

            /** RequestOp requestPut */
            requestPut?: (etcdserverpb.PutRequest.$Properties|null);

            /** RequestOp requestDeleteRange */
            requestDeleteRange?: (etcdserverpb.DeleteRangeRequest.$Properties|null);

            /** RequestOp requestTxn */
            requestTxn?: (etcdserverpb.TxnRequest.$Properties|null);

            /** RequestOp request */
            request?: ("requestRange"|"requestPut"|"requestDeleteRange"|"requestTxn");

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Narrowed shape of a RequestOp. */
        type $Shape = {
          requestRange?: etcdserverpb.RangeRequest.$Shape|null;
          requestPut?: etcdserverpb.PutRequest.$Shape|null;
          requestDeleteRange?: etcdserverpb.DeleteRangeRequest.$Shape|null;
          requestTxn?: etcdserverpb.TxnRequest.$Shape|null;
          $unknowns?: Uint8Array[];
        } & (
          ({ request?: undefined; requestRange?: null; requestPut?: null; requestDeleteRange?: null; requestTxn?: null }|{ request?: "requestRange"; requestRange: etcdserverpb.RangeRequest.$Shape; requestPut?: null; requestDeleteRange?: null; requestTxn?: null }|{ request?: "requestPut"; requestRange?: null; requestPut: etcdserverpb.PutRequest.$Shape; requestDeleteRange?: null; requestTxn?: null }|{ request?: "requestDeleteRange"; requestRange?: null; requestPut?: null; requestDeleteRange: etcdserverpb.DeleteRangeRequest.$Shape; requestTxn?: null }|{ request?: "requestTxn"; requestRange?: null; requestPut?: null; requestDeleteRange?: null; requestTxn: etcdserverpb.TxnRequest.$Shape })
        );
    }

    /**
     * Properties of a ResponseOp.
     * @deprecated Use etcdserverpb.ResponseOp.$Properties instead.
     */
    interface IResponseOp extends etcdserverpb.ResponseOp.$Properties {
    }

    /** Represents a ResponseOp. */
    class ResponseOp {

        /**
         * Constructs a new ResponseOp.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.ResponseOp.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** ResponseOp responseRange. */
        responseRange?: (etcdserverpb.RangeResponse.$Properties|null);

        /** ResponseOp responsePut. */
        responsePut?: (etcdserverpb.PutResponse.$Properties|null);

        /** ResponseOp responseDeleteRange. */
        responseDeleteRange?: (etcdserverpb.DeleteRangeResponse.$Properties|null);

        /** ResponseOp responseTxn. */
        responseTxn?: (etcdserverpb.TxnResponse.$Properties|null);

        /** ResponseOp response. */
        response?: ("responseRange"|"responsePut"|"responseDeleteRange"|"responseTxn");

        /**
         * Creates a new ResponseOp instance using the specified properties.
         * @param [properties] Properties to set
         * @returns ResponseOp instance
         */
        static create(properties: etcdserverpb.ResponseOp.$Shape): etcdserverpb.ResponseOp & etcdserverpb.ResponseOp.$Shape;
        static create(properties?: etcdserverpb.ResponseOp.$Properties): etcdserverpb.ResponseOp;

        /**
         * Encodes the specified ResponseOp message. Does not implicitly {@link etcdserverpb.ResponseOp.verify|verify} messages.
         * @param message ResponseOp message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.ResponseOp.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a ResponseOp message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.ResponseOp & etcdserverpb.ResponseOp.$Shape} ResponseOp
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.ResponseOp & etcdserverpb.ResponseOp.$Shape;
    }

    namespace ResponseOp {

        /** Properties of a ResponseOp. */
        interface $Properties {

            /** ResponseOp responseRange */
            responseRange?: (etcdserverpb.RangeResponse.$Properties|null);

            /** ResponseOp responsePut */
            responsePut?: (etcdserverpb.PutResponse.$Properties|null);

            /** ResponseOp responseDeleteRange */
            responseDeleteRange?: (etcdserverpb.DeleteRangeResponse.$Properties|null);

            /** ResponseOp responseTxn */
            responseTxn?: (etcdserverpb.TxnResponse.$Properties|null);

            /** ResponseOp response */
            response?: ("responseRange"|"responsePut"|"responseDeleteRange"|"responseTxn");

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Narrowed shape of a ResponseOp. */
        type $Shape = {
          responseRange?: etcdserverpb.RangeResponse.$Shape|null;
          responsePut?: etcdserverpb.PutResponse.$Shape|null;
          responseDeleteRange?: etcdserverpb.DeleteRangeResponse.$Shape|null;
          responseTxn?: etcdserverpb.TxnResponse.$Shape|null;
          $unknowns?: Uint8Array[];
        } & (
          ({ response?: undefined; responseRange?: null; responsePut?: null; responseDeleteRange?: null; responseTxn?: null }|{ response?: "responseRange"; responseRange: etcdserverpb.RangeResponse.$Shape; responsePut?: null; responseDeleteRange?: null; responseTxn?: null }|{ response?: "responsePut"; responseRange?: null; responsePut: etcdserverpb.PutResponse.$Shape; responseDeleteRange?: null; responseTxn?: null }|{ response?: "responseDeleteRange"; responseRange?: null; responsePut?: null; responseDeleteRange: etcdserverpb.DeleteRangeResponse.$Shape; responseTxn?: null }|{ response?: "responseTxn"; responseRange?: null; responsePut?: null; responseDeleteRange?: null; responseTxn: etcdserverpb.TxnResponse.$Shape })
        );
    }

    /**
     * Properties of a Compare.
     * @deprecated Use etcdserverpb.Compare.$Properties instead.
     */
    interface ICompare extends etcdserverpb.Compare.$Properties {
    }

    /** Represents a Compare. */
    class Compare {

        /**
         * Constructs a new Compare.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.Compare.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Compare result. */
        result: etcdserverpb.Compare.CompareResult;

        /** Compare target. */
        target: etcdserverpb.Compare.CompareTarget;

        /** Compare key. */
        key: Uint8Array;

        /** Compare version. */
        version?: (number|null);

        /** Compare createRevision. */
        createRevision?: (number|null);

        /** Compare modRevision. */
        modRevision?: (number|null);

        /** Compare value. */
        value?: (Uint8Array|null);

        /** Compare lease. */
        lease?: (number|null);

        /** Compare rangeEnd. */
        rangeEnd: Uint8Array;

        /** Compare targetUnion. */
        targetUnion?: ("version"|"createRevision"|"modRevision"|"value"|"lease");

        /**
         * Creates a new Compare instance using the specified properties.
         * @param [properties] Properties to set
         * @returns Compare instance
         */
        static create(properties: etcdserverpb.Compare.$Shape): etcdserverpb.Compare & etcdserverpb.Compare.$Shape;
        static create(properties?: etcdserverpb.Compare.$Properties): etcdserverpb.Compare;

        /**
         * Encodes the specified Compare message. Does not implicitly {@link etcdserverpb.Compare.verify|verify} messages.
         * @param message Compare message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.Compare.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Compare message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.Compare & etcdserverpb.Compare.$Shape} Compare
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.Compare & etcdserverpb.Compare.$Shape;
    }

    namespace Compare {

        /** Properties of a Compare. */
        interface $Properties {

            /** Compare result */
            result?: (etcdserverpb.Compare.CompareResult|null);

            /** Compare target */
            target?: (etcdserverpb.Compare.CompareTarget|null);

            /** Compare key */
            key?: (Uint8Array|null);

            /** Compare version */
            version?: (number|null);

            /** Compare createRevision */
            createRevision?: (number|null);

            /** Compare modRevision */
            modRevision?: (number|null);

            /** Compare value */
            value?: (Uint8Array|null);

            /** Compare lease */
            lease?: (number|null);

            /** Compare rangeEnd */
            rangeEnd?: (Uint8Array|null);

            /** Compare targetUnion */
            targetUnion?: ("version"|"createRevision"|"modRevision"|"value"|"lease");

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Narrowed shape of a Compare. */
        type $Shape = {
          result?: etcdserverpb.Compare.CompareResult|null;
          target?: etcdserverpb.Compare.CompareTarget|null;
          key?: Uint8Array|null;
          version?: number|null;
          createRevision?: number|null;
          modRevision?: number|null;
          value?: Uint8Array|null;
          lease?: number|null;
          rangeEnd?: Uint8Array|null;
          $unknowns?: Uint8Array[];
        } & (
          ({ targetUnion?: undefined; version?: null; createRevision?: null; modRevision?: null; value?: null; lease?: null }|{ targetUnion?: "version"; version: number; createRevision?: null; modRevision?: null; value?: null; lease?: null }|{ targetUnion?: "createRevision"; version?: null; createRevision: number; modRevision?: null; value?: null; lease?: null }|{ targetUnion?: "modRevision"; version?: null; createRevision?: null; modRevision: number; value?: null; lease?: null }|{ targetUnion?: "value"; version?: null; createRevision?: null; modRevision?: null; value: Uint8Array; lease?: null }|{ targetUnion?: "lease"; version?: null; createRevision?: null; modRevision?: null; value?: null; lease: number })
        );

        /** CompareResult enum. */
        enum CompareResult {

            /** EQUAL value */
            EQUAL = 0,

            /** GREATER value */
            GREATER = 1,

            /** LESS value */
            LESS = 2,

            /** NOT_EQUAL value */
            NOT_EQUAL = 3
        }

        /** CompareTarget enum. */
        enum CompareTarget {

            /** VERSION value */
            VERSION = 0,

            /** CREATE value */
            CREATE = 1,

            /** MOD value */
            MOD = 2,

            /** VALUE value */
            VALUE = 3,

            /** LEASE value */
            LEASE = 4
        }
    }

    /**
     * Properties of a TxnRequest.
     * @deprecated Use etcdserverpb.TxnRequest.$Properties instead.
     */
    interface ITxnRequest extends etcdserverpb.TxnRequest.$Properties {
    }

    /** Represents a TxnRequest. */
    class TxnRequest {

        /**
         * Constructs a new TxnRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.TxnRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** TxnRequest compare. */
        compare: etcdserverpb.Compare.$Properties[];

        /** TxnRequest success. */
        success: etcdserverpb.RequestOp.$Properties[];

        /** TxnRequest failure. */
        failure: etcdserverpb.RequestOp.$Properties[];

        /**
         * Creates a new TxnRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns TxnRequest instance
         */
        static create(properties: etcdserverpb.TxnRequest.$Shape): etcdserverpb.TxnRequest & etcdserverpb.TxnRequest.$Shape;
        static create(properties?: etcdserverpb.TxnRequest.$Properties): etcdserverpb.TxnRequest;

        /**
         * Encodes the specified TxnRequest message. Does not implicitly {@link etcdserverpb.TxnRequest.verify|verify} messages.
         * @param message TxnRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.TxnRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a TxnRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.TxnRequest & etcdserverpb.TxnRequest.$Shape} TxnRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.TxnRequest & etcdserverpb.TxnRequest.$Shape;
    }

    namespace TxnRequest {

        /** Properties of a TxnRequest. */
        interface $Properties {

            /** TxnRequest compare */
            compare?: (etcdserverpb.Compare.$Properties[]|null);

            /** TxnRequest success */
            success?: (etcdserverpb.RequestOp.$Properties[]|null);

            /** TxnRequest failure */
            failure?: (etcdserverpb.RequestOp.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a TxnRequest. */
        type $Shape = {
          compare?: etcdserverpb.Compare.$Shape[]|null;
          success?: etcdserverpb.RequestOp.$Shape[]|null;
          failure?: etcdserverpb.RequestOp.$Shape[]|null;
          $unknowns?: Uint8Array[];
        };
    }

    /**
     * Properties of a TxnResponse.
     * @deprecated Use etcdserverpb.TxnResponse.$Properties instead.
     */
    interface ITxnResponse extends etcdserverpb.TxnResponse.$Properties {
    }

    /** Represents a TxnResponse. */
    class TxnResponse {

        /**
         * Constructs a new TxnResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.TxnResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** TxnResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** TxnResponse succeeded. */
        succeeded: boolean;

        /** TxnResponse responses. */
        responses: etcdserverpb.ResponseOp.$Properties[];

        /**
         * Creates a new TxnResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns TxnResponse instance
         */
        static create(properties: etcdserverpb.TxnResponse.$Shape): etcdserverpb.TxnResponse & etcdserverpb.TxnResponse.$Shape;
        static create(properties?: etcdserverpb.TxnResponse.$Properties): etcdserverpb.TxnResponse;

        /**
         * Encodes the specified TxnResponse message. Does not implicitly {@link etcdserverpb.TxnResponse.verify|verify} messages.
         * @param message TxnResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.TxnResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a TxnResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.TxnResponse & etcdserverpb.TxnResponse.$Shape} TxnResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.TxnResponse & etcdserverpb.TxnResponse.$Shape;
    }

    namespace TxnResponse {

        /** Properties of a TxnResponse. */
        interface $Properties {

            /** TxnResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** TxnResponse succeeded */
            succeeded?: (boolean|null);

            /** TxnResponse responses */
            responses?: (etcdserverpb.ResponseOp.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a TxnResponse. */
        type $Shape = {
          header?: etcdserverpb.ResponseHeader.$Shape|null;
          succeeded?: boolean|null;
          responses?: etcdserverpb.ResponseOp.$Shape[]|null;
          $unknowns?: Uint8Array[];
        };
    }

    /**
     * Properties of an Event.
     * @deprecated Use etcdserverpb.Event.$Properties instead.
     */
    interface IEvent extends etcdserverpb.Event.$Properties {
    }

    /** Represents an Event. */
    class Event {

        /**
         * Constructs a new Event.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.Event.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Event type. */
        type: etcdserverpb.Event.EventType;

        /** Event kv. */
        kv?: (etcdserverpb.KeyValue.$Properties|null);

        /**
         * Creates a new Event instance using the specified properties.
         * @param [properties] Properties to set
         * @returns Event instance
         */
        static create(properties: etcdserverpb.Event.$Shape): etcdserverpb.Event & etcdserverpb.Event.$Shape;
        static create(properties?: etcdserverpb.Event.$Properties): etcdserverpb.Event;

        /**
         * Encodes the specified Event message. Does not implicitly {@link etcdserverpb.Event.verify|verify} messages.
         * @param message Event message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.Event.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an Event message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.Event & etcdserverpb.Event.$Shape} Event
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.Event & etcdserverpb.Event.$Shape;
    }

    namespace Event {

        /** Properties of an Event. */
        interface $Properties {

            /** Event type */
            type?: (etcdserverpb.Event.EventType|null);

            /** Event kv */
            kv?: (etcdserverpb.KeyValue.$Properties|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an Event. */
        type $Shape = etcdserverpb.Event.$Properties;

        /** EventType enum. */
        enum EventType {

            /** PUT value */
            PUT = 0,

            /** DELETE value */
            DELETE = 1
        }
    }

    /**
     * Properties of a WatchRequest.
     * @deprecated Use etcdserverpb.WatchRequest.$Properties instead.
     */
    interface IWatchRequest extends etcdserverpb.WatchRequest.$Properties {
    }

    /** Represents a WatchRequest. */
    class WatchRequest {

        /**
         * Constructs a new WatchRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.WatchRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** WatchRequest createRequest. */
        createRequest?: (etcdserverpb.WatchCreateRequest.$Properties|null);

        /** WatchRequest requestUnion. */
        requestUnion?: "createRequest";

        /**
         * Creates a new WatchRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns WatchRequest instance
         */
        static create(properties: etcdserverpb.WatchRequest.$Shape): etcdserverpb.WatchRequest & etcdserverpb.WatchRequest.$Shape;
        static create(properties?: etcdserverpb.WatchRequest.$Properties): etcdserverpb.WatchRequest;

        /**
         * Encodes the specified WatchRequest message. Does not implicitly {@link etcdserverpb.WatchRequest.verify|verify} messages.
         * @param message WatchRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.WatchRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a WatchRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.WatchRequest & etcdserverpb.WatchRequest.$Shape} WatchRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.WatchRequest & etcdserverpb.WatchRequest.$Shape;
    }

    namespace WatchRequest {

        /** Properties of a WatchRequest. */
        interface $Properties {

            /** WatchRequest createRequest */
            createRequest?: (etcdserverpb.WatchCreateRequest.$Properties|null);

            /** WatchRequest requestUnion */
            requestUnion?: "createRequest";

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Narrowed shape of a WatchRequest. */
        type $Shape = {
          createRequest?: etcdserverpb.WatchCreateRequest.$Shape|null;
          $unknowns?: Uint8Array[];
        } & (
          ({ requestUnion?: undefined; createRequest?: null }|{ requestUnion?: "createRequest"; createRequest: etcdserverpb.WatchCreateRequest.$Shape })
        );
    }

    /**
     * Properties of a WatchCreateRequest.
     * @deprecated Use etcdserverpb.WatchCreateRequest.$Properties instead.
     */
    interface IWatchCreateRequest extends etcdserverpb.WatchCreateRequest.$Properties {
    }

    /** Represents a WatchCreateRequest. */
    class WatchCreateRequest {

        /**
         * Constructs a new WatchCreateRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.WatchCreateRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** WatchCreateRequest key. */
        key: Uint8Array;

        /** WatchCreateRequest rangeEnd. */
        rangeEnd: Uint8Array;

        /** WatchCreateRequest startRevision. */
        startRevision: number;

        /** WatchCreateRequest progressNotify. */
        progressNotify: boolean;

        /**
         * Creates a new WatchCreateRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns WatchCreateRequest instance
         */
        static create(properties: etcdserverpb.WatchCreateRequest.$Shape): etcdserverpb.WatchCreateRequest & etcdserverpb.WatchCreateRequest.$Shape;
        static create(properties?: etcdserverpb.WatchCreateRequest.$Properties): etcdserverpb.WatchCreateRequest;

        /**
         * Encodes the specified WatchCreateRequest message. Does not implicitly {@link etcdserverpb.WatchCreateRequest.verify|verify} messages.
         * @param message WatchCreateRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.WatchCreateRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a WatchCreateRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.WatchCreateRequest & etcdserverpb.WatchCreateRequest.$Shape} WatchCreateRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.WatchCreateRequest & etcdserverpb.WatchCreateRequest.$Shape;
    }

    namespace WatchCreateRequest {

        /** Properties of a WatchCreateRequest. */
        interface $Properties {

            /** WatchCreateRequest key */
            key?: (Uint8Array|null);

            /** WatchCreateRequest rangeEnd */
            rangeEnd?: (Uint8Array|null);

            /** WatchCreateRequest startRevision */
            startRevision?: (number|null);

            /** WatchCreateRequest progressNotify */
            progressNotify?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a WatchCreateRequest. */
        type $Shape = etcdserverpb.WatchCreateRequest.$Properties;
    }

    /**
     * Properties of a WatchResponse.
     * @deprecated Use etcdserverpb.WatchResponse.$Properties instead.
     */
    interface IWatchResponse extends etcdserverpb.WatchResponse.$Properties {
    }

    /** Represents a WatchResponse. */
    class WatchResponse {

        /**
         * Constructs a new WatchResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.WatchResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** WatchResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** WatchResponse watchId. */
        watchId: number;

        /** WatchResponse created. */
        created: boolean;

        /** WatchResponse canceled. */
        canceled: boolean;

        /** WatchResponse compactRevision. */
        compactRevision: number;

        /** WatchResponse cancelReason. */
        cancelReason: string;

        /** WatchResponse events. */
        events: etcdserverpb.Event.$Properties[];

        /**
         * Creates a new WatchResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns WatchResponse instance
         */
        static create(properties: etcdserverpb.WatchResponse.$Shape): etcdserverpb.WatchResponse & etcdserverpb.WatchResponse.$Shape;
        static create(properties?: etcdserverpb.WatchResponse.$Properties): etcdserverpb.WatchResponse;

        /**
         * Encodes the specified WatchResponse message. Does not implicitly {@link etcdserverpb.WatchResponse.verify|verify} messages.
         * @param message WatchResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.WatchResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a WatchResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.WatchResponse & etcdserverpb.WatchResponse.$Shape} WatchResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.WatchResponse & etcdserverpb.WatchResponse.$Shape;
    }

    namespace WatchResponse {

        /** Properties of a WatchResponse. */
        interface $Properties {

            /** WatchResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** WatchResponse watchId */
            watchId?: (number|null);

            /** WatchResponse created */
            created?: (boolean|null);

            /** WatchResponse canceled */
            canceled?: (boolean|null);

            /** WatchResponse compactRevision */
            compactRevision?: (number|null);

            /** WatchResponse cancelReason */
            cancelReason?: (string|null);

            /** WatchResponse events */
            events?: (etcdserverpb.Event.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a WatchResponse. */
        type $Shape = etcdserverpb.WatchResponse.$Properties;
    }

    /**
     * Properties of a LeaseGrantRequest.
     * @deprecated Use etcdserverpb.LeaseGrantRequest.$Properties instead.
     */
    interface ILeaseGrantRequest extends etcdserverpb.LeaseGrantRequest.$Properties {
    }

    /** Represents a LeaseGrantRequest. */
    class LeaseGrantRequest {

        /**
         * Constructs a new LeaseGrantRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.LeaseGrantRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** LeaseGrantRequest TTL. */
        TTL: number;

        /** LeaseGrantRequest ID. */
        ID: number;

        /**
         * Creates a new LeaseGrantRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns LeaseGrantRequest instance
         */
        static create(properties: etcdserverpb.LeaseGrantRequest.$Shape): etcdserverpb.LeaseGrantRequest & etcdserverpb.LeaseGrantRequest.$Shape;
        static create(properties?: etcdserverpb.LeaseGrantRequest.$Properties): etcdserverpb.LeaseGrantRequest;

        /**
         * Encodes the specified LeaseGrantRequest message. Does not implicitly {@link etcdserverpb.LeaseGrantRequest.verify|verify} messages.
         * @param message LeaseGrantRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.LeaseGrantRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a LeaseGrantRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.LeaseGrantRequest & etcdserverpb.LeaseGrantRequest.$Shape} LeaseGrantRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.LeaseGrantRequest & etcdserverpb.LeaseGrantRequest.$Shape;
    }

    namespace LeaseGrantRequest {

        /** Properties of a LeaseGrantRequest. */
        interface $Properties {

            /** LeaseGrantRequest TTL */
            TTL?: (number|null);

            /** LeaseGrantRequest ID */
            ID?: (number|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a LeaseGrantRequest. */
        type $Shape = etcdserverpb.LeaseGrantRequest.$Properties;
    }

    /**
     * Properties of a LeaseGrantResponse.
     * @deprecated Use etcdserverpb.LeaseGrantResponse.$Properties instead.
     */
    interface ILeaseGrantResponse extends etcdserverpb.LeaseGrantResponse.$Properties {
    }

    /** Represents a LeaseGrantResponse. */
    class LeaseGrantResponse {

        /**
         * Constructs a new LeaseGrantResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.LeaseGrantResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** LeaseGrantResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** LeaseGrantResponse ID. */
        ID: number;

        /** LeaseGrantResponse TTL. */
        TTL: number;

        /** LeaseGrantResponse error. */
        error: string;

        /**
         * Creates a new LeaseGrantResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns LeaseGrantResponse instance
         */
        static create(properties: etcdserverpb.LeaseGrantResponse.$Shape): etcdserverpb.LeaseGrantResponse & etcdserverpb.LeaseGrantResponse.$Shape;
        static create(properties?: etcdserverpb.LeaseGrantResponse.$Properties): etcdserverpb.LeaseGrantResponse;

        /**
         * Encodes the specified LeaseGrantResponse message. Does not implicitly {@link etcdserverpb.LeaseGrantResponse.verify|verify} messages.
         * @param message LeaseGrantResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.LeaseGrantResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a LeaseGrantResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.LeaseGrantResponse & etcdserverpb.LeaseGrantResponse.$Shape} LeaseGrantResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.LeaseGrantResponse & etcdserverpb.LeaseGrantResponse.$Shape;
    }

    namespace LeaseGrantResponse {

        /** Properties of a LeaseGrantResponse. */
        interface $Properties {

            /** LeaseGrantResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** LeaseGrantResponse ID */
            ID?: (number|null);

            /** LeaseGrantResponse TTL */
            TTL?: (number|null);

            /** LeaseGrantResponse error */
            error?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a LeaseGrantResponse. */
        type $Shape = etcdserverpb.LeaseGrantResponse.$Properties;
    }

    /**
     * Properties of a MemberListRequest.
     * @deprecated Use etcdserverpb.MemberListRequest.$Properties instead.
     */
    interface IMemberListRequest extends etcdserverpb.MemberListRequest.$Properties {
    }

    /** Represents a MemberListRequest. */
    class MemberListRequest {

        /**
         * Constructs a new MemberListRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.MemberListRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /**
         * Creates a new MemberListRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns MemberListRequest instance
         */
        static create(properties: etcdserverpb.MemberListRequest.$Shape): etcdserverpb.MemberListRequest & etcdserverpb.MemberListRequest.$Shape;
        static create(properties?: etcdserverpb.MemberListRequest.$Properties): etcdserverpb.MemberListRequest;

        /**
         * Encodes the specified MemberListRequest message. Does not implicitly {@link etcdserverpb.MemberListRequest.verify|verify} messages.
         * @param message MemberListRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.MemberListRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a MemberListRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.MemberListRequest & etcdserverpb.MemberListRequest.$Shape} MemberListRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.MemberListRequest & etcdserverpb.MemberListRequest.$Shape;
    }

    namespace MemberListRequest {

        /** Properties of a MemberListRequest. */
        interface $Properties {

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a MemberListRequest. */
        type $Shape = etcdserverpb.MemberListRequest.$Properties;
    }

    /**
     * Properties of a Member.
     * @deprecated Use etcdserverpb.Member.$Properties instead.
     */
    interface IMember extends etcdserverpb.Member.$Properties {
    }

    /** Represents a Member. */
    class Member {

        /**
         * Constructs a new Member.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.Member.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** Member ID. */
        ID: number;

        /** Member name. */
        name: string;

        /** Member peerURLs. */
        peerURLs: string[];

        /** Member clientURLs. */
        clientURLs: string[];

        /** Member isLearner. */
        isLearner: boolean;

        /**
         * Creates a new Member instance using the specified properties.
         * @param [properties] Properties to set
         * @returns Member instance
         */
        static create(properties: etcdserverpb.Member.$Shape): etcdserverpb.Member & etcdserverpb.Member.$Shape;
        static create(properties?: etcdserverpb.Member.$Properties): etcdserverpb.Member;

        /**
         * Encodes the specified Member message. Does not implicitly {@link etcdserverpb.Member.verify|verify} messages.
         * @param message Member message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.Member.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a Member message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.Member & etcdserverpb.Member.$Shape} Member
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.Member & etcdserverpb.Member.$Shape;
    }

    namespace Member {

        /** Properties of a Member. */
        interface $Properties {

            /** Member ID */
            ID?: (number|null);

            /** Member name */
            name?: (string|null);

            /** Member peerURLs */
            peerURLs?: (string[]|null);

            /** Member clientURLs */
            clientURLs?: (string[]|null);

            /** Member isLearner */
            isLearner?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a Member. */
        type $Shape = etcdserverpb.Member.$Properties;
    }

    /**
     * Properties of a MemberListResponse.
     * @deprecated Use etcdserverpb.MemberListResponse.$Properties instead.
     */
    interface IMemberListResponse extends etcdserverpb.MemberListResponse.$Properties {
    }

    /** Represents a MemberListResponse. */
    class MemberListResponse {

        /**
         * Constructs a new MemberListResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.MemberListResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** MemberListResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** MemberListResponse members. */
        members: etcdserverpb.Member.$Properties[];

        /**
         * Creates a new MemberListResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns MemberListResponse instance
         */
        static create(properties: etcdserverpb.MemberListResponse.$Shape): etcdserverpb.MemberListResponse & etcdserverpb.MemberListResponse.$Shape;
        static create(properties?: etcdserverpb.MemberListResponse.$Properties): etcdserverpb.MemberListResponse;

        /**
         * Encodes the specified MemberListResponse message. Does not implicitly {@link etcdserverpb.MemberListResponse.verify|verify} messages.
         * @param message MemberListResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.MemberListResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a MemberListResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.MemberListResponse & etcdserverpb.MemberListResponse.$Shape} MemberListResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.MemberListResponse & etcdserverpb.MemberListResponse.$Shape;
    }

    namespace MemberListResponse {

        /** Properties of a MemberListResponse. */
        interface $Properties {

            /** MemberListResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** MemberListResponse members */
            members?: (etcdserverpb.Member.$Properties[]|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a MemberListResponse. */
        type $Shape = etcdserverpb.MemberListResponse.$Properties;
    }

    /**
     * Properties of a StatusRequest.
     * @deprecated Use etcdserverpb.StatusRequest.$Properties instead.
     */
    interface IStatusRequest extends etcdserverpb.StatusRequest.$Properties {
    }

    /** Represents a StatusRequest. */
    class StatusRequest {

        /**
         * Constructs a new StatusRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.StatusRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /**
         * Creates a new StatusRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns StatusRequest instance
         */
        static create(properties: etcdserverpb.StatusRequest.$Shape): etcdserverpb.StatusRequest & etcdserverpb.StatusRequest.$Shape;
        static create(properties?: etcdserverpb.StatusRequest.$Properties): etcdserverpb.StatusRequest;

        /**
         * Encodes the specified StatusRequest message. Does not implicitly {@link etcdserverpb.StatusRequest.verify|verify} messages.
         * @param message StatusRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.StatusRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a StatusRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.StatusRequest & etcdserverpb.StatusRequest.$Shape} StatusRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.StatusRequest & etcdserverpb.StatusRequest.$Shape;
    }

    namespace StatusRequest {

        /** Properties of a StatusRequest. */
        interface $Properties {

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a StatusRequest. */
        type $Shape = etcdserverpb.StatusRequest.$Properties;
    }

    /**
     * Properties of a StatusResponse.
     * @deprecated Use etcdserverpb.StatusResponse.$Properties instead.
     */
    interface IStatusResponse extends etcdserverpb.StatusResponse.$Properties {
    }

    /** Represents a StatusResponse. */
    class StatusResponse {

        /**
         * Constructs a new StatusResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.StatusResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** StatusResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** StatusResponse version. */
        version: string;

        /** StatusResponse dbSize. */
        dbSize: number;

        /** StatusResponse leader. */
        leader: number;

        /** StatusResponse raftIndex. */
        raftIndex: number;

        /** StatusResponse raftTerm. */
        raftTerm: number;

        /** StatusResponse raftAppliedIndex. */
        raftAppliedIndex: number;

        /** StatusResponse errors. */
        errors: string[];

        /** StatusResponse dbSizeInUse. */
        dbSizeInUse: number;

        /** StatusResponse isLearner. */
        isLearner: boolean;

        /**
         * Creates a new StatusResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns StatusResponse instance
         */
        static create(properties: etcdserverpb.StatusResponse.$Shape): etcdserverpb.StatusResponse & etcdserverpb.StatusResponse.$Shape;
        static create(properties?: etcdserverpb.StatusResponse.$Properties): etcdserverpb.StatusResponse;

        /**
         * Encodes the specified StatusResponse message. Does not implicitly {@link etcdserverpb.StatusResponse.verify|verify} messages.
         * @param message StatusResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.StatusResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes a StatusResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.StatusResponse & etcdserverpb.StatusResponse.$Shape} StatusResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.StatusResponse & etcdserverpb.StatusResponse.$Shape;
    }

    namespace StatusResponse {

        /** Properties of a StatusResponse. */
        interface $Properties {

            /** StatusResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** StatusResponse version */
            version?: (string|null);

            /** StatusResponse dbSize */
            dbSize?: (number|null);

            /** StatusResponse leader */
            leader?: (number|null);

            /** StatusResponse raftIndex */
            raftIndex?: (number|null);

            /** StatusResponse raftTerm */
            raftTerm?: (number|null);

            /** StatusResponse raftAppliedIndex */
            raftAppliedIndex?: (number|null);

            /** StatusResponse errors */
            errors?: (string[]|null);

            /** StatusResponse dbSizeInUse */
            dbSizeInUse?: (number|null);

            /** StatusResponse isLearner */
            isLearner?: (boolean|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of a StatusResponse. */
        type $Shape = etcdserverpb.StatusResponse.$Properties;
    }

    /**
     * Properties of an AuthenticateRequest.
     * @deprecated Use etcdserverpb.AuthenticateRequest.$Properties instead.
     */
    interface IAuthenticateRequest extends etcdserverpb.AuthenticateRequest.$Properties {
    }

    /** Represents an AuthenticateRequest. */
    class AuthenticateRequest {

        /**
         * Constructs a new AuthenticateRequest.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.AuthenticateRequest.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** AuthenticateRequest name. */
        name: string;

        /** AuthenticateRequest password. */
        password: string;

        /**
         * Creates a new AuthenticateRequest instance using the specified properties.
         * @param [properties] Properties to set
         * @returns AuthenticateRequest instance
         */
        static create(properties: etcdserverpb.AuthenticateRequest.$Shape): etcdserverpb.AuthenticateRequest & etcdserverpb.AuthenticateRequest.$Shape;
        static create(properties?: etcdserverpb.AuthenticateRequest.$Properties): etcdserverpb.AuthenticateRequest;

        /**
         * Encodes the specified AuthenticateRequest message. Does not implicitly {@link etcdserverpb.AuthenticateRequest.verify|verify} messages.
         * @param message AuthenticateRequest message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.AuthenticateRequest.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an AuthenticateRequest message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.AuthenticateRequest & etcdserverpb.AuthenticateRequest.$Shape} AuthenticateRequest
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.AuthenticateRequest & etcdserverpb.AuthenticateRequest.$Shape;
    }

    namespace AuthenticateRequest {

        /** Properties of an AuthenticateRequest. */
        interface $Properties {

            /** AuthenticateRequest name */
            name?: (string|null);

            /** AuthenticateRequest password */
            password?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an AuthenticateRequest. */
        type $Shape = etcdserverpb.AuthenticateRequest.$Properties;
    }

    /**
     * Properties of an AuthenticateResponse.
     * @deprecated Use etcdserverpb.AuthenticateResponse.$Properties instead.
     */
    interface IAuthenticateResponse extends etcdserverpb.AuthenticateResponse.$Properties {
    }

    /** Represents an AuthenticateResponse. */
    class AuthenticateResponse {

        /**
         * Constructs a new AuthenticateResponse.
         * @param [properties] Properties to set
         */
        constructor(properties?: etcdserverpb.AuthenticateResponse.$Properties);

        /** Unknown fields preserved while decoding when enabled */
        $unknowns?: Uint8Array[];

        /** AuthenticateResponse header. */
        header?: (etcdserverpb.ResponseHeader.$Properties|null);

        /** AuthenticateResponse token. */
        token: string;

        /**
         * Creates a new AuthenticateResponse instance using the specified properties.
         * @param [properties] Properties to set
         * @returns AuthenticateResponse instance
         */
        static create(properties: etcdserverpb.AuthenticateResponse.$Shape): etcdserverpb.AuthenticateResponse & etcdserverpb.AuthenticateResponse.$Shape;
        static create(properties?: etcdserverpb.AuthenticateResponse.$Properties): etcdserverpb.AuthenticateResponse;

        /**
         * Encodes the specified AuthenticateResponse message. Does not implicitly {@link etcdserverpb.AuthenticateResponse.verify|verify} messages.
         * @param message AuthenticateResponse message or plain object to encode
         * @param [writer] Writer to encode to
         * @returns Writer
         */
        static encode(message: etcdserverpb.AuthenticateResponse.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

        /**
         * Decodes an AuthenticateResponse message from the specified reader or buffer.
         * @param reader Reader or buffer to decode from
         * @param [length] Message length if known beforehand
         * @returns {etcdserverpb.AuthenticateResponse & etcdserverpb.AuthenticateResponse.$Shape} AuthenticateResponse
         * @throws {Error} If the payload is not a reader or valid buffer
         * @throws {$protobuf.util.ProtocolError} If required fields are missing
         */
        static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): etcdserverpb.AuthenticateResponse & etcdserverpb.AuthenticateResponse.$Shape;
    }

    namespace AuthenticateResponse {

        /** Properties of an AuthenticateResponse. */
        interface $Properties {

            /** AuthenticateResponse header */
            header?: (etcdserverpb.ResponseHeader.$Properties|null);

            /** AuthenticateResponse token */
            token?: (string|null);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];
        }

        /** Shape of an AuthenticateResponse. */
        type $Shape = etcdserverpb.AuthenticateResponse.$Properties;
    }
}

export import ResponseHeader = etcdserverpb.ResponseHeader;
export import KeyValue = etcdserverpb.KeyValue;
export import RangeRequest = etcdserverpb.RangeRequest;
export import RangeResponse = etcdserverpb.RangeResponse;
export import PutRequest = etcdserverpb.PutRequest;
export import PutResponse = etcdserverpb.PutResponse;
export import DeleteRangeRequest = etcdserverpb.DeleteRangeRequest;
export import DeleteRangeResponse = etcdserverpb.DeleteRangeResponse;
export import RequestOp = etcdserverpb.RequestOp;
export import ResponseOp = etcdserverpb.ResponseOp;
export import Compare = etcdserverpb.Compare;
export import TxnRequest = etcdserverpb.TxnRequest;
export import TxnResponse = etcdserverpb.TxnResponse;
export import Event = etcdserverpb.Event;
export import WatchRequest = etcdserverpb.WatchRequest;
export import WatchCreateRequest = etcdserverpb.WatchCreateRequest;
export import WatchResponse = etcdserverpb.WatchResponse;
export import LeaseGrantRequest = etcdserverpb.LeaseGrantRequest;
export import LeaseGrantResponse = etcdserverpb.LeaseGrantResponse;
export import MemberListRequest = etcdserverpb.MemberListRequest;
export import Member = etcdserverpb.Member;
export import MemberListResponse = etcdserverpb.MemberListResponse;
export import StatusRequest = etcdserverpb.StatusRequest;
export import StatusResponse = etcdserverpb.StatusResponse;
export import AuthenticateRequest = etcdserverpb.AuthenticateRequest;
export import AuthenticateResponse = etcdserverpb.AuthenticateResponse;
