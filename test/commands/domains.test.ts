import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { listHosts } from "../../src/db/domains.ts";
import { type AppBench, openAppBench, type TestApp } from "./app-bench.ts";

let bench: AppBench;
let shop: TestApp;
let count = 0;
/** A name that no other test has used. */
let host: string;

beforeAll(async () => {
  bench = await openAppBench();
  shop = await bench.newApp();
});
afterAll(() => bench?.[Symbol.asyncDispose]());
beforeEach(() => {
  host = `www.hats-${++count}.example`;
});

const hostsOf = (app: TestApp) => listHosts(bench.platform.deps.db.db, app.id);
const served = (app: TestApp) => bench.runtime.serving.get(app.id)?.hosts;

describe("domains:add", () => {
  test("lets names lead to the app, and says what the DNS needs", async () => {
    const { view } = await shop.ask("domains:add", { hosts: [host, "tea.example"] });
    expect(view.text).toBe(`${host}, tea.example are being added to ${shop.name}`);
    expect(view.hint).toBe(
      `the DNS of ${host}, tea.example has to lead here: a CNAME to ${shop.name}.test, or the same A record; then it is at http://${host}, http://tea.example`,
    );
    await shop.change("domains:remove", { hosts: ["tea.example"] });
    expect(served(shop)).toEqual([host]);
    const { view: listed } = await shop.ask("domains");
    expect(listed.table?.rows).toEqual([
      [`${shop.name}.test`, "(its own)", ""],
      [host, "ana", expect.stringMatching(/ago$/)],
    ]);
    await shop.change("domains:remove", { hosts: [host] });
    expect(served(shop)).toEqual([]);
  });

  test("understands an address and other scripts, and says what it made of them", async () => {
    const { view, data } = await shop.ask("domains:add", { hosts: [`https://Häte-${count}.example/shop`, host, host] });
    expect(data).toMatchObject({ hosts: [expect.stringMatching(/^xn--hte-\d-.*\.example$/), host] });
    expect(view.warnings).toEqual([
      expect.stringMatching(/^of https:\/\/Häte-\d\.example\/shop only the host counts: xn--/),
    ]);
    expect(view.text).toContain(`häte-${count}.example (xn--`);
    await shop.change("domains:remove", { hosts: [`häte-${count}.example`, host] });
  });

  test("of a name that leads there already changes nothing", async () => {
    await shop.change("domains:add", { hosts: [host] });
    const again = await shop.ask("domains:add", { hosts: [host] });
    expect(again.view.text).toBe(`${host} leads to ${shop.name} already`);
    expect(again.follow).toBeUndefined();
  });

  test("of a name that leads to another app says to which, but not if that is another org's; nothing is added", async () => {
    const blog = await bench.newApp({ live: false });
    await blog.ask("domains:add", { hosts: [host] });
    await expect(shop.ask("domains:add", { hosts: ["new.example", host] })).rejects.toMatchObject({
      code: "conflict",
      message: `${host} leads to ${blog.name}`,
      hint: `zyndra domains:remove ${blog.name} ${host} makes it free`,
    });
    expect(await hostsOf(shop)).not.toContain("new.example");
    const { ask } = bench.platform;
    await ask("apps:create", { app: `theirs${count}` }, bench.stranger);
    const theirs = ask("domains:add", { app: `theirs${count}`, hosts: [host] }, bench.stranger);
    await expect(theirs).rejects.toMatchObject({ code: "conflict", message: `${host} is taken`, hint: undefined });
    await blog.ask("domains:remove", { hosts: [host] });
    await ask("domains:add", { app: `theirs${count}`, hosts: [host] }, bench.stranger);
  });

  test("of one name to two apps at once gives it to one of them, and tells the other", async () => {
    const blog = await bench.newApp({ live: false });
    const hosts = Array.from({ length: 8 }, (_, index) => `race-${index}.${host}`);
    const asked = [
      shop.ask("domains:add", { hosts }),
      blog.ask("domains:add", { hosts: hosts.toReversed() }),
      shop.ask("domains:add", { hosts: hosts.toReversed() }),
      blog.ask("domains:add", { hosts }),
    ];
    const outcomes = await Promise.allSettled(asked);
    const won = outcomes.filter(({ status }) => status === "fulfilled");
    const lost = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect([won.length, lost.length]).toEqual([2, 2]);
    for (const fault of lost)
      expect(fault).toMatchObject({ code: "conflict", message: expect.stringContaining("leads to") });
    const [ofShop, ofBlog] = await Promise.all([hostsOf(shop), hostsOf(blog)]);
    expect([...ofShop, ...ofBlog].filter((name) => name.startsWith("race-")).sort()).toEqual(hosts.toSorted());
  });

  test("before anything is live is kept for the first push", async () => {
    const app = await bench.newApp({ live: false });
    const { view, follow } = await app.ask("domains:add", { hosts: [host] });
    expect(view.text).toBe(`${host} will lead to ${app.name} with its first push`);
    expect(follow).toBeUndefined();
    expect((await app.pusher.push("main")).exitCode).toBe(0);
    expect(served(app)).toEqual([host]);
  });

  test.each([
    ["test", "test is Zyndra's own address"],
    ["shop.test", "shop.test is where an app called shop is"],
    ["*.hats.example", "is a wildcard"],
    ["192.168.1.4", "is an IP address"],
  ])("of %s is refused with why", async (named, why) => {
    await expect(shop.ask("domains:add", { hosts: [host, named] })).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining(why),
    });
    expect(await hostsOf(shop)).not.toContain(host);
  });
});

test("a name that does not lead there cannot be removed, and then nothing is", async () => {
  await shop.change("domains:add", { hosts: [host] });
  await expect(shop.ask("domains:remove", { hosts: [host, "nothing.example"] })).rejects.toMatchObject({
    code: "not_found",
    message: `nothing.example does not lead to ${shop.name}; nothing was changed`,
  });
  expect(await hostsOf(shop)).toContain(host);
});

test("an app that goes gives its names back", async () => {
  const app = await bench.newApp();
  await app.change("domains:add", { hosts: [host] });
  const { follow } = await app.ask("apps:destroy");
  for await (const { data } of bench.platform.deps.events.follow(
    `app:${app.id}`,
    (follow as { after: number }).after,
    AbortSignal.timeout(20_000),
  )) {
    if (data.type === "destroyed") break;
  }
  await shop.ask("domains:add", { hosts: [host] });
});

test("what is audited is the hosts, and not what was pasted around them", async () => {
  await expect(shop.ask("domains:add", { hosts: [`https://ana:secret-word@${host}/`] })).rejects.toThrow(
    "before the @",
  );
  await shop.ask("domains:add", { hosts: [`https://${host}/?token=secret-word`] });
  const { rows } = await bench.platform.deps.db.db.execute(
    sql`select command, outcome, input, reason from audit where subject = ${shop.name} order by id desc limit 2`,
  );
  expect(rows[0]).toMatchObject({ command: "domains:add", outcome: "done", input: { hosts: [host] } });
  expect(rows[1]).toMatchObject({ command: "domains:add", outcome: "refused" });
  expect(JSON.stringify(rows)).not.toContain("secret-word");
});
