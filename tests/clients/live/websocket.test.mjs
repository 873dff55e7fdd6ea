// The client graphql-ws over `graphql-transport-ws`: a scan from its first event to its last, whatever happens to
// the line.
//
// The protocol itself, close code by close code, is tested in server/app/src/api/transport/tests.

import assert from 'node:assert/strict';
import test from 'node:test';

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import {
  ask, assertWholeLife, eventsOf, follow, importSmallReport, makeToken, PATIENCE, projectOf, token, websocketUrl,
} from './server.mjs';

/** A client that does not try again by itself, so that a test sees what happened. */
function client(secret = token, options = {}) {
  return createClient({
    url: websocketUrl,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${secret}` },
    retryAttempts: 0,
    ...options,
  });
}

test('a scan is followed to its end, and the operation completes', PATIENCE, async () => {
  const task = await importSmallReport('websocket');
  const connection = client();
  assertWholeLife(await eventsOf(follow(connection, task)));
  await connection.dispose();
});

test('a client that reconnects with its cursor misses nothing and sees nothing twice', PATIENCE, async () => {
  const task = await importSmallReport('websocket');
  const seen = [];
  let cuts = 0;
  while (seen.at(-1)?.status !== 'COMPLETED') {
    const connection = client();
    try {
      for await (const { data } of follow(connection, task, seen.at(-1)?.seq)) {
        seen.push(data.taskEvents);
        // the line breaks after every event, without a word
        connection.terminate();
      }
    } catch (lost) {
      assert.equal(lost.code, 4499, String(lost));
      cuts += 1;
    }
    assert.ok(cuts < 100, 'the scan does not end');
  }
  assert.ok(cuts >= 2);
  assertWholeLife(seen);
});

test('a client that tries again by itself goes on after a cut', PATIENCE, async () => {
  const task = await importSmallReport('websocket');
  let socket;
  let connections = 0;
  const connection = client(token, {
    retryAttempts: 3,
    retryWait: async () => {},
    shouldRetry: () => true,
    on: {
      connected: (opened) => {
        socket = opened;
        connections += 1;
      },
    },
  });
  const first = [];
  for await (const { data } of follow(connection, task)) {
    first.push(data.taskEvents);
    if (first.length === 1) socket.terminate();
  }
  assert.equal(connections, 2);
  // it asked again as before, with the cursor that it began with: the events are the same ones
  const last = first.at(-1).seq;
  assertWholeLife(first.slice(-last));
  await connection.dispose();
});

test('a stopped operation falls silent, and its connection goes on', PATIENCE, async () => {
  const task = await importSmallReport('websocket');
  const connection = client();
  const stopped = [];
  for await (const { data } of follow(connection, task)) {
    stopped.push(data.taskEvents);
    break;
  }
  assert.deepEqual(stopped.map((event) => event.seq), [1]);
  assertWholeLife(await eventsOf(follow(connection, task)));
  await connection.dispose();
});

test('two scans and a query share one connection', PATIENCE, async () => {
  const tasks = await Promise.all([importSmallReport('websocket'), importSmallReport('websocket')]);
  let connections = 0;
  const connection = client(token, { lazy: false, on: { connected: () => { connections += 1; } } });
  const viewer = connection.iterate({ query: '{ viewer { role } }' });
  const [first, second, { value }] = await Promise.all([
    eventsOf(follow(connection, tasks[0])),
    eventsOf(follow(connection, tasks[1])),
    viewer.next(),
  ]);
  assertWholeLife(first);
  assertWholeLife(second);
  assert.deepEqual(value.data, { viewer: { role: 'ADMIN' } });
  assert.equal((await viewer.next()).done, true);
  assert.equal(connections, 1);
  await connection.dispose();
});

test('a wrong token is closed out with 4403, and no token too', PATIENCE, async () => {
  for (const connection of [client('tmz_wrong'), client(token, { connectionParams: {} })]) {
    await assert.rejects(connection.iterate({ query: '{ viewer { role } }' }).next(), { code: 4403 });
  }
});

test('a stream ends within seconds when its token is revoked', PATIENCE, async () => {
  const spare = makeToken(`revoked-${Date.now()}`);
  const { group } = (
    await ask(
      'mutation($project: ID!) { createTaskGroup(input: { name: "open", projectId: $project }) { group { id } } }',
      { project: await projectOf('websocket') },
    )
  ).createTaskGroup;
  const connection = client(spare.secret);
  const changes = connection.iterate({
    query: 'subscription($group: ID!) { taskGroupChanges(groupId: $group) { unfinished } }',
    variables: { group: group.id },
  });
  assert.equal((await changes.next()).value.data.taskGroupChanges.unfinished, 0);
  spare.revoke();
  const from = Date.now();
  await assert.rejects(changes.next(), { code: 4401 });
  assert.ok(Date.now() - from < 20_000, 'it took too long');
});

test('an invalid operation is an error of its own, and the connection goes on', PATIENCE, async () => {
  const connection = client();
  await assert.rejects(connection.iterate({ query: '{ missing }' }).next(), (errors) => {
    assert.equal(errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
    return true;
  });
  const { value } = await connection.iterate({ query: '{ viewer { role } }' }).next();
  assert.equal(value.data.viewer.role, 'ADMIN');
  await connection.dispose();
});
