// The client graphql-sse in the mode of distinct connections: each operation is a request of its own.

import assert from 'node:assert/strict';
import test from 'node:test';

import { createClient } from 'graphql-sse';

import { assertWholeLife, eventsOf, follow, graphqlUrl, importSmallReport, PATIENCE, token } from './server.mjs';

function client(secret = token, options = {}) {
  return createClient({
    url: graphqlUrl,
    headers: { authorization: `Bearer ${secret}` },
    retryAttempts: 0,
    ...options,
  });
}

test('a scan is followed to its end, and the operation completes', PATIENCE, async () => {
  const task = await importSmallReport('event stream');
  assertWholeLife(await eventsOf(follow(client(), task)));
});

test('a client that comes back with its cursor misses nothing and sees nothing twice', PATIENCE, async () => {
  const task = await importSmallReport('event stream');
  const seen = [];
  for (let turn = 0; seen.at(-1)?.status !== 'COMPLETED'; turn += 1) {
    assert.ok(turn < 100, 'the scan does not end');
    for await (const { data } of follow(client(), task, seen.at(-1)?.seq)) {
      seen.push(data.taskEvents);
      break;
    }
  }
  assertWholeLife(seen);
});

test('two scans are two connections', PATIENCE, async () => {
  const tasks = await Promise.all([importSmallReport('event stream'), importSmallReport('event stream')]);
  let requests = 0;
  const counting = client(token, {
    fetchFn: (...words) => {
      requests += 1;
      return fetch(...words);
    },
  });
  const [first, second] = await Promise.all(tasks.map((task) => eventsOf(follow(counting, task))));
  assertWholeLife(first);
  assertWholeLife(second);
  assert.equal(requests, 2);
});

test('queries and mutations answer once', PATIENCE, async () => {
  const results = client().iterate({ query: '{ viewer { role } }' });
  assert.deepEqual((await results.next()).value.data, { viewer: { role: 'ADMIN' } });
  assert.equal((await results.next()).done, true);
});

test('a wrong token is refused before the stream begins', PATIENCE, async () => {
  await assert.rejects(client('tmz_wrong').iterate({ query: '{ viewer { role } }' }).next(), (refused) => {
    assert.equal(refused.response.status, 401);
    return true;
  });
});

test('an invalid operation is told in the stream, which then ends', PATIENCE, async () => {
  const results = client().iterate({ query: 'subscription { missing }' });
  const { value } = await results.next();
  assert.equal(value.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  assert.equal(value.data, undefined);
  assert.equal((await results.next()).done, true);
});

test('a document that cannot be read is refused before the stream begins', PATIENCE, async () => {
  await assert.rejects(client().iterate({ query: 'subscription {' }).next(), (refused) => {
    assert.equal(refused.response.status, 400);
    return true;
  });
});
