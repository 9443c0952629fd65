import { describe, expect, test } from "bun:test";
import { isEtcdAddress, parseEtcdAddress, shownEtcdAddress } from "../../src/store/etcd-address.ts";

describe("addresses of an etcd", () => {
  test("endpoints, TLS, login and cluster", () => {
    expect(parseEtcdAddress("etcd://a:2379")).toEqual({
      endpoints: [{ host: "a", port: 2379 }],
      tls: false,
      login: null,
      cluster: "",
    });
    expect(parseEtcdAddress("etcds://mesh:p%40ss%3A%2F@a,b:1234,[::1]:2379,a:2379/prod.eu")).toEqual({
      endpoints: [
        { host: "a", port: 2379 },
        { host: "b", port: 1234 },
        { host: "::1", port: 2379 },
      ],
      tls: true,
      login: { user: "mesh", password: "p@ss:/" },
      cluster: "prod.eu",
    });
  });

  test("what is shown holds no password", () => {
    const address = parseEtcdAddress("etcds://me%40x:secret@a:1,b:2/prod");
    expect(typeof address === "string" ? address : shownEtcdAddress(address)).toBe("etcds://me%40x@a:1,b:2/prod");
  });

  test("what is wrong is said, without the password", () => {
    const faults = {
      "etcd://": /not of the form/,
      "http://a:2379": /not of the form/,
      "etcd://a:2379,": /the endpoint ""/,
      "etcd://a:99999": /the endpoint "a:99999"/,
      "etcd://a:0": /the endpoint "a:0"/,
      "etcd://a b": /the endpoint "a b"/,
      "etcd://secret@a": /not USER:PASSWORD/,
      "etcd://user:%zz@a": /not USER:PASSWORD/,
      "etcd://a/pro d": /the cluster "pro d"/,
      "etcd://a/../b": /the cluster "..\/b"/,
      [`etcd://${"a,".repeat(17)}b`]: /more than 16/,
      [`etcd://${"a".repeat(3000)}`]: /longer than/,
    };
    for (const [address, expected] of Object.entries(faults)) {
      const fault = parseEtcdAddress(address);
      expect([address, fault]).toEqual([address, expect.stringMatching(expected)]);
      expect(fault).not.toContain("secret");
    }
  });

  test("which addresses are meant for etcd at all", () => {
    expect(["etcd://a", "etcds:x", "etcd"].map(isEtcdAddress)).toEqual([true, true, false]);
  });
});
