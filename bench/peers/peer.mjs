// One process of a peer in `tamiz-bench queue`: says "ready", waits for "go" on standard input, works until it is
// through or reads "stop", and tells what it did in one line of JSON. bench/src/queue/child.rs is the same for Tamiz.
//
//   node peer.mjs PEER ROLE OPTIONS      ROLE: setup, enqueue, pace, work; OPTIONS is JSON
//
// Peers export `open(options)`, which gives { setup, one(seq), many(seqs), work(onStart), close }.

import { createInterface } from "node:readline";

const [, , peer, role, text] = process.argv;
const options = JSON.parse(text ?? "{}");
const { open } = await import(`./${peer}.mjs`);
const queue = await open(options);

const microseconds = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const lines = createInterface({ input: process.stdin });
const heard = new Map();
const hear = (word) => new Promise((resolve) => heard.set(word, resolve));
lines.on("line", (line) => heard.get(line.trim())?.());
// the bench is gone
lines.on("close", () => process.exit(0));

const roles = {
  async setup() {
    await queue.setup();
    return {};
  },

  // options.count tasks from options.first on, options.bulk at a time, options.at_once calls under way
  async enqueue() {
    say("ready");
    await hear("go");
    const began = microseconds();
    const end = options.first + options.count;
    let next = options.first;
    const producer = async () => {
      while (next < end) {
        const seqs = [];
        while (seqs.length < options.bulk && next < end) seqs.push(next++);
        await (options.bulk === 1 ? queue.one(seqs[0]) : queue.many(seqs));
      }
    };
    await Promise.all(Array.from({ length: options.at_once }, producer));
    return { done: options.count, began_us: began, last_us: microseconds() };
  },

  // options.per_second tasks a second for options.seconds; says when each was committed
  async pace() {
    say("ready");
    await hear("go");
    const times = [];
    const calls = [];
    const began = performance.now();
    for (let seq = 0; seq < options.per_second * options.seconds; seq++) {
      const pause = began + (seq * 1000) / options.per_second - performance.now();
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      calls.push(queue.one(seq).then(() => times.push([seq, microseconds()])));
    }
    await Promise.all(calls);
    return { times };
  },

  async work() {
    let done = 0;
    let last = 0;
    const times = [];
    const onStart = (seq) => {
      last = microseconds();
      done += 1;
      if (options.times) times.push([seq, last]);
    };
    const stop = hear("stop");
    say("ready");
    await hear("go");
    const began = microseconds();
    await queue.work(onStart);
    let told = 0;
    const teller = setInterval(() => {
      if (done !== told) say({ done, last_us: last });
      told = done;
    }, 20);
    await stop;
    clearInterval(teller);
    return { done, began_us: began, last_us: last, times };
  },
};

const told = `${JSON.stringify(await roles[role]())}\n`;
await queue.close();
// a pipe takes only so much at once, and exit() drops the rest
await new Promise((resolve) => process.stdout.write(told, resolve));
process.exit(0);
