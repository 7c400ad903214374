// Node's gRPC client against a running sluiced: node check.mjs ADDRESS PROTO_FOLDER. The bucket b1 of u1 must be open.
// Prints a line for each thing that holds; the exit code is 1 at the first that does not.
import assert from 'node:assert/strict';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const [address, protos] = process.argv.slice(2);
const definition = loadSync('sluice/v1/check.proto', { includeDirs: [protos], keepCase: true, enums: String, longs: Number });
const { Enforcement } = grpc.loadPackageDefinition(definition).sluice.v1;
const soon = () => ({ deadline: Date.now() + 20000 });
const open = () => new Enforcement(address, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
const client = open();

const question = (id) => ({ request_id: `${id}`, operation: 'OPERATION_DOWNLOAD', requester: 'u1', bucket: 'b1', key: 'k' });
const ask = (method, request, options = soon(), from = client) =>
  new Promise((resolve, reject) => from[method](request, options, (error, answer) => (error ? reject(error) : resolve(answer))));

async function holds(what, test) {
  await test();
  console.log(`ok: ${what}`);
}

await holds('a thousand calls at once each get their own answer', async () => {
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => ask('Check', question(i))));
  answers.forEach((answer, i) => {
    assert.equal(answer.request_id, `${i}`);
    assert.equal(answer.verdict, 'VERDICT_ALLOW');
  });
});

await holds('a batch of 1,024', async () => {
  const { responses } = await ask('CheckBatch', { requests: Array.from({ length: 1024 }, (_, i) => question(i)) });
  assert.deepEqual(responses.map((answer) => answer.request_id), Array.from({ length: 1024 }, (_, i) => `${i}`));
});

await holds('a message of ten megabytes is refused by what is in it', async () => {
  const requests = Array.from({ length: 1000 }, (_, i) => ({ ...question(i), path: 'x'.repeat(10000) }));
  await assert.rejects(ask('CheckBatch', { requests }), { code: grpc.status.INVALID_ARGUMENT });
});

await holds('one of twenty megabytes by its size', async () => {
  const huge = { requests: [{ ...question(0), path: 'x'.repeat(20 << 20) }] };
  await assert.rejects(ask('CheckBatch', huge), { code: grpc.status.RESOURCE_EXHAUSTED });
});

await holds('a wrong request is told which field', async () => {
  await assert.rejects(ask('Check', { ...question(1), client_ip: 'x' }), { code: grpc.status.INVALID_ARGUMENT, details: /client_ip/ });
});

await holds('a deadline that has passed', async () => {
  await assert.rejects(ask('Check', question(1), { deadline: Date.now() - 1 }), { code: grpc.status.DEADLINE_EXCEEDED });
});

await holds('a stream of 2,000 in order, and then its end', async () => {
  const stream = client.CheckStream(soon());
  for (let i = 0; i < 2000; ++i) stream.write(question(i));
  stream.end();
  let next = 0;
  for await (const answer of stream) assert.equal(answer.request_id, `${next++}`);
  assert.equal(next, 2000);
});

await holds('a stream whose deadline passes', async () => {
  const stream = client.CheckStream({ deadline: Date.now() + 200 });
  await assert.rejects((async () => { for await (const _ of stream); })(), { code: grpc.status.DEADLINE_EXCEEDED });
});

await holds('calls that are cancelled, and a client that goes', async () => {
  for (let i = 0; i < 100; ++i) {
    const other = i % 10 === 0 ? open() : client;
    const call = other.Check(question(i), soon(), () => {});
    const stream = other.CheckStream(soon());
    stream.on('error', () => {});
    stream.write(question(i));
    call.cancel();
    stream.cancel();
    if (other !== client) other.close();
  }
  assert.equal((await ask('Check', question('after'))).request_id, 'after');
});

client.close();
