import { describe, expect, test } from "vitest";
import { namesOfMachine, parseHostName, readableHost, refuseUngivenHost } from "../../src/model/hosts.ts";

test.each([
  ["www.hats.example", "www.hats.example"],
  ["WWW.Hats.Example", "www.hats.example"],
  ["hats.example.", "hats.example"],
  [" hats.example ", "hats.example"],
  ["häte.example", "xn--hte-qla.example"],
  ["HÄTE.example", "xn--hte-qla.example"],
  ["帽子.example", "xn--i8sx1e.example"],
  ["xn--hte-qla.example", "xn--hte-qla.example"],
  ["hats。example", "hats.example"],
  ["3.hats.example", "3.hats.example"],
  [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`],
])("%s is the host %s", (typed, host) => {
  expect(parseHostName(typed)).toEqual({ host });
});

test.each([
  ["https://www.hats.example/shop?a=1", "www.hats.example"],
  ["http://hats.example:8080", "hats.example"],
  ["HTTPS://Hats.Example./", "hats.example"],
  ["hats.example:443", "hats.example"],
  ["hats.example/", "hats.example"],
  ["hats.example#top", "hats.example"],
])("of the address %s the host is taken, and said to be", (typed, host) => {
  expect(parseHostName(typed)).toEqual({ host, from: typed });
});

test.each([
  ["", "no host name"],
  ["https://", "no host name"],
  ["*.hats.example", "wildcard"],
  ["https://*.hats.example", "wildcard"],
  ["10.0.0.1", "IP address"],
  ["http://10.0.0.1:80/", "IP address"],
  ["0x7f.1", "IP address"],
  ["2130706433", "IP address"],
  ["[::1]", "IP address"],
  ["http://[2001:db8::1]/", "IP address"],
  ["my_shop.example", "underscore"],
  ["ana@hats.example", "before the @"],
  ["https://ana:secret@hats.example", "before the @"],
  ["-hats.example", "no hyphen first or last"],
  ["hats-.example", "no hyphen first or last"],
  ["hats..example", "letters, digits and hyphens"],
  ["hats.example..", "letters, digits and hyphens"],
  ["ha ts.example", "no host name"],
  ["ha!ts.example", "letters, digits and hyphens"],
  ["xn--\u0080.example", "no host name"],
  ["hats.example.12", "no host name"],
  [`${"a".repeat(64)}.example`, "too long"],
  [`${"a.".repeat(130)}example`, "too long"],
])("%s is refused: %s", (typed, why) => {
  expect(() => parseHostName(typed)).toThrow(why);
});

test("what is refused is shown back without what would garble a terminal", () => {
  expect(() => parseHostName("\u202ehats\x1b[2J")).toThrow(/^"\?hats\?\[2J" /);
});

test("a password that was pasted along is not shown back", () => {
  expect(() => parseHostName("https://ana:secret@hats.example")).toThrow(/^"https:\/\/…@hats.example" is no host name/);
});

test("names of other scripts are shown readable, with what they are", () => {
  expect(readableHost("xn--hte-qla.example")).toBe("häte.example (xn--hte-qla.example)");
  expect(readableHost("hats.example")).toBe("hats.example");
});

describe("names that nobody is given", () => {
  const otherHosts = ["paas.example", ...namesOfMachine("Rack7.Hats.Example")];
  test.each([
    ["zyndra.example", "zyndra.example is Zyndra's own address"],
    ["shop.zyndra.example", "shop.zyndra.example is where an app called shop is"],
    ["a.shop.zyndra.example", "shop.zyndra.example is where an app called shop is"],
    ["shop.localhost", "leads everyone to their own machine"],
    ["localhost.localdomain", "leads everyone to their own machine"],
    ["paas.example", "Zyndra's own address"],
    ["rack7.hats.example", "Zyndra's own address"],
    ["rack7", "Zyndra's own address"],
    ["rack7.lan", "Zyndra's own address"],
    ["rack7.local", "Zyndra's own address"],
    ["localhost", "not a whole name"],
    ["hats", "not a whole name"],
  ])("%s is refused", (host, why) => {
    expect(() => refuseUngivenHost(host, "zyndra.example", otherHosts)).toThrow(why);
  });

  test.each(["rack7.example", "hats.example", "example.org", "www.example.org", "notzyndra.example"])(
    "%s is not",
    (host) => {
      expect(() => refuseUngivenHost(host, "zyndra.example", otherHosts)).not.toThrow();
    },
  );
});
