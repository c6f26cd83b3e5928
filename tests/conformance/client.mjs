// The official SDK as a client: one scenario, named by the only argument, against the server in CONFORMANCE_URL.
//
// Prints one line of JSON: what the SDK's user got.
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.env.CONFORMANCE_PACKAGES, 'index.js'));
const sdk = require('@anthropic-ai/sdk');

const client = new sdk.Anthropic({
  baseURL: process.env.CONFORMANCE_URL,
  apiKey: null,
  authToken: process.env.CONFORMANCE_TOKEN,
  timeout: 20_000,
});
const object = (...names) => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
  required: names,
});
const tools = [
  { name: 'upper', description: 'Writes a text in capitals.', input_schema: object('text') },
  { name: 'join', description: 'Joins two texts.', input_schema: object('one', 'two') },
];
const hands = {
  upper: ({ text }) => text.toUpperCase(),
  join: ({ one, two }) => one + two,
};
const request = (messages) => ({ model: 'claude-opus-5-5', max_tokens: 1000, system: 'Be exact.', tools, messages });
const wish = [{ role: 'user', content: 'Shout, then join.' }];

// The loop as the SDK's documents write it: stream, run the tools, send all results, until there are no tools.
async function loop() {
  const messages = [...wish];
  const answers = [];
  const deltas = [];
  for (let turn = 0; turn < 10; turn += 1) {
    const stream = client.messages.stream(request(messages));
    stream.on('text', (text) => deltas.push(text));
    const answer = await stream.finalMessage();
    answers.push({ content: answer.content, stop: answer.stop_reason, usage: answer.usage });
    messages.push({ role: 'assistant', content: answer.content });
    const uses = answer.content.filter((block) => block.type === 'tool_use');
    if (uses.length === 0) break;
    messages.push({
      role: 'user',
      content: uses.map((use) => ({
        type: 'tool_result',
        tool_use_id: use.id,
        content: hands[use.name](use.input),
      })),
    });
  }
  return { answers, deltas };
}

// The SDK's own loop. Without `thread: false` it sends only what is new, and leaves the rest to a server that keeps conversations.
async function runner() {
  const runnable = tools.map((tool) => ({ ...tool, type: 'custom', run: hands[tool.name], parse: (input) => input }));
  const params = { ...request([...wish]), tools: runnable, stream: true, thread: false };
  const answers = [];
  const deltas = [];
  for await (const stream of client.beta.messages.toolRunner(params)) {
    stream.on('text', (text) => deltas.push(text));
    const answer = await stream.finalMessage();
    answers.push({ content: answer.content, stop: answer.stop_reason, usage: answer.usage });
  }
  return { answers, deltas };
}

// One question, whose answer may be an error.
async function ask() {
  const stream = client.messages.stream(request(wish));
  const { data, request_id } = await stream.withResponse();
  const answer = await data.finalMessage();
  return { content: answer.content, request_id };
}

// A tool use that is left without its result.
function broken() {
  const use = { type: 'tool_use', id: 'toolu_1', name: 'upper', input: { text: 'a' } };
  return client.messages
    .stream(request([...wish, { role: 'assistant', content: [use] }, { role: 'user', content: 'And?' }]))
    .finalMessage();
}

// What else the SDK asks of a server.
async function rest() {
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  const count = await client.messages.countTokens({ model: 'claude-opus-5-5', messages: wish });
  const whole = await client.messages.create(request(wish));
  return { models, tokens: count.input_tokens, content: whole.content };
}

const scenarios = { loop, runner, ask, broken, rest };
try {
  console.log(JSON.stringify(await scenarios[process.argv[2]]()));
} catch (error) {
  const { name, status, requestID } = error;
  console.log(JSON.stringify({ error: { class: error.constructor.name, name, status, requestID, message: error.message } }));
}
